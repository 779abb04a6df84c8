"""``llamahome show``: components, tables and their settings, from the settings classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import click

from llamahome_core.cli.help import Command, as_json, completes, one_of
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, print_json, table
from llamahome_core.components import Command as Declared
from llamahome_core.components import Component, Kind
from llamahome_core.config import Setting, describe
from llamahome_core.discovery import Plugin
from llamahome_core.errors import LlamaHomeError, UnknownNameError, suggest
from llamahome_core.recipe import Tables
from llamahome_core.registry import Catalog

KINDS = {kind.title.replace(" ", "-"): kind for kind in Kind}
# A recipe's own word for a kind is as good: `data` for `data-source`.
ALIASES = {kind.value: kind for kind in Kind}
TABLES = tuple(table.name for table in attrs.fields(Tables))


@click.command(
    cls=Command,
    examples=[
        ("llamahome show", "all kinds and tables"),
        ("llamahome show optimizer", "the optimizers that are installed"),
        ("llamahome show optimizer adamw", "one, with all its settings"),
        ("llamahome show train", "the settings of the table [train]"),
        ("llamahome show command", "the commands of plugins, and their settings"),
    ],
)
@click.argument(
    "kind",
    required=False,
    callback=one_of([*KINDS, *ALIASES, *TABLES, "command"]),
    shell_complete=completes("kinds"),
)
@click.argument("name", required=False, shell_complete=completes("named"))
@as_json
@click.pass_obj
def show(state: State, kind: str | None, name: str | None, as_json: bool) -> None:
    """Describe what a recipe can say: a KIND of component, the one called NAME, or a table.

    `command` describes the settings of plugins' commands.
    """
    catalog = state.kernel.catalog
    if kind is None:
        _overview(catalog, as_json=as_json)
    elif kind == "command":
        _commands(catalog, name, as_json=as_json)
    elif kind in TABLES:
        _table(kind, name, as_json=as_json)
    else:
        wanted = KINDS.get(kind) or ALIASES[kind]
        if name is None:
            _components(catalog, wanted, as_json=as_json)
        else:
            _component(catalog, wanted, name, as_json=as_json)


def _overview(catalog: Catalog, *, as_json: bool) -> None:
    owned = {word: catalog.components(kind) for word, kind in KINDS.items()}
    kinds = {word: [c.name for _, c in found] for word, found in owned.items()}
    tables = {name: [setting.name for setting in _settings_of(name)] for name in TABLES}
    for name, (plugin, command) in catalog.commands().items():
        if settings := _described(plugin, command.name, command.config):
            tables[f"command.{name}"] = [setting.name for setting in settings]
    if as_json:
        print_json("show", kinds=kinds, tables=tables)
        return
    shown = [(word, ", ".join(map(_named, found))) for word, found in owned.items()]
    table(("KIND", "COMPONENTS"), shown)
    echo()
    table(("TABLE", "SETTINGS"), [(name, ", ".join(keys)) for name, keys in tables.items()])


def _named(owned: tuple[Plugin, Component]) -> str:
    """Its name and, if it is a third party's, whose."""
    plugin, component = owned
    return component.name if plugin.is_own else f"{component.name} (from {plugin.owner})"


def _settings_of(name: str) -> Sequence[Setting]:
    from llamahome_core.root import Root

    return next(setting.settings for setting in describe(Root) if setting.name == name)


def _table(name: str, key: str | None, *, as_json: bool) -> None:
    settings = _settings_of(name)
    if key is not None:
        known = [setting.name for setting in settings]
        if key not in known:
            close = suggest(key, known)
            raise UnknownNameError(
                f"[{name}] has no setting {key!r}",
                hint=f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}",
            )
        settings = [setting for setting in settings if setting.name == key]
    if as_json:
        print_json("table", name=name, settings=[_record(setting) for setting in settings])
        return
    echo(f"[{name}]")
    _echo(settings)


def _components(catalog: Catalog, kind: Kind, *, as_json: bool) -> None:
    owned = catalog.components(kind)
    if as_json:
        print_json(
            "components",
            kind=kind.title.replace(" ", "-"),
            components=[_head(plugin, component) for plugin, component in owned],
        )
        return
    rows = [(c.name, p.name, p.origin, _about(c)) for p, c in owned]
    table(("NAME", "PLUGIN", "FROM", "ABOUT"), rows)


