"""The life of one run: lock, record, log, monitors, observers, execution, and how it ended."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from llamahome_core import deprecated, log, provenance
from llamahome_core.config import structure
from llamahome_core.context import Context
from llamahome_core.errors import RunError, StorageError
from llamahome_core.events import EventLog, Listener
from llamahome_core.execution import Execution, carry_out
from llamahome_core.listening import Listening
from llamahome_core.monitoring import Monitors
from llamahome_core.plan import Plan
from llamahome_core.recipe import Recipe, Selection
from llamahome_core.run import (
    Run,
    describe,
    end_fields,
    environment,
    find_directory,
    held,
    write_record,
)
from llamahome_core.secrets import read_secret, references
from llamahome_core.values import Outcome

_OURS = "the kernel's own"  # with a blank: no entry point is called so

_registering = threading.Lock()


def resumable(runs: Path, name: str) -> Path:
    """The folder of the run *name*, from whose checkpoint one can go on.

    Raises:
        RunNotFoundError: There is no such run.
        RunError: It is finished already, or its recipe is not there.
    """
    directory = find_directory(runs, name)
    recipe = directory / "resolved.toml"
    if not recipe.exists():
        # The events begin when the recipe is written.
        begun = (directory / "events.jsonl").exists()
        missing = f"has lost its recipe: there is no {recipe}"
        reason = missing if begun else "ended before its recipe was written"
        raise RunError(f"run {directory.name} {reason}", hint="run the recipe again")
    if describe(directory).state == "finished":
        raise RunError(
            f"run {directory.name} is finished",
            hint=f"llamahome run {shlex.quote(str(recipe))}  (a new run of the same recipe)",
        )
    return directory


def live(
    plan: Plan,
    context: Context,
    monitors: Sequence[Selection],
    on_event: Listener | None = None,
) -> Outcome:
    """Carry out *plan* in the folder of *context*.

    Args:
        plan: What to carry out.
        context: The run's context; its events are opened here.
        monitors: What shows or forwards the events.
        on_event: Told of each event, in this thread.

    Raises:
        RunLockedError: The run is going on in another process.
        StorageError: The folder cannot be written at the start.
    """
    directory = _directory(context)
    _register(plan)
    with held(directory):
        if not context.resume:
            _begin(directory, plan)
        listener = None if on_event is None else Listening(on_event)
        events = EventLog(directory / "events.jsonl", listener)
        context.events = events
        run = Run(
            name=directory.name, directory=directory, plan=plan, context=context, events=events
        )
        try:
            with log.captured(directory / "log" / "run.log", _packages(plan)):
                outcome = _watched(run, monitors)
        finally:
            with contextlib.suppress(StorageError):  # it was synced, or the disk fails anyway
                events.close()
    if outcome.error is not None and isinstance(outcome.error.__cause__, KeyboardInterrupt):
        raise outcome.error.__cause__
    return evolve(outcome, directory=directory)


def _register(plan: Plan) -> None:
    manager = plan.catalog.plugins.manager
    with _registering:  # two threads may run the same kernel
        if not manager.has_plugin(_OURS):
            manager.register(Execution(), _OURS)


def _packages(plan: Plan) -> set[str]:
    """Of third parties' plugins: a logger that is called like one says whose line it is."""
    active = plan.catalog.plugins.active.values()
    return {p.entry.module.partition(".")[0] for p in active if p.entry and not p.is_own}


def _begin(directory: Path, plan: Plan) -> None:
    """Write what the run is; a folder that it does not fit into would be a run without a recipe."""
    try:
        write_record(directory, plan)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _directory(context: Context) -> Path:
    if context.directory is None:
        raise RunError("a run needs a folder: use Kernel.run")
    return context.directory


def _tell_stopping(events: EventLog, number: int) -> None:
    """Called in a signal handler: what fails here would end the run instead of saving it."""
    with contextlib.suppress(StorageError):
        events.emit("stopping", signal=number)


