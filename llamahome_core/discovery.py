"""Find installed plugins without importing them, and decide which of them may load."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from attrs import define, field, frozen

from llamahome_core.errors import PluginError
from llamahome_core.hookspecs import PROJECT

Status = Literal["found", "active", "blocked", "broken", "shadowed"]

_NAMED = re.compile(r"^(Name|Version):[ \t]*(\S+)", re.MULTILINE)
_SWITCH = {"": False, "0": False, "false": False, "1": True, "true": True}


@frozen(kw_only=True)
class Policy:
    """Which plugins may load. What may not is never imported.

    Attributes:
        only: If not None, no other plugin loads.
        blocked: These do not load.
        strict: A broken plugin raises instead of being set aside.
        own: Only plugins of LlamaHome's own distribution load.
        trial: Seconds that a third party's plugin may take in a child process, where it is tried
            before it is imported; 0 tries none.
    """

    only: frozenset[str] | None = None
    blocked: frozenset[str] = frozenset()
    strict: bool = False
    own: bool = False
    trial: float = 0.0

    @classmethod
    def parse(cls, words: Iterable[str], *, strict: bool = False) -> Policy:
        """From words such as ``hello`` (only these) and ``no:hello`` (not this one)."""
        named = [word.strip() for word in words if word.strip()]
        blocked = frozenset(word[3:] for word in named if word.startswith("no:"))
        only = frozenset(word for word in named if not word.startswith("no:"))
        return cls(only=only or None, blocked=blocked, strict=strict)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Policy:
        """From ``LLAMAHOME_PLUGINS`` (comma-separated words) and ``LLAMAHOME_STRICT=1``.

        Raises:
            ConfigError: ``LLAMAHOME_STRICT`` is neither true nor false.
        """
        env = os.environ if environ is None else environ
        strict = _SWITCH.get(env.get("LLAMAHOME_STRICT", "").strip().lower())
        if strict is None:
            raise _no_switch(env["LLAMAHOME_STRICT"])
        return cls.parse(env.get("LLAMAHOME_PLUGINS", "").split(","), strict=strict)

    def allows(self, name: str, origin: str = PROJECT) -> bool:
        """Whether the plugin *name* of the distribution *origin* may load."""
        if self.own and not is_own(origin):
            return False
        return name not in self.blocked and (self.only is None or name in self.only)

    def narrowed(self, other: Policy) -> Policy:
        """A policy that allows only what both allow."""
        both = [only for only in (self.only, other.only) if only is not None]
        return Policy(
            only=frozenset.intersection(*both) if both else None,
            blocked=self.blocked | other.blocked,
            strict=self.strict or other.strict,
            own=self.own or other.own,
            trial=max(self.trial, other.trial),
        )


def _no_switch(value: str) -> Exception:
    from llamahome_core.config import ConfigError, Problem

    message = f"LLAMAHOME_STRICT must be true or false, got {value!r}"
    return ConfigError([Problem("C111", message, fix="write 1 or true, or 0 or false")])


def is_own(origin: str) -> bool:
    """Whether *origin* is LlamaHome's own distribution."""
    return origin.partition(" ")[0] == PROJECT


@define(kw_only=True)
class Plugin:
    """A discovered plugin and what became of it.

    Attributes:
        name: The entry point's name.
        origin: Distribution and version that it came with.
        entry: The entry point; None for an object that an embedding program handed over.
        status: ``found`` until it is loaded.
        error: Why it is broken.
        module: The loaded module or object.
        verdict: What it did to the child process in which it was tried, if that was too much.
    """

    name: str
    origin: str
    entry: EntryPoint | None = None
    status: Status = "found"
    error: BaseException | None = None
    module: Any = field(default=None, repr=False)
    verdict: str | None = None

    @property
    def reason(self) -> str:
        """Why it is broken, in words."""
        if isinstance(self.error, PluginError):
            return self.error.message
        return f"{type(self.error).__name__}: {self.error}".removesuffix(": ")


class _Distributions:
    """Name and version of each entry point's distribution; its metadata is parsed once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, str]] = {}

    def of(self, entry: EntryPoint) -> tuple[str, str]:
        """Name and version; empty for an entry point without a distribution, or a damaged one."""
        if entry.dist is None:
            return "", ""
        if id(entry.dist) not in self._known:
            # Two lines at the top: parsing all of it, a README too, takes ten times as long.
            text = entry.dist.read_text("METADATA") or entry.dist.read_text("PKG-INFO") or ""
            found = dict(_NAMED.findall(text.partition("\n\n")[0]))
            # A damaged installation has neither, and may not hide the others.
            self._known[id(entry.dist)] = found.get("Name", ""), found.get("Version", "")
        return self._known[id(entry.dist)]

    def rank(self, entry: EntryPoint) -> tuple[str, bool, str]:
        """Sorts by name, ours before others."""
        name, _ = self.of(entry)
        return entry.name, name != PROJECT, name


def discover(entries: Iterable[EntryPoint] | None = None) -> Iterator[Plugin]:
    """Installed plugins, sorted by name; of two with one name ours, else the first, is kept.

    Args:
        entries: The entry points; those of the group ``llamahome`` if not given.
    """
    found = entry_points(group=PROJECT) if entries is None else entries
    distributions = _Distributions()
    first: dict[str, EntryPoint] = {}
    for entry in sorted(found, key=distributions.rank):
        origin = " ".join(distributions.of(entry)).strip() or "unknown"
        plugin = Plugin(name=entry.name, origin=origin, entry=entry)
        kept = first.setdefault(entry.name, entry)
        if kept is not entry:
            if kept.value == entry.value and distributions.rank(kept) == distributions.rank(entry):
                continue  # one distribution seen twice: an editable install beside its metadata
            plugin.status = "shadowed"
        yield plugin


def from_object(module: Any, name: str | None = None) -> Plugin:
    """A plugin that an embedding program hands over as an object with hook implementations."""
    called = name or getattr(module, "__name__", None) or type(module).__name__
    return Plugin(name=called.lower().replace("_", "-"), origin="embedded", module=module)
