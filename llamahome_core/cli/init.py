"""``llamahome init``: make a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from llamahome_core import files
from llamahome_core.cli.output import say
from llamahome_core.errors import WorkspaceError
from llamahome_core.workspace import MARKER

SETTINGS = """\
# Settings of this workspace, below every recipe. `llamahome config show --origin` lists all.
# [train]
# log_every = 10
# [network]
# offline = true
"""

GITIGNORE = ".cache/\nruns/\ndata/models/\n.env\n"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
def init(folder: Path) -> None:
    """Make FOLDER (here, if not given) a workspace: settings, catalogue, data, runs."""
    root = folder.absolute()
    if (root / MARKER).exists():
        raise WorkspaceError(
            f"{root} is a workspace already", hint=f"edit {root / MARKER}, or choose another folder"
        )
    files.write_json(root / ".config" / "models.json", {})
    for name in ("data/training", "data/models", "data/metrics", "runs"):
        files.make_folder(root / name)
    if not (root / ".gitignore").exists():
        files.write_text(root / ".gitignore", GITIGNORE)
    # Last: it is what makes the folder a workspace.
    files.write_text(root / MARKER, SETTINGS)
    click.echo(str(root))
    say("next: llamahome run quickstart")
