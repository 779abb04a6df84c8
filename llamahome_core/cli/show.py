"""``llamahome show``: a component and its settings, from its settings class."""

from __future__ import annotations

import click

from llamahome_core.cli.main import State
from llamahome_core.cli.output import print_json, table
from llamahome_core.cli.plan import as_json
from llamahome_core.components import Kind
from llamahome_core.config import Setting, describe

KINDS = {kind.title.replace(" ", "-"): kind for kind in Kind}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name", required=False)
@as_json
@click.pass_obj
def show(state: State, kind: str, name: str | None, as_json: bool) -> None:
    """List the components of KIND, or describe the one called NAME with all its settings."""
    catalog, wanted = state.kernel.catalog, KINDS[kind]
    if name is None:
        owned = catalog.components(wanted)
        if as_json:
            print_json(
                "components",
                kind=kind,
                components=[
                    {"name": c.name, "plugin": p.name, "origin": p.origin, "summary": c.summary}
                    for p, c in owned
                ],
            )
            return
        table(("NAME", "PLUGIN", "ABOUT"), [(c.name, p.name, c.summary) for p, c in owned])
        return
    plugin, component = catalog.find(wanted, name)
    settings = describe(component.config)
    if as_json:
        print_json(
            "component",
            kind=kind,
            name=component.name,
            plugin=plugin.name,
            origin=plugin.origin,
            summary=component.summary,
            missing=component.missing(),
            settings=[_record(setting) for setting in settings],
        )
        return
    click.echo(f"{component.name} ({kind}, from {plugin.name}, {plugin.origin})")
    click.echo(f"  {component.summary}")
    if missing := component.missing():
        click.echo(f"  unavailable: {', '.join(missing)} missing; {component.install_hint()}")
    for setting in settings:
        click.echo(f"\n  {setting.name}: {setting.type}{_default(setting)}")
        click.echo(f"      {setting.help}")
        if setting.constraint:
            click.echo(f"      {setting.constraint}")


def _default(setting: Setting) -> str:
    return "  (required)" if setting.required else f" = {setting.default}"


def _record(setting: Setting) -> dict[str, object]:
    return {
        "name": setting.name,
        "type": setting.type,
        "required": setting.required,
        "default": None if setting.required else setting.default,
        "help": setting.help,
        "constraint": setting.constraint,
    }
