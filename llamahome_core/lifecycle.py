"""The life of one run: lock, record, log, monitors, observers, execution, and how it ended."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from llamahome_core import log
from llamahome_core.context import Context
from llamahome_core.errors import Interrupted, PluginError, RunError, StorageError
from llamahome_core.events import EventLog, Listener
from llamahome_core.hookspecs import hookimpl
from llamahome_core.listening import Listening
from llamahome_core.monitoring import Monitors
from llamahome_core.plan import Plan
from llamahome_core.protocols import Trained
from llamahome_core.recipe import Selection
from llamahome_core.run import (
    Run,
    describe,
    end_fields,
    environment,
    find_directory,
    held,
    write_record,
)
from llamahome_core.secrets import read_secret
from llamahome_core.values import Outcome, Version

_OURS = "the kernel's own"  # with a blank: no entry point is called so

# A process has one torch, with one random state and one number of threads, and libraries of which
# not all can be imported by two threads at once. So its runs take turns, a stage each.
_turn = threading.RLock()
_registering = threading.Lock()
_POLL = 0.2


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
            with log.captured(directory / "log" / "run.log"):
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
        selections,
        run.directory,
        logger,
        secret=lambda name: read_secret(name, run.context.variable),
    )
    monitors.start()
    try:
        _announce(run)
        # Only here: what is over cannot be stopped.
        with run.context.stop.telling(lambda number: _tell_stopping(run.events, number)):
            _notify(run, logger, "llamahome_run_started")
            outcome = carry_out(run)
        if outcome.error is not None:
            logger.debug("run ended", error=repr(outcome.error), exc_info=outcome.error)
        _notify(run, logger, "llamahome_run_finished", outcome=outcome)
        return _conclude(run, outcome, time.monotonic() - started)
    finally:
        monitors.close()


def _announce(run: Run) -> None:
    recipe = run.plan.recipe
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
    )


def _notify(run: Run, logger: Any, hook: str, **arguments: Any) -> None:
    for plugin, error in run.plan.catalog.plugins.notify(hook, run=run, **arguments):
        logger.warning("observer failed", plugin=plugin.name, error=repr(error))


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


# --- Execution ----------------------------------------------------------------------------------


class Execution:
    """The kernel's own ``llamahome_execute``: the stages, one after another."""

    @hookimpl(trylast=True)
    def llamahome_execute(self, run: Run) -> Outcome:
        """Run every stage; what they leave in the context is the outcome."""
        for _, stage in run.plan.catalog.stages():
            with _turn_of(run):
                started = time.monotonic()
                run.events.emit("stage", stage=stage.name, status="started")
                run.context.stop.check()
                stage.run.load()(run.context)
                seconds = round(time.monotonic() - started, 3)
                run.events.emit("stage", stage=stage.name, status="finished", seconds=seconds)
        trained = run.context.find(Trained)
        metrics = dict(trained.metrics) if trained else {}
        return Outcome(status="finished", version=run.context.find(Version), metrics=metrics)


@contextlib.contextmanager
def _turn_of(run: Run) -> Iterator[None]:
    """Wait until no other run of this process is in a stage; a run inside a stage has its turn.

    Raises:
        Interrupted: The run was asked to stop meanwhile.
    """
    if not _turn.acquire(blocking=False):
        run.events.emit("note", text="waiting for another run of this process")
        while not _turn.acquire(timeout=_POLL):
            run.context.stop.check()
    try:
        yield
    finally:
        _turn.release()


def carry_out(run: Run) -> Outcome:
    """Execute *run* and turn how it ended into an outcome; no error of a run gets past this."""
    try:
        return _checked(run.plan.catalog.plugins.execute(run))
    except Interrupted as stopped:
        return Outcome(status="stopped", error=stopped)
    except KeyboardInterrupt as pressed:
        at_once = Interrupted("stopped at once by Ctrl-C", signal=signal.SIGINT)
        at_once.__cause__ = pressed  # raised again when that is written down
        return Outcome(status="stopped", error=at_once)
    except BaseException as error:  # noqa: BLE001  # whatever a plugin raises fails this run only
        return Outcome(status="failed", error=error)


def _checked(result: object) -> Outcome:
    if isinstance(result, Outcome):
        return result
    raise PluginError(
        f"llamahome_execute gave {result!r} instead of an Outcome",
        hint="a wrapper of it must end with: return (yield)",
    )
