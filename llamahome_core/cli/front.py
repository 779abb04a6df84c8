"""What ``llamahome`` itself says: the ends of its help, and its version."""

from __future__ import annotations

import click

EXAMPLES = (
    ("llamahome run quickstart", "fine-tune a small model and see it learn"),
    ("llamahome check recipe.toml", "look for mistakes; loads nothing"),
    ("llamahome plan recipe.toml", "what would happen, and in how many steps"),
    ("llamahome run recipe.toml", "do it"),
    ("llamahome run --resume", "go on with the last run"),
)
EPILOG = """\
\b
Exit codes:
  0  done                          4  no such run, model or plugin
  1  the task failed               5  refused as unsafe
  2  wrong usage or configuration  70  a mistake in LlamaHome
  3  this machine cannot           129, 130, 143  stopped after saving

\b
Environment:
  LLAMAHOME_HOME      the workspace, where no parent folder is one
  LLAMAHOME_ENV       reads .config/NAME.toml of the workspace too
  LLAMAHOME_PLUGINS   plugins to load, as after -p, with commas
  LLAMAHOME_STRICT=1, LLAMAHOME_LOCKED=1  the same as --strict, --locked
  LLAMAHOME_TRAIN__STEPS=100  any setting: TABLE__KEY=VALUE
"""


def show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """The callback of ``--version``."""
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"llamahome {version('llamahome')}")
        ctx.exit()
