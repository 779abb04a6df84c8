"""``llamahome run``: the main command, its signals and its exit codes."""

from __future__ import annotations

import shlex
import signal
from types import FrameType
from typing import Any

import click

from llamahome_core import files
from llamahome_core.cli.endings import SILENT, crash, report
from llamahome_core.cli.help import Command, as_json, assignments, completes
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, say
from llamahome_core.components import Kind
from llamahome_core.config import overrides, structure
from llamahome_core.context import Stop
from llamahome_core.errors import (
    BrokenPluginError,
    Interrupted,
    LlamaHomeError,
    RunError,
    UnknownNameError,
)
from llamahome_core.events import EventLog
from llamahome_core.kernel import Kernel
from llamahome_core.recipe import Selection
from llamahome_core.run import all_directories, can_resume, find_directory, held, state_of
from llamahome_core.terminal import aside
from llamahome_core.values import Outcome

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LAST = "@last"
CHANGEABLE = ("publish", "store", "monitor")
"""Tables that no step of training reads: a checkpoint names the model and the data it is of."""
PROGRESS = ("auto", "live", "plain", "none")


@click.command(
    cls=Command,
    examples=[
        ("llamahome run quickstart", "a packaged recipe"),
        ("llamahome run recipe.toml --set train.steps=10", "your own, but short"),
        ("llamahome run --resume", "go on with the last run"),
        ("llamahome run --resume bot-3", "go on with that one"),
        ("llamahome run --resume bot-3 --set publish.name=bot-b", "and publish elsewhere"),
    ],
)
@click.argument("recipe", required=False, shell_complete=completes("recipes"))
@click.option(
    "--resume",
    is_flag=False,
    flag_value=LAST,
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
    With --resume, --set may change what becomes of the result: publish, store, monitor.
    With --json, each event is a line of JSON on stdout.
    """
    if (recipe is None) == (resume is None):
        raise click.UsageError("give a RECIPE, or --resume, and not both")
    if resume is not None:
        _refuse_others(assignments)
    from llamahome_core import log

    state = ctx.ensure_object(State)
    kernel = state.kernel
    with aside():  # settings classes and stages are code of plugins
        plan = None if recipe is None else kernel.plan(recipe, assignments=assignments)
        if resume is not None:
            resume = _to_resume(kernel, resume)
            _change(kernel, resume, assignments)
    log.show(state.verbosity, json=state.log_format == "json")
    monitors = _console(kernel, state, "json" if as_json else progress)
    stop = Stop()
    _handle_signals(stop, told=bool(monitors))
    with aside():
        if plan is not None:
            outcome = kernel.run(plan, monitors=monitors, stop=stop)
        else:
            outcome = kernel.resume(resume or LAST, monitors=monitors, stop=stop)
    if outcome.error is not None and not monitors:
        _tell(outcome.error, state)
    if outcome.version is not None and not as_json and state.verbosity > SILENT:
        echo(outcome.version.label)
    ctx.exit(exit_code(outcome))


def _refuse_others(assignments: tuple[str, ...]) -> None:
    """What a resumed run learns is settled: only what becomes of it may change.

    Raises:
        UsageError: One of *assignments* would change what is learned.
    """
    given = {key for document in overrides(assignments) for key in document.data}
    if wrong := sorted(given - set(CHANGEABLE)):
        allowed = ", ".join(f"{table}.*" for table in CHANGEABLE)
        raise click.UsageError(
            f"--set cannot change {', '.join(wrong)} of a run that is resumed: it would be "
            f"another run. Allowed: {allowed}"
        )


def _to_resume(kernel: Kernel, name: str) -> str:
    """The run called *name*; the last one is the last that began."""
    runs = kernel.workspace.runs
    begun = [path.name for path in all_directories(runs) if can_resume(path)]
    return begun[-1] if name == LAST and begun else find_directory(runs, name).name


def _change(kernel: Kernel, name: str, assignments: tuple[str, ...]) -> None:
    """Write *assignments* into the recipe of a run that is to be resumed, and into its events.

    Raises:
        ConfigError: One is wrong.
        RunError: Nothing was trained that could be rescued.
        RunLockedError: The run is going on.
    """
    directory = kernel.workspace.runs / name
    recipe = directory / "resolved.toml"
    if not assignments or not can_resume(directory) or state_of(directory) == "finished":
        return  # to resume it says what is wrong
    if not any((directory / "checkpoints").glob("*")):
        again = f"llamahome run {shlex.quote(str(recipe))} --set …"
        raise RunError(f"run {name} has no checkpoint to go on from", hint=f"start anew: {again}")
    with held(directory):
        text = kernel.plan(recipe, assignments=assignments).resolved_toml()
        log = EventLog(directory / "events.jsonl")
        # No values: one may be a secret, and events are shown.
        keys = [text.partition("=")[0] for text in assignments]
        log.emit("note", text=f"changed in resolved.toml: {', '.join(keys)}", changed=keys)
        log.close()
        files.write_text(recipe, text)


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
        name = kernel.catalog.usual(Kind.MONITOR, "console")
        plugin, component = kernel.catalog.find(Kind.MONITOR, name)
    except (BrokenPluginError, UnknownNameError):
        return []
    config, _ = structure(settings, component.config)
    return [
        Selection(
            kind="monitor",
            name="console",
            plugin=plugin.name,
            component=component,
            config=config,
            origin=plugin.origin,
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
