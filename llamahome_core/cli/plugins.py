"""``llamahome plugins``: what is installed, who brings what, what is broken."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import click
from attrs import frozen

from llamahome_core.cli.help import Group, as_json
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, print_json, say, table
from llamahome_core.components import Component, Kind, Ref
from llamahome_core.discovery import Plugin
from llamahome_core.errors import PluginError, UnknownNameError, suggest
from llamahome_core.kernel import Kernel
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


@click.group(
    cls=Group,
    invoke_without_command=True,
    examples=[
        ("llamahome plugins", "what is installed, and what each brings"),
        ("llamahome plugins check NAME", "load one, and say what is wrong with it"),
    ],
)
@as_json
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List installed plugins, check one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins, as_json=as_json)


@plugins.command("list", examples=[("llamahome plugins list --json", "for a script")])
@as_json
@click.pass_obj
def list_plugins(state: State, as_json: bool) -> None:
    """List installed plugins with what became of each, and what is unavailable and why."""
    kernel = state.kernel
    offers = list(offers_of(kernel))
    found = sorted(kernel.plugins.all, key=lambda p: p.name)
    if as_json:
        print_json("plugins", plugins=[_record(plugin, offers) for plugin in found])
        return
    rows: list[tuple[str, ...]] = []
    for plugin in found:
        rows.append((plugin.name, plugin.status, plugin.origin, _about(plugin, offers)))
        rows += [
            (plugin.name, "unavailable", plugin.origin, f"{o.kind} {o.name}: {o.install}")
            for o in offers
            if o.plugin is plugin and o.missing
        ]
    table(("PLUGIN", "STATUS", "ORIGIN", "ABOUT"), rows)


def _about(plugin: Plugin, offers: list[Offer]) -> str:
    """Why it is broken, or its names after their kind: ``schedule constant, linear``."""
    if plugin.error is not None:
        text = f"{type(plugin.error).__name__}: {plugin.error}".splitlines()[0]
        return f"{text} (llamahome plugins check {plugin.name})"
    kinds: dict[str, list[str]] = {}
    for offer in offers:
        if offer.plugin is plugin and not offer.missing and offer.kind not in {"service", "check"}:
            kinds.setdefault(offer.kind, []).append(offer.name)
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items())


def offers_of(kernel: Kernel) -> Iterator[Offer]:
    """All that is declared; asking for all of it also finds plugins that break late."""
    catalog = kernel.catalog
    for kind in Kind:
        for plugin, component in catalog.components(kind):
            yield _component(plugin, kind, component)
    yield from _stages(catalog)
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


def _stages(catalog: Catalog) -> Iterator[Offer]:
    try:
        for plugin, stage in catalog.stages():
            refs = (stage.run, stage.plan) if stage.plan else (stage.run,)
            yield Offer(plugin, "stage", stage.name, stage.summary, refs)
    except PluginError as error:  # two plugins in conflict: this list is how one finds out which
        say(f"warning: {error.message}")


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


def _record(plugin: Plugin, offers: list[Offer]) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "status": plugin.status,
        "origin": plugin.origin,
        "module": plugin.entry.value if plugin.entry else None,
        "error": f"{type(plugin.error).__name__}: {plugin.error}" if plugin.error else None,
        "offers": [
            {
                "kind": offer.kind,
                "name": offer.name,
                "summary": offer.summary,
                "missing": list(offer.missing),
                "install": offer.install,
            }
            for offer in offers
            if offer.plugin is plugin
        ],
    }


@plugins.command("check", examples=[("llamahome plugins check training", "does all of it import?")])
@click.argument("name")
@as_json
@click.pass_context
def check_plugin(ctx: click.Context, name: str, as_json: bool) -> None:
    """Load the plugin NAME and all that it names; show what is wrong with it.

    Imports heavy packages such as torch. The exit code is 1 if something is wrong.
    """
    kernel = ctx.ensure_object(State).kernel
    offers = list(offers_of(kernel))
    found = [p for p in kernel.plugins.all if p.name == name]
    if not found:
        close = suggest(name, [p.name for p in kernel.plugins.all])
        raise UnknownNameError(
            f"no plugin is called {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else "llamahome plugins",
        )
    # Of several with one name, the one that is not shadowed.
    plugin = min(found, key=lambda p: p.status == "shadowed")
    problems = list(_problems(plugin, offers))
    if as_json:
        print_json("plugin", **_record(plugin, offers), problems=problems)
    else:
        echo(f"{plugin.name}  {plugin.status}  {plugin.origin}")
        if plugin.error is not None:
            echo("".join(traceback.format_exception(plugin.error)).rstrip())
        for problem in problems:
            echo(f"problem: {problem}")
        if not problems:
            echo(f"{sum(o.plugin is plugin for o in offers)} offers, all of them importable")
    ctx.exit(1 if problems else 0)


def _problems(plugin: Plugin, offers: list[Offer]) -> Iterator[str]:
    if plugin.status != "active":
        yield f"the plugin is {plugin.status}"
        return
    for offer in offers:
        if offer.plugin is not plugin or offer.missing:
            continue
        for ref in offer.refs:
            try:
                ref.load()
            except PluginError as error:
                yield f"{offer.kind} {offer.name}: {error.message}"
