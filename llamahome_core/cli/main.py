"""The ``llamahome`` group: global options, and subcommands that load when they run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field

from llamahome_core.cli.front import EPILOG, EXAMPLES, show_version
from llamahome_core.cli.help import Group, completes
from llamahome_core.cli.start import make_kernel
from llamahome_core.components import Ref
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.kernel import Kernel
from llamahome_core.secrets import covering
from llamahome_core.terminal import flush, forget, keep_results_apart

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Summaries stand here so that --help imports none of the modules (click's own lazy recipe does).
COMMANDS = {
    "init": ("Make a workspace here.", "llamahome_core.cli.init:init"),
    "run": ("Run a recipe: fetch, prepare, train, publish.", "llamahome_core.cli.run:run"),
    "plan": ("Show what a recipe would do.", "llamahome_core.cli.plan:plan"),
    "check": ("Check recipes and settings.", "llamahome_core.cli.plan:check"),
    "runs": ("List runs, show one, read its log.", "llamahome_core.cli.runs:runs"),
    "plugins": (
        "List installed plugins, check one, choose and lock them.",
        "llamahome_core.cli.plugins:plugins",
    ),
    "show": ("Describe components, tables and settings.", "llamahome_core.cli.show:show"),
    "config": (
        "Show settings and where they come from; change them.",
        "llamahome_core.cli.config:config",
    ),
    "schema": ("Print the JSON schema of recipes.", "llamahome_core.cli.config:schema"),
    "doctor": ("Check this machine.", "llamahome_core.cli.doctor:doctor"),
    "explain": ("Explain an error code.", "llamahome_core.cli.explain:explain"),
    "completion": (
        "Print what lets your shell complete words.",
        "llamahome_core.cli.completion:completion",
    ),
}


@define
class State:
    """What the global options say.

    Attributes:
        verbosity: From ``-qq`` (-2) to ``-vv`` (2).
        color: ``auto``, ``always`` or ``never``.
        log_format: ``human`` or ``json``.
        asked: Which plugins ``-p``, ``--strict`` and ``--locked`` ask for.
        make: Makes the kernel.
        process: Whether the process is the command's own, and its variables may be set.
    """

    verbosity: int = 0
    color: str = "auto"
    log_format: str = "human"
    asked: Policy = field(factory=Policy)
    make: Callable[[Policy], Kernel] = field(default=lambda policy: Kernel(policy=policy))
    process: bool = False
    _kernel: Kernel | None = None

    @property
    def kernel(self) -> Kernel:
        """The kernel, made when first asked for: ``--help`` of a command needs none.

        Raises:
            ConfigError: The settings cannot say which plugins may load.
            UnknownNameError: ``-p`` or ``LLAMAHOME_PLUGINS`` names a plugin that is not installed.
        """
        kernel = self.lenient_kernel
        if kernel.settings_error is not None:
            raise kernel.settings_error
        if self.process:
            kernel.workspace.contain_caches(os.environ)
        return kernel

    @property
    def lenient_kernel(self) -> Kernel:
        """The same for help and ``doctor``, which work where the settings cannot be read too.

        Raises:
            UnknownNameError: ``-p`` or ``LLAMAHOME_PLUGINS`` names a plugin that is not installed.
        """
        if self._kernel is None:
            self._kernel = make_kernel(self)
        return self._kernel

    @property
    def known_plugins(self) -> list[Plugin]:
        """All plugins, if it came to a kernel."""
        return self._kernel.plugins.all if self._kernel else []


class Lazy(Group):
    """A group whose commands, the kernel's and the plugins', are imported when invoked."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the global options; ``--help`` and ``--version`` print here."""
        with _reader_may_go():
            # First of all: help and completion ask plugins for their commands.
            given = self.make_parser(ctx).parse_args(list(args))[0]
            ctx.ensure_object(State).asked = Policy.parse(
                given.get("words") or (),
                source="-p",
                strict=bool(given.get("strict")),
                locked=bool(given.get("locked")),
            )
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        with _reader_may_go():
            try:
                return super().invoke(ctx)
            except SystemExit as error:
                # Ours return or say `ctx.exit`: it was a plugin, and 0 would look like success.
                if ctx.invoked_subcommand in COMMANDS:
                    from llamahome_core.cli.endings import left

                    raise left(error) from error
                raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names: the kernel's in their order, then the plugins'."""
        return [*COMMANDS, *sorted(set(self._declared(ctx)) - set(COMMANDS))]

    def _declared(self, ctx: click.Context) -> dict[str, tuple[Any, Any]]:
        return ctx.ensure_object(State).lenient_kernel.catalog.commands()

    def _reference(self, ctx: click.Context, name: str) -> tuple[str, Ref] | None:
        if name in COMMANDS:
            summary, path = COMMANDS[name]
            return summary, Ref(path)
        if name in (declared := self._declared(ctx)):
            return declared[name][1].summary, declared[name][1].command
        # It may be the command of a plugin that did not load: then that is the mistake.
        _ = ctx.ensure_object(State).kernel
        return None

    def has_command(self, ctx: click.Context, name: str) -> bool:
        """Whether the kernel or a plugin has a command *name*."""
        return self._reference(ctx, name) is not None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command *cmd_name*, imported."""
        if (found := self._reference(ctx, cmd_name)) is None:
            return None
        command: click.Command = found[1].load()
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names with their summaries, and options; imports no command."""
        from llamahome_core.cli.candidates import subcommands

        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*subcommands(self._rows(ctx), incomplete), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, from the summaries."""
        with formatter.section("Commands"):
            formatter.write_dl(self._rows(ctx))

    def _rows(self, ctx: click.Context) -> list[tuple[str, str]]:
        return [(n, ref[0]) for n in self.list_commands(ctx) if (ref := self._reference(ctx, n))]


