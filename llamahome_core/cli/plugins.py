"""``llamahome plugins``: what is installed, who brings what, what is broken."""

from __future__ import annotations

import traceback
from typing import Any

import click

from llamahome_core.cli.main import State
from llamahome_core.cli.output import print_json, table
from llamahome_core.cli.plan import as_json
from llamahome_core.components import Kind
from llamahome_core.discovery import Plugin
from llamahome_core.errors import UnknownNameError, suggest
from llamahome_core.kernel import Kernel


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List installed plugins, check one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins, as_json=as_json)


@plugins.command("list")
@as_json
@click.pass_obj
def list_plugins(state: State, as_json: bool) -> None:
    """List installed plugins with what became of each, and what is unavailable and why."""
    kernel = state.kernel
    offers = _offers(kernel)
    if as_json:
        print_json("plugins", plugins=[_record(p, offers.get(p.name, [])) for p in _all(kernel)])
        return
    rows: list[tuple[str, ...]] = []
    for plugin in _all(kernel):
        rows.append((plugin.name, plugin.status, plugin.origin, _about(plugin, offers)))
        rows += [
            ("", "unavailable", f"{o['kind']} {o['name']}", o["install"])
            for o in offers.get(plugin.name, [])
            if o["missing"]
        ]
    table(("PLUGIN", "STATUS", "FROM", "ABOUT"), rows)


def _all(kernel: Kernel) -> list[Plugin]:
    return sorted(kernel.plugins.all, key=lambda p: p.name)


def _about(plugin: Plugin, offers: dict[str, list[dict[str, Any]]]) -> str:
    if plugin.error is not None:
        text = f"{type(plugin.error).__name__}: {plugin.error}".splitlines()[0]
        return f"{text} (llamahome plugins check {plugin.name})"
    return ", ".join(f"{o['kind']} {o['name']}" for o in offers.get(plugin.name, []))


def _offers(kernel: Kernel) -> dict[str, list[dict[str, Any]]]:
    """Every component, by plugin; asking for all kinds also finds plugins that break late."""
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in Kind:
        for plugin, component in kernel.catalog.components(kind):
            missing = component.missing()
            record: dict[str, Any] = {"kind": kind.title, "name": component.name}
            record |= {"summary": component.summary, "missing": missing}
            record["install"] = component.install_hint() if missing else None
            found.setdefault(plugin.name, []).append(record)
    for name, (plugin, command) in kernel.catalog.commands().items():
        found.setdefault(plugin.name, []).append(
            {"kind": "command", "name": name, "summary": command.summary, "missing": []}
        )
    kernel.catalog.services()
    kernel.catalog.stages()
    return found


def _record(plugin: Plugin, offers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "status": plugin.status,
        "origin": plugin.origin,
        "module": plugin.entry.value if plugin.entry else None,
        "error": f"{type(plugin.error).__name__}: {plugin.error}" if plugin.error else None,
        "components": offers,
    }


@plugins.command("check")
@click.argument("name")
@as_json
@click.pass_context
def check_plugin(ctx: click.Context, name: str, as_json: bool) -> None:
    """Load the plugin NAME, its factories too; exit code 1 and the traceback if it is broken."""
    kernel = ctx.ensure_object(State).kernel
    offers = _offers(kernel)
    found = [p for p in kernel.plugins.all if p.name == name]
    if not found:
        close = suggest(name, [p.name for p in kernel.plugins.all])
        raise UnknownNameError(
            f"no plugin is called {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else "llamahome plugins",
        )
    plugin = found[0]
    problems = [] if plugin.status == "active" else [f"the plugin is {plugin.status}"]
    problems += _unloadable(kernel, name) if plugin.status == "active" else []
    if as_json:
        print_json("plugin", **_record(plugin, offers.get(name, [])), problems=problems)
    else:
        click.echo(f"{plugin.name}  {plugin.status}  {plugin.origin}")
        if plugin.error is not None:
            click.echo("".join(traceback.format_exception(plugin.error)).rstrip())
        for problem in problems:
            click.echo(f"problem: {problem}")
    ctx.exit(1 if problems else 0)


def _unloadable(kernel: Kernel, name: str) -> list[str]:
    problems = []
    for kind in Kind:
        for plugin, component in kernel.catalog.components(kind):
            if plugin.name != name or component.missing():
                continue
            try:
                component.factory.load()
            except Exception as error:  # noqa: BLE001  # the point is to report it
                problems.append(f"{kind.title} {component.name}: {error}")
    return problems