def _about(component: Component) -> str:
    return f"{component.summary}{' (unavailable)' if component.missing() else ''}"


def _component(catalog: Catalog, kind: Kind, name: str, *, as_json: bool) -> None:
    plugin, component = catalog.find(kind, name)
    settings = _described(plugin, name, component.config)
    if as_json:
        title = kind.title.replace(" ", "-")
        records = [_record(setting) for setting in settings]
        print_json("component", kind=title, **_head(plugin, component), settings=records)
        return
    echo(f"{component.name} ({kind.title}, from {plugin.name}, {plugin.origin})")
    echo(f"  {component.summary}")
    if missing := component.missing():
        echo(f"  unavailable: {', '.join(missing)} missing; {component.install_hint()}")
    _echo(settings)
    if not settings:
        echo("\n  It has no settings.")


def _described(plugin: Plugin, name: str, config: type) -> Sequence[Setting]:
    try:
        return describe(config)
    except TypeError as error:
        raise LlamaHomeError(
            f"plugin {plugin.owner}: the settings of {name!r} cannot be described: {error}",
            hint=f"llamahome plugins check {plugin.name}",
            code="P201",
        ) from error


def _commands(catalog: Catalog, name: str | None, *, as_json: bool) -> None:
    """The commands of plugins, or the settings of the one called *name*."""
    owned = catalog.commands()
    rows = [(c.name, p.name, p.origin, c.summary) for p, c in owned.values()]
    keys = ("name", "plugin", "origin", "summary")
    if name is None and as_json:
        print_json("commands", commands=[dict(zip(keys, row, strict=True)) for row in rows])
    elif name is None:
        table(("NAME", "PLUGIN", "FROM", "ABOUT"), rows)
    elif name not in owned:
        close = suggest(name, owned)
        raise UnknownNameError(
            f"no plugin has a command {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else f"known: {', '.join(owned)}",
        )
    else:
        _command(*owned[name], as_json=as_json)


def _command(plugin: Plugin, command: Declared, *, as_json: bool) -> None:
    settings = _described(plugin, command.name, command.config)
    about = {"plugin": plugin.name, "origin": plugin.origin, "summary": command.summary}
    if as_json:
        records = [_record(setting) for setting in settings]
        print_json("command", name=command.name, **about, settings=records)
        return
    echo(f"[command.{command.name}] (from {plugin.name}, {plugin.origin})")
    echo(f"  {command.summary}")
    _echo(settings)
    if not settings:
        echo("\n  It has no settings.")


def _head(plugin: Plugin, component: Component) -> dict[str, Any]:
    missing = component.missing()
    return {
        "name": component.name,
        "plugin": plugin.name,
        "origin": plugin.origin,
        "summary": component.summary,
        "missing": missing,
        "install": component.install_hint() if missing else None,
    }


def _echo(settings: Sequence[Setting]) -> None:
    for name, setting in _flat(settings, ""):
        echo(f"\n  {name}: {setting.type}{_default(setting)}")
        if setting.help:
            echo(click.wrap_text(setting.help, 88, "      ", "      "))
        if setting.constraint:
            echo(f"      {setting.constraint}")


def _flat(settings: Sequence[Setting], prefix: str) -> Iterator[tuple[str, Setting]]:
    """Settings and those of the tables among them, as ``table.key``."""
    for setting in settings:
        yield f"{prefix}{setting.name}", setting
        yield from _flat(setting.settings, f"{prefix}{setting.name}.")


def _default(setting: Setting) -> str:
    if setting.required:
        return "  (required)"
    if setting.default is None:
        return "  (not set)"
    import json

    return f" = {json.dumps(setting.default, ensure_ascii=False, default=str)}"


def _record(setting: Setting) -> dict[str, Any]:
    return {
        "name": setting.name,
        "type": setting.type,
        "required": setting.required,
        "default": None if setting.required else setting.default,
        "help": setting.help,
        "constraint": setting.constraint,
        "choices": list(setting.choices),
        "settings": [_record(inner) for inner in setting.settings],
    }
