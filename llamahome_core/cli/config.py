"""``llamahome config`` and ``llamahome schema``: settings, their origins, their form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from llamahome_core.cli.help import Command, Group, as_json, assignments
from llamahome_core.cli.main import State
from llamahome_core.cli.output import print_json, table, write
from llamahome_core.components import Kind
from llamahome_core.config import Merged, Setting, SettingOrigin, describe, path_text, show_origins
from llamahome_core.registry import Catalog


@click.group(cls=Group)
def config() -> None:
    """Show settings and where they come from."""


@config.command(
    "show",
    examples=[
        ("llamahome config show --origin", "settings, and the file and line of each"),
        ("llamahome config show --all recipe.toml", "defaults too, as a run would use them"),
    ],
)
@click.argument("recipe", required=False)
@click.option("--origin", is_flag=True, help="Where each value comes from, and what it hides.")
@click.option("--all", "everything", is_flag=True, help="Defaults too.")
@assignments
@as_json
@click.pass_obj
def show(  # one for each option
    state: State,
    *,
    recipe: str | None,
    origin: bool,
    everything: bool,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the settings of all layers, and those of RECIPE if it is given. Secrets are covered.

    Shows what is written, right or wrong; `llamahome check` says what is wrong.
    """
    kernel = state.lenient_kernel  # to see them is how one mends them
    merged = kernel.settings(recipe, assignments)
    rows = show_origins(merged)
    if everything:
        rows += defaults(kernel.catalog, merged)
    if as_json:
        print_json(
            "config",
            settings=[{"key": row.key, "value": row.value, "origin": row.origin} for row in rows],
        )
    elif origin:
        table(("KEY", "VALUE", "ORIGIN"), [(r.key, r.text, r.origin) for r in rows])
    else:
        table(("KEY", "VALUE"), [(r.key, r.text) for r in rows])


def defaults(catalog: Catalog, merged: Merged) -> list[SettingOrigin]:
    """Settings that no layer sets: of the kernel's tables and of the chosen components.

    Raises:
        UnknownNameError: A chosen component does not exist.
    """
    from llamahome_core.root import Root

    found = [
        pair
        for setting in describe(Root)
        if setting.name not in {kind.value for kind in Kind}
        for pair in _leaves(setting, ())
    ]
    for kind, at, use in _chosen(merged):
        _, component = catalog.find(kind, use)
        found += [
            ((*at, "use"), use),
            *(pair for setting in describe(component.config) for pair in _leaves(setting, at)),
        ]
    return [
        SettingOrigin(path_text(path), value, "default")
        for path, value in found
        if path not in merged.origins
    ]


def _leaves(setting: Setting, at: tuple[str | int, ...]) -> Iterator[tuple[Any, Any]]:
    path = (*at, setting.name)
    # [models] is a table of tables: it has no keys of its own to list.
    if setting.settings and path != ("models",):
        for inner in setting.settings:
            yield from _leaves(inner, path)
    elif not setting.required:
        yield path, setting.default


def _chosen(merged: Merged) -> Iterator[tuple[Kind, tuple[str | int, ...], str]]:
    """Kind, place and name of each component that the layers choose, or that is the default."""
    from llamahome_core.root import DEFAULTS

    for kind in Kind:
        for at, entry in _tables(kind, merged.data.get(kind.value)):
            use = entry.get("use", DEFAULTS.get(kind)) if isinstance(entry, dict) else None
            if isinstance(use, str):
                yield kind, at, use


def _tables(kind: Kind, found: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if not kind.many:
        yield (kind.value,), {} if found is None else found
    elif isinstance(found, list):
        yield from (((kind.value, index), entry) for index, entry in enumerate(found))


@click.command(
    cls=Command,
    examples=[("llamahome schema > recipe.schema.json", "for the completion of an editor")],
)
@click.pass_obj
def schema(state: State) -> None:
    """Print the JSON schema of recipes, with the settings of all active plugins."""
    from llamahome_core.schema import recipe_schema

    write(json.dumps(recipe_schema(state.kernel.catalog), indent=2, ensure_ascii=False))
