"""What the active plugins offer: components by kind and name, services, stages, with owners."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from llamahome_core.components import (
    Check,
    Command,
    Component,
    Defaults,
    Kind,
    PackagedRecipe,
    Service,
    Stage,
)
from llamahome_core.discovery import Plugin
from llamahome_core.errors import (
    AmbiguousNameError,
    BrokenPluginError,
    PluginError,
    UnknownNameError,
    suggest,
)
from llamahome_core.plugins import Plugins

Owned = tuple[Plugin, Component]
R = TypeVar("R")


class Catalog:
    """An index over the plugins; each hook is called when first asked for, and once."""

    def __init__(self, plugins: Plugins) -> None:
        self.plugins = plugins
        self._records: dict[str, list[tuple[Plugin, Any]]] = {}

    def _of(self, hook: str, record: type[R]) -> list[tuple[Plugin, R]]:
        if hook not in self._records:
            self._records[hook] = list(self.plugins.records(hook, record))
        # A plugin may turn out broken at a later hook; then nothing of it is offered any more.
        return [(p, r) for p, r in self._records[hook] if p.status == "active"]

    def components(self, kind: Kind) -> list[Owned]:
        """All components of *kind*, by plugin."""
        return self._of(kind.hook, Component)

    def find(self, kind: Kind, name: str) -> Owned:
        """The component called ``name`` or, where two plugins use one name, ``plugin:name``.

        Raises:
            UnknownNameError: Nobody offers it.
            AmbiguousNameError: Several plugins do, and the name does not say which is meant.
            BrokenPluginError: Nobody offers it, and a plugin that might have is broken.
        """
        owner, _, short = name.rpartition(":")
        owned = self.components(kind)
        matches = [(p, c) for p, c in owned if c.name == short and owner in {"", p.name}]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _ambiguous(kind, name, matches)
        known = sorted({c.name for _, c in owned})
        close = suggest(short, known)
        owners = suggest(owner, {p.name for p, c in owned}) if owner else []
        if full := suggest(name, [f"{p.name}:{c.name}" for p, c in owned if p.name in owners]):
            close = full
        broken = [p for p in self.plugins.broken if owner in {"", p.name}]
        if broken and (owner or not close):
            raise _perhaps_broken(kind, name, broken)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else None
        raise UnknownNameError(
            f"no {kind.title} is called {name!r}",
            hint=hint or f"installed: {', '.join(known) or 'none'}",
        )

    def service(self, protocol: type) -> Service:
        """The provider of *protocol*.

        Raises:
            UnknownNameError: No active plugin provides it.
            AmbiguousNameError: Two plugins do.
        """
        found = [
            (p, s) for p, s in self._of("llamahome_services", Service) if s.protocol is protocol
        ]
        if len(found) > 1:
            owners = " and ".join(f"{p.name} ({p.origin})" for p, _ in found)
            raise AmbiguousNameError(
                f"{owners} both provide {protocol.__name__}",
                hint=f"keep one: llamahome -p no:{found[-1][0].name} …",
            )
        if not found:
            raise UnknownNameError(
                f"no active plugin provides {protocol.__name__}", hint="llamahome plugins"
            )
        return found[0][1]

    def services(self) -> list[tuple[Plugin, Service]]:
        """All providers."""
        return self._of("llamahome_services", Service)

    def stages(self) -> list[tuple[Plugin, Stage]]:
        """The stages of a run in their order: after what they ask for, else by name.

        Raises:
            PluginError: Two stages have one name, or they wait for each other.
        """
        owned: dict[str, tuple[Plugin, Stage]] = {}
        for plugin, stage in self._of("llamahome_stages", Stage):
            if stage.name in owned:
                other = owned[stage.name][0]
                raise PluginError(f"{other.name} and {plugin.name} both declare stage {stage.name}")
            owned[stage.name] = (plugin, stage)
        return [owned[name] for name in _ordered({n: s.after for n, (_, s) in owned.items()})]

    def commands(self) -> dict[str, tuple[Plugin, Command]]:
        """Subcommands by name; of two with one name the first plugin's is kept."""
        found: dict[str, tuple[Plugin, Command]] = {}
        for plugin, command in self._of("llamahome_commands", Command):
            found.setdefault(command.name, (plugin, command))
        return found

    def checks(self) -> list[tuple[Plugin, Check]]:
        """The lines of ``llamahome doctor``."""
        return self._of("llamahome_checks", Check)

    def defaults(self) -> list[tuple[Plugin, Defaults]]:
        """Settings that plugins bring."""
        return self._of("llamahome_defaults", Defaults)

    def recipes(self) -> dict[str, tuple[Plugin, PackagedRecipe]]:
        """Packaged recipes by name."""
        found: dict[str, tuple[Plugin, PackagedRecipe]] = {}
        for plugin, recipe in self._of("llamahome_recipes", PackagedRecipe):
            found.setdefault(recipe.name, (plugin, recipe))
        return found


def _ordered(after: dict[str, tuple[str, ...]]) -> list[str]:
    """A topological order that is the same every time: names break ties."""
    sorter = TopologicalSorter({n: {a for a in after[n] if a in after} for n in sorted(after)})
    try:
        sorter.prepare()
    except CycleError as error:
        raise PluginError(f"stages wait for each other: {' → '.join(error.args[1])}") from None
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order


def _ambiguous(kind: Kind, name: str, matches: Iterable[Owned]) -> AmbiguousNameError:
    names = [f"{p.name}:{c.name}" for p, c in matches]
    owners = ", ".join(f"{p.name}:{c.name} (from {p.origin})" for p, c in matches)
    return AmbiguousNameError(
        f"{kind.title} {name!r} is ambiguous: {owners}", hint=f'write use = "{names[0]}"'
    )


def _perhaps_broken(kind: Kind, name: str, broken: list[Plugin]) -> BrokenPluginError:
    listed = ", ".join(f"{p.name} ({p.error})" for p in broken)
    return BrokenPluginError(
        f"no {kind.title} is called {name!r}, and these plugins failed to load: {listed}",
        hint=f"llamahome plugins check {broken[0].name}",
    )
