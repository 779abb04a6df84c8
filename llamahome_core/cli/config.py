"""``llamahome config`` and ``llamahome schema``: settings, their origins, their form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from llamahome_core.cli.help import Command, Group, as_json, assignments, completes, one_of
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, print_json, say, table, write
from llamahome_core.components import Kind
from llamahome_core.config import (
    ConfigError,
    Merged,
    Problem,
    Setting,
    SettingOrigin,
    describe,
    merge,
    parse_key,
    path_text,
    show_origins,
)
from llamahome_core.errors import suggest
from llamahome_core.registry import Catalog
from llamahome_core.terminal import aside


@click.group(cls=Group)
def config() -> None:
    """Show settings and where they come from; change them."""


_place = click.option(
    "--user/--project", "user", default=None, help="The user's file, or the workspace's."
)


@config.command(
    "show",
    examples=[
        ("llamahome config show --origin", "settings, and the file and line of each"),
        ("llamahome config show --all recipe.toml", "defaults too, as a run would use them"),
    ],
)
@click.argument("recipe", required=False, shell_complete=completes("recipes"))
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


@config.command(
    "get",
    examples=[
        ("llamahome config get train.clip", "the value in effect, defaults too"),
        ("llamahome config get train --user", "what the user's file says of a table"),
    ],
)
@click.argument("key", shell_complete=completes("keys"))
@_place
@as_json
@click.pass_obj
def get(state: State, *, key: str, user: bool | None, as_json: bool) -> None:
    """Print the value of KEY, such as `train.steps`; of a table, each of its values."""
    from llamahome_core import changes

    kernel = state.lenient_kernel
    if user is None:
        merged = kernel.settings()
        rows = show_origins(merged) + defaults(kernel.catalog, merged)
    else:
        rows = show_origins(merge(changes.documents(kernel, user=user)))
    name = path_text(parse_key(key))
    found = [row for row in rows if row.key == name or row.key.startswith(f"{name}.")]
    if not found:
        raise ConfigError([_no_such(name, rows, is_all=user is None)])
    if as_json:
        print_json("config", settings=[{"key": r.key, "value": r.value} for r in found])
    elif found[0].key == name:
        echo(found[0].text)
    else:
        table(("KEY", "VALUE"), [(r.key, r.text) for r in found])


def _no_such(name: str, rows: list[SettingOrigin], *, is_all: bool) -> Problem:
    close = suggest(name, [row.key for row in rows])
    fix = f"did you mean {' or '.join(f'`{word}`' for word in close)}?" if close else None
    words = f"there is no setting `{name}`" if is_all else f"`{name}` is not set there"
    return Problem("C101" if is_all else "C103", words, fix=fix)


@config.command(
    "set",
    examples=[
        ("llamahome config set train.clip 0.5", "in this workspace"),
        ("llamahome config set --user network.offline true", "for this user, everywhere"),
    ],
)
@click.argument("key", shell_complete=completes("keys"))
@click.argument("value", shell_complete=completes("values"))
@_place
@click.pass_obj
def set_(state: State, *, key: str, value: str, user: bool | None) -> None:
    """Set KEY to VALUE in the workspace's settings, or the user's; comments stay.

    VALUE is read as after --set. What would make the settings wrong changes nothing.
    """
    _change(state, key, value, user=bool(user))


@config.command(
    "unset",
    examples=[("llamahome config unset train.clip", "what it was before, or the default")],
)
@click.argument("key", shell_complete=completes("keys"))
@_place
@click.pass_obj
def unset(state: State, *, key: str, user: bool | None) -> None:
    """Remove KEY from the workspace's settings, or the user's; comments stay."""
    _change(state, key, None, user=bool(user))


def _change(state: State, key: str, value: str | None, *, user: bool) -> None:
    from llamahome_core import changes

    kernel = state.lenient_kernel  # to change settings is how one mends them
    with aside():  # settings classes are code of plugins
        file = changes.change(kernel, key, value, user=user)
    write(str(file))
    merged = kernel.settings()
    name = path_text(parse_key(key))
    row = next((row for row in show_origins(merged) if row.key == name), None)
    origin = merged.origins.get(parse_key(key))
    if row and origin and (value is None or origin.path != file):
        say(f"in effect is still {row.text}: {row.origin}")


def defaults(catalog: Catalog, merged: Merged) -> list[SettingOrigin]:
    """Settings that no layer sets: of the kernel's tables, commands and chosen components.

    Raises:
        UnknownNameError: A chosen component does not exist.
    """
    from llamahome_core.root import Root

    found = [
        pair
        for setting in describe(Root)
        if setting.name not in {"command", *(kind.value for kind in Kind)}
        for pair in _leaves(setting, ())
    ]
    for name, (_, command) in catalog.commands().items():
        settings = describe(command.config)
        found += [pair for setting in settings for pair in _leaves(setting, ("command", name))]
    for kind, at, use in chosen(merged):
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


def chosen(merged: Merged) -> Iterator[tuple[Kind, tuple[str | int, ...], str]]:
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
    examples=[
        ("llamahome schema > recipe.schema.json", "for the completion of an editor"),
        ("llamahome schema --write", "those of all files, in the workspace's .config/schema"),
    ],
)
@click.argument(
    "form",
    default="recipe",
    callback=one_of(("recipe", "settings", "models")),
    shell_complete=completes("forms"),
)
@click.option("--write", "into_files", is_flag=True, help="Write all to .config/schema instead.")
@click.pass_obj
def schema(state: State, *, form: str, into_files: bool) -> None:
    """Print the JSON schema of a `recipe`, of `settings`, or of the catalogue `models`.

    It has the settings of all active plugins: write it anew when you install one.
    """
    from llamahome_core import files
    from llamahome_core.schema import SCHEMAS

    kernel = state.kernel
    with aside():  # settings classes are code of plugins
        wanted = SCHEMAS if into_files else {form: SCHEMAS[form]}
        made = {name: make(kernel.catalog) for name, make in wanted.items()}
    if not into_files:
        write(json.dumps(made[form], indent=2, ensure_ascii=False))
        return
    for name, found in made.items():
        path = kernel.workspace.config / "schema" / f"{name}.json"
        files.write_json(path, found)
        write(str(path))
