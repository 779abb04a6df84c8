"""``llamahome config`` and ``llamahome schema``: settings, their origins, their form."""

from __future__ import annotations

import json

import click

from llamahome_core.cli.main import State
from llamahome_core.cli.output import print_json, table
from llamahome_core.cli.plan import as_json
from llamahome_core.config import show_origins
from llamahome_core.schema import recipe_schema


@click.group()
def config() -> None:
    """Show settings and where they come from."""


@config.command("show")
@click.argument("recipe", required=False)
@click.option("--origin", is_flag=True, help="Where each value comes from.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE")
@as_json
@click.pass_obj
def show(
    state: State,
    recipe: str | None,
    origin: bool,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show every setting that is set, of RECIPE too if it is given; defaults are in `show`."""
    merged = state.kernel.settings(recipe, assignments)
    rows = show_origins(merged)
    if as_json:
        print_json(
            "config",
            settings=[{"key": row.key, "value": row.value, "origin": row.origin} for row in rows],
        )
    elif origin:
        table(("KEY", "VALUE", "ORIGIN"), [(r.key, r.value, r.origin) for r in rows])
    else:
        table(("KEY", "VALUE"), [(r.key, r.value) for r in rows])


@click.command()
@click.pass_obj
def schema(state: State) -> None:
    """Print the JSON schema of recipes, with the settings of all active plugins."""
    click.echo(json.dumps(recipe_schema(state.kernel.catalog), indent=2, ensure_ascii=False))
