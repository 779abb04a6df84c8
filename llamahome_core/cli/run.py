"""``llamahome run``: the main command, its signals and its exit codes."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import click

from llamahome_core.cli.endings import SILENT, crash, report
from llamahome_core.cli.help import Command, as_json, assignments, completes
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, say
from llamahome_core.components import Kind
from llamahome_core.config import structure
from llamahome_core.context import Stop
from llamahome_core.errors import Interrupted, LlamaHomeError, UnknownNameError
from llamahome_core.kernel import Kernel
from llamahome_core.recipe import Selection
from llamahome_core.terminal import aside
from llamahome_core.values import Outcome

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PROGRESS = ("auto", "live", "plain", "none")


@click.command(
    cls=Command,
    examples=[
        ("llamahome run quickstart", "a packaged recipe"),
        ("llamahome run recipe.toml --set train.steps=10", "your own, but short"),
        ("llamahome run --resume", "go on with the last run"),
        ("llamahome run --resume bot-3", "go on with that one"),
    ],
)
@click.argument("recipe", required=False, shell_complete=completes("recipes"))
@click.option(
    "--resume",
    is_flag=False,
    flag_value="@last",
    metavar="[RUN]",
    shell_complete=completes("runs"),
    help="Go on with RUN, or with the last one, from its newest checkpoint.",
)
@click.option(
    "--progress", type=click.Choice(PROGRESS), default="auto", help="How progress is shown."
)
@assignments
@as_json
@click.pass_context
def run(  # one for each option
    ctx: click.Context,
    recipe: str | None,
    resume: str | None,
    progress: str,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run RECIPE: a file, or the name of a packaged recipe such as `quickstart`.

    Ctrl-C finishes the step, saves, and shows how to go on; pressed again, it stops at once.
    With --json, each event is a line of JSON on stdout.
    """
    if (recipe is None) == (resume is None):
        raise click.UsageError("give a RECIPE, or --resume, and not both")
    if resume is not None and assignments:
        raise click.UsageError("--set cannot change a run that is resumed")
    from llamahome_core import log

    state = ctx.ensure_object(State)
    kernel = state.kernel
    with aside():  # settings classes and stages are code of plugins
        plan = None if recipe is None else kernel.plan(recipe, assignments=assignments)
    log.show(state.verbosity, json=state.log_format == "json")
    monitors = _console(kernel, state, "json" if as_json else progress)
    stop = Stop()
    _handle_signals(stop, told=bool(monitors))
    with aside():
        if plan is not None:
            outcome = kernel.run(plan, monitors=monitors, stop=stop)
        else:
            outcome = kernel.resume(str(resume), monitors=monitors, stop=stop)
    if outcome.error is not None and not monitors:
        _tell(outcome.error, state)
    if outcome.version is not None and not as_json and state.verbosity > SILENT:
        echo(outcome.version.label)
    ctx.exit(exit_code(outcome))


def _tell(error: BaseException, state: State) -> None:
    """Say how the run ended where no plugin shows it."""
    if isinstance(error, LlamaHomeError):
        report(error, state)
    else:
        crash(error, state)


def exit_code(outcome: Outcome) -> int:
    """0 finished, 1 or the error's own code when failed, 128 + signal when stopped."""
    if outcome.status == "finished":
        return 0
    if isinstance(outcome.error, Interrupted):
        return 128 + outcome.error.signal
    if isinstance(outcome.error, LlamaHomeError):
        return outcome.error.exit_code
    return 70


def _console(kernel: Kernel, state: State, mode: str) -> list[Selection]:
    """The console monitor, if a plugin brings one: the terminal is a viewer like any other."""
    settings: dict[str, Any] = {
        "mode": mode,
        "color": state.color,
        "verbosity": state.verbosity,
    }
    try:
        plugin, component = kernel.catalog.find(Kind.MONITOR, "console")
    except UnknownNameError:
        return []
    config, _ = structure(settings, component.config)
    return [
        Selection(
            kind="monitor", name="console", plugin=plugin.name, component=component, config=config
        )
    ]


def _handle_signals(stop: Stop, *, told: bool) -> None:
    """First Ctrl-C, SIGTERM or SIGHUP: finish the step, save, end. Second: end at once."""

    def handle(number: int, _: FrameType | None) -> None:
        # The next one has its default action: no handler that a long call in C could hold up, no
        # clean-up. Nothing half-written is ever complete, so nothing has to be tidied.
        for signal_ in SIGNALS:
            signal.signal(signal_, signal.SIG_DFL)
        # A terminal that closes says so several times: itself, and then the shell.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop.request(number)
        if not told:
            say("stopping after this step, then saving (again to stop at once)")

    for signal_ in SIGNALS:
        signal.signal(signal_, handle)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants it ignored
        signal.signal(signal.SIGHUP, handle)
