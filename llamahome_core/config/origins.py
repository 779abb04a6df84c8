"""Lists every setting with its value and its origin: ``llamahome config show --origin``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from llamahome_core.config.document import Origin, Path
from llamahome_core.config.layers import Merged
from llamahome_core.config.problems import path_text
from llamahome_core.config.redaction import HIDDEN, may_be_secret
from llamahome_core.secrets import is_reference


@frozen
class SettingOrigin:
    """One setting as it came out of all layers.

    Attributes:
        key: ``train.steps``.
        value: The plain value; secrets are covered.
        origin: ``project .config/llamahome.toml:7:8 (over user ~/config.toml:4:9)``.
    """

    key: str
    value: Any
    origin: str

    @property
    def text(self) -> str:
        """The value on one line."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, default=str)


def show_origins(merged: Merged) -> list[SettingOrigin]:
    """Every setting of *merged*, table by table, with its origin."""
    return [_setting(path, value, merged) for path, value in _leaves(merged.data, ())]


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and (value or not path):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _setting(path: Path, value: Any, merged: Merged) -> SettingOrigin:
    origin = merged.origin(path)
    harmless = value in (None, "") or is_reference(value)
    shown = HIDDEN if may_be_secret(path) and not harmless else value
    return SettingOrigin(path_text(path), shown, origin_text(origin) if origin else "")


def origin_text(origin: Origin) -> str:
    """The origin and what it hides, on one line."""
    text = _place(origin)
    if not origin.shadowed:
        return text
    return f"{text} (over {', '.join(_place(hidden) for hidden in origin.shadowed)})"


def _place(origin: Origin) -> str:
    place = origin.place()
    named = place.startswith(("environment variable", "--set", f"{origin.layer} "))
    return place if named else f"{origin.layer} {place}"
