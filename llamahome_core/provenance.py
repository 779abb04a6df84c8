"""Who brought what: the plugins of a run, and what changed in them since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llamahome_core.discovery import Plugin
from llamahome_core.hookspecs import PROJECT

NAME = "plugins.json"
Record = Mapping[str, Any]


def record(plugins: Iterable[Plugin]) -> dict[str, dict[str, str]]:
    """Distribution and version of each, and the hash of its files where it was compared."""
    found = {}
    for plugin in plugins:
        about = {"distribution": plugin.distribution, "version": plugin.version}
        about["sha256"] = plugin.digest or ""
        found[plugin.name] = {key: value for key, value in about.items() if value}
    return found


def recorded(directory: Path) -> dict[str, Record]:
    """What :func:`record` wrote for the run in *directory*; empty where it cannot be read."""
    try:
        found = json.loads((directory / NAME).read_bytes())
        return {name: dict(about) for name, about in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def foreign(records: Mapping[str, Record]) -> Iterator[tuple[str, str]]:
    """Name and origin of those in *records* that did not come with LlamaHome."""
    for name, about in records.items():
        if about.get("distribution") != PROJECT:
            yield name, _origin(about)


def differences(before: Mapping[str, Record], now: Mapping[str, Record]) -> list[str]:
    """What to tell somebody who goes on with a run: plugins that came, went or changed."""
    found: dict[str, None] = {}  # LlamaHome's own are one line together, not one each
    for name in sorted(before.keys() | now.keys()):
        was, has = before.get(name), now.get(name)
        own = (was or has or {}).get("distribution") == PROJECT
        label = "LlamaHome" if own and was and has else f"plugin {name}"
        if was is None:
            text = f"{_origin(has or {})}, and was not there when the run began"
        elif has is None:
            text = f"{_origin(was)} when the run began, and is not active now"
        elif _origin(was) != _origin(has):
            text = f"{_origin(was)} when the run began, and {_origin(has)} now"
        elif was.get("sha256", has.get("sha256")) != has.get("sha256", was.get("sha256")):
            text = f"{_origin(has)}, with other files than when the run began"
        else:
            continue
        found[f"{label}: {text}"] = None
    return list(found)


def _origin(about: Record) -> str:
    return f"{about.get('distribution', 'unknown')} {about.get('version', '')}".strip()
