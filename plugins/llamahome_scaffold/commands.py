"""``llamahome new``: a plugin that passes its own tests, a recipe that can be checked."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click

from llamahome_core import Kind, command_kernel, files
from llamahome_scaffold import templates
from llamahome_scaffold.convert import DIALECTS, convert
from llamahome_scaffold.names import check_name, values_of
from llamahome_scaffold.recipes import minimal_recipe, render

ALIASES = {kind.value: kind.title.replace(" ", "-") for kind in Kind}
"""A recipe's own word for a kind is as good: ``data`` for ``data-source``."""


@click.group()
def new() -> None:
    """Write a new plugin or recipe."""


def _kinds(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> list[str]:
    known = templates.kinds()
    chosen = [ALIASES.get(word, word) for word in given] or [templates.DEFAULT]
    for word in chosen:
        if word not in known:
            raise click.BadParameter(f"{word!r} is none of {', '.join(known)}")
    return list(dict.fromkeys(chosen))


def _list_of_kinds() -> str:
    """What a plugin can offer, one a line, for the help."""
    known = templates.summaries()
    wide = max(map(len, known))
    lines = [f"  {kind.ljust(wide)}  {about}" for kind, about in known.items()]
    return "\n".join(["\b", "Kinds:", *lines])


@new.command(
    short_help="A package with working code and tests.",
    epilog=_list_of_kinds(),
)
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    callback=_kinds,
    metavar="KIND",
    help="What it offers; may be given several times.",
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
    check_name(name, kinds, command_kernel(command), commands)
    folder = Path(into).expanduser() / f"llamahome-{name}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"{folder} exists already: choose another name or folder")
    values = values_of(name)
    for path, text in templates.write_package(kinds, values).items():
        files.write_text(folder / path, text)
    click.echo(str(folder))
    quoted = shlex.quote(str(folder))
    click.echo(f"install: pip install -e {quoted}", err=True)
    click.echo(f"test:    pytest {quoted}", err=True)
    uses = [templates.read_kind(kind, values).head["use"] for kind in kinds]
    click.echo(f"use:     {'; '.join(uses)}", err=True)


@new.command(short_help="A recipe with comments, or from another tool.")
@click.argument("name", required=False)
@click.option("--model", help="The model to start from.")
@click.option("--data", help="The file to learn from.")
@click.option(
    "--from",
    "source",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Convert this configuration of axolotl or LLaMA-Factory.",
)
@click.option("--dialect", type=click.Choice(list(DIALECTS)), help="Whose configuration it is.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout: what became of what.")
@click.pass_context
def recipe(command: click.Context, /, name: str | None, as_json: bool, **options: Any) -> None:
    """Write a recipe to NAME.toml, or to a file that NAME is; - prints it.

    It has the main tables, with a comment on each setting, and can be checked at once. With --from
    it says what another tool's configuration says, and lists what could not be mapped.
    """
    source = options["source"]
    target = _target(name if name is not None else Path(source or "recipe").stem)
    _refuse_mixtures(source, options)
    if target is not None and target.exists() and not options["force"]:
        raise click.UsageError(f"{target} exists already: choose another name, or --force")
    folder = target.absolute().parent if target else Path.cwd()
    called = _name_of(target or Path(source or "recipe"))
    kernel = command_kernel(command)
    if source is None:
        model, data = options["model"] or "smollm2-135m-instruct", options["data"] or "train.jsonl"
        text = render(*minimal_recipe(kernel, called, model, data))
        found, summary = {"recipe": text}, []
    else:
        made = convert(Path(source), called, folder, kernel, options["dialect"])
        text, found, summary = made.text, made.plain(), list(made.summary())
    if target is not None:
        files.write_text(target, text)
    _tell(target, text, {"path": str(target) if target else None, **found}, as_json=as_json)
    for line in summary:
        click.echo(line, err=True)
    if target is not None:
        click.echo(f"next: llamahome check {shlex.quote(str(target))}", err=True)


def _target(name: str) -> Path | None:
    """The file; None for standard output."""
    if name == "-":
        return None
    if not name.strip():
        raise click.UsageError("the recipe has no name")
    path = Path(name).expanduser()
    if path.is_dir():
        raise click.UsageError(f"{name} is a folder: name a file in it")
    if path.suffix == ".toml":
        return path
    if path.suffix in {".yaml", ".yml", ".json"}:
        raise click.UsageError(f"a new recipe is TOML; try {path.with_suffix('.toml')}")
    return path.with_name(f"{path.name}.toml")


def _name_of(path: Path) -> str:
    """A name for runs, from the file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:100] or "recipe"


def _refuse_mixtures(source: str | None, options: dict[str, Any]) -> None:
    if source is None and options["dialect"]:
        raise click.UsageError("--dialect says whose file --from is, and there is no --from")
    if source is not None and (options["model"] or options["data"]):
        raise click.UsageError("--from takes model and data from the file: edit the recipe")


def _tell(target: Path | None, text: str, found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"schema": "llamahome.new-recipe/1", **found}, indent=2))
    else:
        click.echo(text if target is None else str(target), nl=target is not None)
