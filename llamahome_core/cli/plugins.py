"""``llamahome plugins``: what is installed, who brings what, what is broken."""

from __future__ import annotations

from typing import Any

import click
from attrs import asdict, evolve

from llamahome_core import deprecated
from llamahome_core.checking import examine_apart
from llamahome_core.cli.help import Group, as_json, completes
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, print_json, say, table, warn
from llamahome_core.cli.policy import careful_kernel, disable, enable, lock
from llamahome_core.discovery import Plugin
from llamahome_core.errors import no_plugin
from llamahome_core.inspection import Report, examine
from llamahome_core.kernel import Kernel
from llamahome_core.offers import Offer, offers_of
from llamahome_core.requirements import misfit


@click.group(
    cls=Group,
    invoke_without_command=True,
    examples=[
        ("llamahome plugins", "what is installed, and what each brings"),
        ("llamahome plugins check NAME", "load one, and say what is wrong with it"),
        ("llamahome plugins disable NAME", "never import it"),
        ("llamahome plugins lock", "write down what each is now"),
    ],
)
@as_json
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List installed plugins, check one, choose and lock them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins, as_json=as_json)


@plugins.command("list", examples=[("llamahome plugins list --json", "for a script")])
@as_json
@click.pass_obj
def list_plugins(state: State, as_json: bool) -> None:
    """List installed plugins with what became of each, and what is unavailable and why."""
    kernel = state.kernel
    offers = list(offers_of(kernel.catalog, warn))
    for _, text in deprecated.hooks(kernel.plugins):
        warn(text)
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
    """Why it is not active, or its names after their kind: ``schedule constant, linear``."""
    if plugin.error is not None:
        return f"{plugin.why} (llamahome plugins check {plugin.name})"
    if plugin.reason is not None:
        return plugin.reason
    kinds: dict[str, list[str]] = {}
    for offer in offers:
        if offer.plugin is plugin and not offer.missing and offer.kind not in {"service", "check"}:
            kinds.setdefault(offer.kind, []).append(offer.name)
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds.items())


def _record(plugin: Plugin, offers: list[Offer]) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "status": plugin.status,
        "origin": plugin.origin,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": plugin.entry.value if plugin.entry else None,
        "error": f"{type(plugin.error).__name__}: {plugin.error}" if plugin.error else None,
        "reason": plugin.why,
        "offers": [offer.plain() for offer in offers if offer.plugin is plugin],
    }


@plugins.command("check", examples=[("llamahome plugins check training", "does all of it import?")])
@click.argument("name", shell_complete=completes("plugins"))
@as_json
@click.pass_context
def check(ctx: click.Context, name: str, as_json: bool) -> None:
    """Load the plugin NAME and all that it names; show what is wrong with it.

    An installed plugin is loaded in a process of its own, with limits of time and memory, and no
    other is loaded with it. Imports heavy packages such as torch. The exit code is 1 if something
    is wrong.
    """
    kernel = careful_kernel(ctx.ensure_object(State))
    found = [p for p in kernel.plugins.all if p.name == name]
    if not found:
        raise no_plugin(name, [p.name for p in kernel.plugins.all])
    # Of several with one name, the one that is not shadowed.
    plugin = min(found, key=lambda p: p.status == "shadowed")
    report = _report(plugin, kernel)
    if report.printed:
        say(report.printed)
    if as_json:
        print_json("plugin", **_record(plugin, []) | asdict(report))
    else:
        echo(f"{plugin.name}  {report.status}  {plugin.origin}")
        if report.traceback is not None:
            echo(report.traceback)
        for text in report.warnings:
            echo(f"warning: {text}")
        for problem in report.problems:
            echo(f"problem: {problem}")
        if not report.problems:
            echo(f"{len(report.offers)} offers, all of them importable")
    ctx.exit(1 if report.problems else 0)


def _report(plugin: Plugin, kernel: Kernel) -> Report:
    if kernel.settings_error is not None:  # nobody knows what the lock allows
        raise kernel.settings_error
    if plugin.status == "shadowed":
        return Report(status="shadowed", problems=["the plugin is shadowed"])
    reason = evolve(kernel.plugins.policy, own=False).objection(plugin)
    if reason is not None:
        return Report(status="blocked", problems=[f"the plugin is blocked: {reason}"])
    report = examine_apart(plugin) if plugin.entry else examine(plugin)
    if report.status == "broken" and plugin.entry and plugin.entry.dist and not plugin.is_own:
        unfit = misfit(plugin.entry.dist)
        report.problems += [unfit] if unfit else []
    return report


for _command in (enable, disable, lock):
    plugins.add_command(_command)
