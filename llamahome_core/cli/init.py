"""``llamahome init``: make a workspace."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from llamahome_core import files
from llamahome_core.cli.help import Command
from llamahome_core.cli.output import say, write
from llamahome_core.errors import WorkspaceError
from llamahome_core.workspace import MARKER

SETTINGS = """\
# Settings of this workspace, below every recipe. `llamahome show` lists all of them, and
# `llamahome config show --origin` where each that is set comes from.
# For an editor: `llamahome schema --write`, then put this at the top:
#   #:schema schema/settings.json
# [train]
# log_every = 10
# [network]
# offline = true
"""

GITIGNORE = ".cache/\nruns/\ndata/models/\n.env\n"


@click.command(
    cls=Command,
    examples=[
        ("llamahome init", "make this folder a workspace"),
        ("llamahome init bots", "make a folder `bots` that is one"),
    ],
)
@click.argument("folder", type=click.Path(file_okay=False), default=".")
def init(folder: str) -> None:
    """Make FOLDER (here, if not given) a workspace: settings, catalogue, data, runs.

    What is there already stays as it is. Commands find the workspace from every folder in it.
    """
    if not folder.strip():  # a shell variable that is not set, and not "here"
        raise click.UsageError("the folder has no name; give none to take this one")
    root = Path(folder).absolute()
    if (root / MARKER).exists():
        raise WorkspaceError(
            f"{root} is a workspace already", hint=f"edit {root / MARKER}, or choose another folder"
        )
    if not (root / ".config" / "models.json").exists():
        files.write_json(root / ".config" / "models.json", {})
    for name in ("data/training", "data/models", "data/metrics", "runs"):
        files.make_folder(root / name)
    if not (root / ".gitignore").exists():
        files.write_text(root / ".gitignore", GITIGNORE)
    # Last: it is what makes the folder a workspace.
    files.write_text(root / MARKER, SETTINGS)
    write(str(root))
    there = "" if root == Path.cwd() else f"cd {shlex.quote(folder)} && "
    say(f"next: {there}llamahome run quickstart")