@contextlib.contextmanager
def _reader_may_go() -> Iterator[None]:
    """A reader that has read enough (`llamahome runs list | head`) is no failure.

    click would exit with 1, and a script with `set -o pipefail` would fail for nothing.
    """
    try:
        yield
    except BrokenPipeError:
        forget(sys.stdout)
        raise click.exceptions.Exit(0) from None


@click.group(
    cls=Lazy,
    examples=EXAMPLES,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "-p",
    "words",
    multiple=True,
    metavar="NAME",
    expose_value=False,
    help="Load only this plugin; no:NAME blocks one.",
    shell_complete=completes("policy"),
)
@click.option("-v", "--verbose", count=True, help="Say more; -vv for debugging.")
@click.option("-q", "--quiet", count=True, help="Say less; -qq says nothing.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="auto asks FORCE_COLOR, NO_COLOR and the terminal.",
)
@click.option(
    "--log-format", type=click.Choice(["human", "json"]), default="human", help="Form of the log."
)
@click.option(
    "--strict", is_flag=True, expose_value=False, help="A broken plugin ends the command."
)
@click.option(
    "--locked",
    is_flag=True,
    expose_value=False,
    help="Load only plugins that are as plugins.lock says.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_version,
    help="Show the version.",
)
@click.pass_context
def llamahome(ctx: click.Context, *, verbose: int, quiet: int, color: str, log_format: str) -> None:
    """Train, version and deploy open language models; every part is a plugin."""
    state = ctx.ensure_object(State)
    state.verbosity, state.color, state.log_format = verbose - quiet, color, log_format


def main(
    args: list[str] | None = None, prog_name: str = "llamahome", state: State | None = None
) -> None:
    """Run the command; every foreseen error becomes a message and an exit code.

    Args:
        args: The words after ``llamahome``; those of the process if not given.
        prog_name: What the help calls the command.
        state: How to make the kernel, for a program that has one.

    Raises:
        SystemExit: Always, with the exit code.
    """
    state = state or State()
    try:
        code = _obey(args, prog_name, state)
    except BaseException as error:  # noqa: BLE001  # each of them has an exit code
        from llamahome_core.cli.endings import end

        code = end(error, state, llamahome)
    sys.exit(code)


def program() -> None:
    """The process ``llamahome``: what is on its standard output are its results alone.

    Raises:
        SystemExit: Always, with the exit code.
    """
    try:
        if None in (sys.stdin, sys.stdout, sys.stderr):
            from llamahome_core.cli.output import open_closed

            open_closed()
        keep_results_apart()
        sys.stderr = covering(sys.stderr)
        if "_LLAMAHOME_COMPLETE" in os.environ:
            from llamahome_core.cli.completion import answer

            sys.exit(answer(llamahome, State(process=True)))
        main(state=State(process=True))
    except KeyboardInterrupt:  # before or after what handles it
        raise SystemExit(130) from None
    finally:
        flush(sys.stderr)  # whether anybody reads it changes no exit code


def _obey(args: list[str] | None, prog_name: str, state: State) -> Any:
    """Run the command; returns what to exit with."""
    try:
        code = llamahome.main(args=args, prog_name=prog_name, standalone_mode=False, obj=state)
        code = code if isinstance(code, int) else 0
    except SystemExit as ended:
        code = ended.code
    # What fails at Python's own end would be its message, and exit code 120.
    with contextlib.suppress(BrokenPipeError, ValueError):  # nobody reads; a plugin closed it
        sys.stdout.flush()
    return code
