"""The ``llamahome`` group: global options, and subcommands that load when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click
from attrs import define, field

from llamahome_core.components import Ref
from llamahome_core.discovery import Policy
from llamahome_core.errors import LlamaHomeError, suggest
from llamahome_core.kernel import Kernel

# Summaries stand here so that --help imports none of the modules (click's own lazy recipe does).
COMMANDS = {
    "init": ("Make a workspace here.", "llamahome_core.cli.init:init"),
    "run": ("Run a recipe: fetch, prepare, train, publish.", "llamahome_core.cli.run:run"),
    "plan": ("Show what a recipe would do.", "llamahome_core.cli.plan:plan"),
    "check": ("Check recipes and settings.", "llamahome_core.cli.plan:check"),
    "runs": ("List runs, show one, read its log.", "llamahome_core.cli.runs:runs"),
    "plugins": ("List installed plugins, check one.", "llamahome_core.cli.plugins:plugins"),
    "show": ("Describe a component and its settings.", "llamahome_core.cli.show:show"),
    "config": ("Show settings and where they come from.", "llamahome_core.cli.config:config"),
    "schema": ("Print the JSON schema of recipes.", "llamahome_core.cli.config:schema"),
    "doctor": ("Check this machine.", "llamahome_core.cli.doctor:doctor"),
    "explain": ("Explain an error code.", "llamahome_core.cli.explain:explain"),
}


@define
class State:
    """What the global options say.

    Attributes:
        verbosity: From ``-qq`` (-2) to ``-vv`` (2).
        color: ``auto``, ``always`` or ``never``.
        log_format: ``human`` or ``json``.
        make: Makes the kernel.
    """

    verbosity: int = 0
    color: str = "auto"
    log_format: str = "human"
    make: Callable[[], Kernel] = field(default=Kernel)
    _kernel: Kernel | None = None

    @property
    def kernel(self) -> Kernel:
        """The kernel, made when first asked for: ``--help`` of a command needs none."""
        if self._kernel is None:
            self._kernel = self.make()
        return self._kernel


class Group(click.Group):
    """A group whose commands, the kernel's and the plugins', are imported when invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names: the kernel's in their order, then the plugins'."""
        return [*COMMANDS, *sorted(set(self._declared(ctx)) - set(COMMANDS))]

    def _declared(self, ctx: click.Context) -> dict[str, tuple[Any, Any]]:
        return ctx.ensure_object(State).kernel.catalog.commands()

    def _reference(self, ctx: click.Context, name: str) -> tuple[str, Ref] | None:
        if name in COMMANDS:
            summary, path = COMMANDS[name]
            return summary, Ref(path)
        if name in (declared := self._declared(ctx)):
            return declared[name][1].summary, declared[name][1].command
        return None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command *cmd_name*, imported."""
        if (found := self._reference(ctx, cmd_name)) is None:
            return None
        command: click.Command = found[1].load()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, from the summaries."""
        rows = [(n, ref[0]) for n in self.list_commands(ctx) if (ref := self._reference(ctx, n))]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say what was perhaps meant."""
        if self._reference(ctx, args[0]) is None:
            close = suggest(args[0], self.list_commands(ctx))
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"llamahome {version('llamahome')}")
        ctx.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-p", "words", multiple=True, metavar="NAME", help="Load only this plugin; no:NAME blocks one."
)
@click.option("-v", "--verbose", count=True, help="Say more; -vv for debugging.")
@click.option("-q", "--quiet", count=True, help="Say less; -qq says nothing.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto")
@click.option(
    "--log-format", type=click.Choice(["human", "json"]), default="human", help="Form of the log."
)
@click.option("--strict", is_flag=True, help="A broken plugin ends the command.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version)
@click.pass_context
def llamahome(  # noqa: PLR0913  # one for each option
    ctx: click.Context,
    *,
    words: tuple[str, ...],
    verbose: int,
    quiet: int,
    color: str,
    log_format: str,
    strict: bool,
) -> None:
    r"""Train, version and deploy open language models; every part is a plugin.

    \b
    llamahome run quickstart       fine-tune a small model, see it learn
    llamahome run recipe.toml      run your own recipe
    """
    state = ctx.ensure_object(State)
    state.verbosity, state.color, state.log_format = verbose - quiet, color, log_format
    asked = Policy.parse(words, strict=strict)
    state.make = lambda: Kernel(policy=Policy.from_environment().narrowed(asked))


def main(args: list[str] | None = None, prog_name: str = "llamahome") -> None:
    """Run the command; every foreseen error becomes a message and an exit code."""
    state = State()
    try:
        code = llamahome.main(args=args, prog_name=prog_name, standalone_mode=False, obj=state)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except LlamaHomeError as error:
        from llamahome_core.cli.output import report

        code = report(error, state)
    except BrokenPipeError:
        # The reader went away (`llamahome runs list | head`); Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # noqa: BLE001  # the last resort: a report instead of a traceback
        from llamahome_core.cli.output import crash

        code = crash(error, state)
    sys.exit(code if isinstance(code, int) else 0)
