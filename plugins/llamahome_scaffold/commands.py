"""``llamahome new``: a plugin that passes its own tests, a recipe that can be checked."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from llamahome_core import Kind, WorkspaceError, files
from llamahome_scaffold import templates
from llamahome_scaffold.names import check_name, values_of

ALIASES = {kind.value: kind.title.replace(" ", "-") for kind in Kind}
"""A recipe's own word for a kind is as good: ``data`` for ``data-source``."""


@click.group()
def new() -> None:
    """Write a new plugin or recipe."""


def kernel_of(command: click.Context) -> Any:
    """The kernel that the command line was started with."""
    return getattr(command.obj, "kernel", command.obj)


def _kinds(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> list[str]:
    known = templates.kinds()
    chosen = [ALIASES.get(word, word) for word in given] or [templates.DEFAULT]
    for word in chosen:
        if word not in known:
            raise click.BadParameter(f"{word!r} is none of {', '.join(known)}")
    return list(dict.fromkeys(chosen))


@new.command()
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    callback=_kinds,
    metavar="KIND",
    help=f"What it offers; may be given several times. Of: {', '.join(templates.kinds())}.",
)
@click.option(
    "--into", type=click.Path(file_okay=False), default=".", help="Folder to put the package in."
)
@click.pass_context
def plugin(command: click.Context, /, name: str, kinds: list[str], into: str) -> None:
    """Write a package llamahome-NAME: a plugin with working code, a README and tests.

    It offers a data source, or what --kind says. It passes its tests at once; then make it yours.
    """
    root = command.find_root()
    group = root.command
    commands = group.list_commands(root) if isinstance(group, click.Group) else ()
    check_name(name, kinds, kernel_of(command), commands)
    folder = Path(into).expanduser() / f"llamahome-{name}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WorkspaceError(
            f"{folder} exists already", hint="choose another name, or --into another folder"
        )
    values = values_of(name)
    for path, text in templates.write_package(kinds, values).items():
        files.write_text(folder / path, text)
    click.echo(str(folder))
    quoted = shlex.quote(str(folder))
    click.echo(f"install: pip install -e {quoted}", err=True)
    click.echo(f"test:    pytest {quoted}", err=True)
    uses = [templates.read_kind(kind, values).head["use"] for kind in kinds]
    click.echo(f"use:     {'; '.join(uses)}", err=True)
