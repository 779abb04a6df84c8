"""Find installed plugins without importing them, and decide which of them may load."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from attrs import define, field, frozen

from llamahome_core.errors import PluginError
from llamahome_core.hookspecs import PROJECT
from llamahome_core.requirements import misfit

Status = Literal["found", "active", "blocked", "broken", "shadowed"]

DRIFT = "drift: "
"""How the reason of a plugin that is not what the lock says begins."""

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
        locked: Only plugins that are what ``plugins.lock`` says load.
        vet: What compares an installed plugin with the lock; returns why it may not load.
        source: Who says so, such as ``-p``: for messages.
        parts: The policies that this one was narrowed from.
        trial: Seconds that a third party's plugin may take in a child process, where it is tried
            before it is imported; 0 tries none.
    """

    only: frozenset[str] | None = None
    blocked: frozenset[str] = frozenset()
    strict: bool = False
    own: bool = False
    locked: bool = False
    vet: Callable[[Plugin], str | None] | None = field(default=None, eq=False, repr=False)
    source: str = field(default="the program", eq=False, repr=False)
    parts: tuple[Policy, ...] = field(default=(), eq=False, repr=False)
    trial: float = 0.0

    @classmethod
    def parse(
        cls,
        words: Iterable[str],
        *,
        strict: bool = False,
        locked: bool = False,
        source: str = "the program",
    ) -> Policy:
        """From words such as ``hello`` (only these) and ``no:hello`` (not this one).

        Args:
            words: The words.
            strict: A broken plugin raises.
            locked: Only what the lock says loads.
            source: Who says so.
        """
        named = [word.strip() for word in words if word.strip()]
        blocked = frozenset(word[3:] for word in named if word.startswith("no:"))
        only = frozenset(word for word in named if not word.startswith("no:"))
        return cls(only=only or None, blocked=blocked, strict=strict, locked=locked, source=source)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Policy:
        """From ``LLAMAHOME_PLUGINS`` (comma-separated words) and the switches.

        These are ``LLAMAHOME_STRICT=1`` and ``LLAMAHOME_LOCKED=1``.

        Raises:
            ConfigError: One of the switches is neither true nor false.
        """
        env = os.environ if environ is None else environ
        words = env.get("LLAMAHOME_PLUGINS", "").split(",")
        strict, locked = _switch(env, "LLAMAHOME_STRICT"), _switch(env, "LLAMAHOME_LOCKED")
        return cls.parse(words, source="LLAMAHOME_PLUGINS", strict=strict, locked=locked)

    def allows(self, name: str, origin: str = PROJECT) -> bool:
        """Whether the plugin *name* of the distribution *origin* may load."""
        if self.own and not is_own(origin):
            return False
        return name not in self.blocked and (self.only is None or name in self.only)

    def objection(self, plugin: Plugin) -> str | None:
        """Why *plugin* may not load; None if it may. Imports nothing of it."""
        if not self.allows(plugin.name, plugin.origin):
            reasons = list(self.reasons(plugin.name))
            return "; ".join(reasons) or "only LlamaHome's own plugins may load"
        # What a program hands over as an object is its own, and in no lock.
        return self.vet(plugin) if self.vet is not None and plugin.entry is not None else None

    def reasons(self, name: str) -> Iterator[str]:
        """Who keeps the plugin *name* out."""
        for part in self.parts or (self,):
            if name in part.blocked:
                yield f"{part.source} blocks it"
            if part.only is not None and name not in part.only:
                yield f"{part.source} does not name it"

    def narrowed(self, other: Policy) -> Policy:
        """A policy that allows only what both allow."""
        both = [only for only in (self.only, other.only) if only is not None]
        return Policy(
            only=frozenset.intersection(*both) if both else None,
            blocked=self.blocked | other.blocked,
            strict=self.strict or other.strict,
            own=self.own or other.own,
            locked=self.locked or other.locked,
            vet=self.vet or other.vet,
            parts=(*(self.parts or (self,)), *(other.parts or (other,))),
            trial=max(self.trial, other.trial),
        )


def _switch(env: Mapping[str, str], name: str) -> bool:
    """Whether the variable *name* is on."""
    found = _SWITCH.get(env.get(name, "").strip().lower())
    if found is None:
        from llamahome_core.config import ConfigError, Problem

        message = f"{name} must be true or false, got {env[name]!r}"
        raise ConfigError([Problem("C111", message, fix="write 1 or true, or 0 or false")])
    return found


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
        reason: Why it is blocked.
        digest: The hash of its files, if it was compared with the lock.
        module: The loaded module or object.
        verdict: What it did to the child process in which it was tried, if that was too much.
    """

    name: str
    origin: str
    entry: EntryPoint | None = None
    status: Status = "found"
    error: BaseException | None = None
    reason: str | None = None
    digest: str | None = None
    module: Any = field(default=None, repr=False)
    verdict: str | None = None

    @property
    def distribution(self) -> str:
        """The distribution that it came with, without its version."""
        return self.origin.partition(" ")[0]

    @property
    def version(self) -> str:
        """The version of its distribution; empty if it has none."""
        return self.origin.partition(" ")[2]

    @property
    def is_own(self) -> bool:
        """Whether it came with LlamaHome itself."""
        return is_own(self.origin)

    @property
    def has_drifted(self) -> bool:
        """Whether it is blocked because it is not what the lock says."""
        return (self.reason or "").startswith(DRIFT)

    @property
    def owner(self) -> str:
        """For messages: ``hello (llamahome-hello 1.0)``, and LlamaHome's own by the name alone."""
        return self.name if self.is_own else f"{self.name} ({self.origin})"

    @property
    def why(self) -> str | None:
        """Why it is not active, on one line; None if nothing is wrong."""
        if self.error is None:
            return self.reason
        is_told = isinstance(self.error, PluginError)
        told = str(self.error) if is_told else f"{type(self.error).__name__}: {self.error}"
        told = told.removesuffix(": ").splitlines()[0]
        dist = self.entry.dist if self.entry and not self.is_own else None
        unfit = misfit(dist) if dist else None
        return f"{told}; {unfit}" if unfit else told


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
