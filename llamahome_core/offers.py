"""What a plugin declares, of whatever kind, in one form: for lists of plugins and for checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from llamahome_core.components import Component, Kind, Ref
from llamahome_core.discovery import Plugin
from llamahome_core.errors import PluginError
from llamahome_core.registry import Catalog


@frozen
class Offer:
    """One thing that a plugin declares.

    Attributes:
        plugin: Who declares it.
        kind: ``data source``, ``stage``, ``service`` …
        name: Its name.
        summary: Its line in lists.
        refs: What it names and has not imported.
        missing: Modules that it needs and that are not installed.
        install: The command that brings them.
    """

    plugin: Plugin
    kind: str
    name: str
    summary: str
    refs: tuple[Ref, ...] = ()
    missing: tuple[str, ...] = ()
    install: str | None = None

    def plain(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "summary": self.summary,
            "missing": list(self.missing),
            "install": self.install,
        }


def offers_of(catalog: Catalog, warn: Callable[[str], None]) -> Iterator[Offer]:
    """All that is declared; asking for all of it also finds plugins that break late.

    Args:
        catalog: What the active plugins offer.
        warn: Called where two plugins are in conflict: this list is how one finds out which.
    """
    for kind in Kind:
        for plugin, component in catalog.components(kind):
            yield _component(plugin, kind, component)
    yield from _stages(catalog, warn)
    for plugin, command in catalog.commands().values():
        yield Offer(plugin, "command", command.name, command.summary, (command.command,))
    for plugin, recipe in catalog.recipes().values():
        yield Offer(plugin, "recipe", recipe.name, recipe.summary)
    for plugin, service in catalog.services():
        name = service.protocol.__name__
        yield Offer(plugin, "service", name, service.summary, (service.factory,))
    for plugin, check in catalog.checks():
        yield Offer(plugin, "check", check.name, check.summary, (check.run,))
    catalog.defaults()


def _stages(catalog: Catalog, warn: Callable[[str], None]) -> Iterator[Offer]:
    try:
        for plugin, stage in catalog.stages():
            refs = (stage.run, stage.plan) if stage.plan else (stage.run,)
            yield Offer(plugin, "stage", stage.name, stage.summary, refs)
    except PluginError as error:
        warn(error.message)


def _component(plugin: Plugin, kind: Kind, component: Component) -> Offer:
    missing = tuple(component.missing())
    return Offer(
        plugin,
        kind.title,
        component.name,
        component.summary,
        (component.factory,),
        missing,
        component.install_hint() if missing else None,
    )
