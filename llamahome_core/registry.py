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
from llamahome_core.discovery import Plugin, is_own
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
            BrokenPluginError: Nobody offers it, and a plugin that might have is broken,
                or is not what ``plugins.lock`` says.
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
        meant = [p for p in self.plugins.all if owner in {"", p.name}]
        lost = [p for p in meant if p.status == "broken" or p.has_drifted]
        if lost and (owner or not close):
            raise _perhaps_lost(kind, name, lost)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else None
        blocked = [f"{p.owner}: {p.reason}" for p in meant if p.status == "blocked"]
        if blocked and owner:
            hint = f"that plugin is blocked: {blocked[0]}"
        elif blocked and not close:
            hint = f"plugins that are blocked may offer it: {', '.join(blocked)}"
        raise UnknownNameError(
            f"no {kind.title} is called {name!r}",
            hint=hint or f"installed: {', '.join(known) or 'none'}",
        )

    def usual(self, kind: Kind, name: str) -> str:
        """What LlamaHome's own component *name* is called where others have one of that name too.

        A default, which nobody wrote, may not become ambiguous because something was installed.
        """
        owners = [p for p, c in self.components(kind) if c.name == name]
        own = [p for p in owners if is_own(p.origin)]
        return f"{own[0].name}:{name}" if own and len(owners) > 1 else name

    def provider(self, protocol: type) -> tuple[Plugin, Service]:
        """The one plugin that provides *protocol*, and its record.

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
        return found[0]

    def service(self, protocol: type) -> Service:
        """The record of :meth:`provider`; raises what that raises."""
        return self.provider(protocol)[1]

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
                raise PluginError(
                    f"{other.owner} and {plugin.owner} both declare stage {stage.name}"
                )
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


def _perhaps_lost(kind: Kind, name: str, lost: list[Plugin]) -> BrokenPluginError:
    """Nobody knows whether it is theirs: what did not load has declared nothing."""
    listed = ", ".join(f"{p.name} ({p.origin}: {p.why})" for p in lost)
    drifted = lost[0].has_drifted
    return BrokenPluginError(
        f"no {kind.title} is called {name!r}, and these plugins did not load: {listed}",
        hint=f"llamahome plugins {'lock --check' if drifted else f'check {lost[0].name}'}",
    )