def _watched(run: Run, selections: Sequence[Selection]) -> Outcome:
    """The run with its monitors and observers."""
    started = time.monotonic()
    logger = log.logger("run")
    monitors = Monitors(
        _of_terminal_one(selections),
        run.directory,
        logger,
        secret=lambda name: read_secret(name, run.context.variable),
        hidden=_variables(run.plan.recipe, selections),
    )
    monitors.start()
    run.events.after = lambda: _tell_died(run, monitors, logger)
    try:
        _announce(run)
        _deprecate(run, logger)
        # Only here: what is over cannot be stopped.
        with run.context.stop.telling(lambda number: _tell_stopping(run.events, number)):
            _notify(run, logger, "llamahome_run_started")
            outcome = carry_out(run)
        if outcome.error is not None:
            logger.debug("run ended", error=repr(outcome.error), exc_info=outcome.error)
        _notify(run, logger, "llamahome_run_finished", outcome=outcome)
        run.events.after = None  # nothing follows the end
        _tell_died(run, monitors, logger)
        return _conclude(run, outcome, time.monotonic() - started)
    finally:
        run.events.after = None
        monitors.close()


def _of_terminal_one(selections: Sequence[Selection]) -> list[Selection]:
    """Without a second one of a monitor that writes to the terminal: they would say all twice.

    The last one counts, the command's own, except where it says nothing: then the recipe's.
    """
    kept: dict[object, Selection] = {}
    for number, chosen in enumerate(selections):
        terminal = getattr(chosen.config, "terminal", False)
        key = (chosen.plugin, chosen.component.name) if terminal else number
        if key not in kept or chosen.config != structure({}, type(chosen.config))[0]:
            kept[key] = chosen
    return list(kept.values())


def _tell_died(run: Run, monitors: Monitors, logger: Any) -> None:
    """A monitor that dies is told when it happens, and not hours later."""
    for chosen, text in monitors.died():
        whose = {"plugin": chosen.plugin, "distribution": chosen.origin}
        run.context.warn(text, monitor=chosen.name, **whose)
        if getattr(chosen.config, "terminal", False):  # it would have shown the event
            logger.warning(text)


def _variables(recipe: Recipe, monitors: Sequence[Selection]) -> set[str]:
    """The environment variables that hold secrets of *recipe* and of *monitors*."""
    chosen = [*recipe.chosen.values(), *recipe.data, *recipe.transforms, *monitors]
    names = [name for selection in chosen for name in references(selection.config)]
    return {name.removeprefix("env:") for name in names if name.startswith("env:")}


def _announce(run: Run) -> None:
    recipe, plugins = run.plan.recipe, run.plan.catalog.plugins.active
    run.status("running")
    run.events.emit(
        "run",
        name=run.name,
        status="resumed" if run.context.resume else "started",
        recipe=recipe.name,
        model=recipe.model,
        components={kind: s.name for kind, s in recipe.chosen.items()},
        directory=str(run.directory),
        pid=os.getpid(),
        versions=environment()["versions"],
        plugins={name: plugin.origin for name, plugin in plugins.items()},
    )
    if run.context.resume and (before := provenance.recorded(run.directory)):
        for text in provenance.differences(before, provenance.record(plugins.values())):
            run.context.warn(text)


def _deprecate(run: Run, logger: Any) -> None:
    """Log what goes away; it is no failure, and people are told by the command."""
    for plugin, text in deprecated.hooks(run.plan.catalog.plugins):
        logger.warning("deprecated", plugin=plugin.owner, text=text)
    for text in run.plan.warnings:
        logger.warning("deprecated", text=text)


def _notify(run: Run, logger: Any, hook: str, **arguments: Any) -> None:
    for plugin, error in run.plan.catalog.plugins.notify(hook, run=run, **arguments):
        owner = plugin.owner
        logger.warning("observer failed", plugin=owner, hook=hook, error=repr(error))


def _conclude(run: Run, outcome: Outcome, seconds: float) -> Outcome:
    """Write down how the run ended; a disk that is full by then fails the run."""
    try:
        if outcome.status == "finished" and run.context.stop.requested:
            run.events.emit("note", text="the signal came when the work was done")
        run.events.emit("end", **end_fields(run, outcome, seconds))
        run.status(outcome.status)
        run.events.sync()
    except StorageError as error:
        return evolve(outcome, status="failed", error=outcome.error or error)
    return outcome
