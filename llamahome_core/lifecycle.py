"""The life of one run: lock, record, log, monitors, observers, execution, and how it ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from llamahome_core import log
from llamahome_core.context import Context
from llamahome_core.errors import Interrupted, PluginError, RunError, StorageError
from llamahome_core.events import EventLog
from llamahome_core.hookspecs import hookimpl
from llamahome_core.monitoring import Monitors
from llamahome_core.plan import Plan
from llamahome_core.protocols import Trained
from llamahome_core.recipe import Recipe, Selection
from llamahome_core.run import Run, end_fields, environment, held, write_record
from llamahome_core.secrets import read_secret, references
from llamahome_core.values import Outcome, Version

_OURS = "the kernel's own"  # with a blank: no entry point is called so


def live(plan: Plan, context: Context, monitors: Sequence[Selection]) -> Outcome:
    """Carry out *plan* in the folder of *context*.

    Args:
        plan: What to carry out.
        context: The run's context; its events are opened here.
        monitors: What shows or forwards the events.

    Raises:
        RunLockedError: The run is going on in another process.
        StorageError: The folder cannot be written at the start.
    """
    directory = _directory(context)
    manager = plan.catalog.plugins.manager
    if not manager.has_plugin(_OURS):
        manager.register(Execution(), _OURS)
    with held(directory):
        if not context.resume:
            _begin(directory, plan)
        events = EventLog(directory / "events.jsonl")
        context.events = events
        context.stop.listener = lambda number: _tell_stopping(events, number)
        run = Run(
            name=directory.name, directory=directory, plan=plan, context=context, events=events
        )
        try:
            with log.captured(directory / "log" / "run.log"):
                return _watched(run, monitors)
        finally:
            context.stop.listener = None
            with contextlib.suppress(StorageError):  # it was synced, or the disk fails anyway
                events.close()


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
        hidden=_variables(run.plan.recipe),
    )
    monitors.start()
    try:
        _announce(run)
        _notify(run, logger, "llamahome_run_started")
        outcome = carry_out(run)
        run.context.stop.listener = None  # what is over cannot be stopped
        if outcome.error is not None:
            logger.debug("run ended", error=repr(outcome.error), exc_info=outcome.error)
        _notify(run, logger, "llamahome_run_finished", outcome=outcome)
        return _conclude(run, outcome, time.monotonic() - started)
    finally:
        monitors.close()


def _variables(recipe: Recipe) -> set[str]:
    """The environment variables that hold secrets of *recipe*."""
    chosen = [*recipe.chosen.values(), *recipe.data, *recipe.monitors]
    names = [name for selection in chosen for name in references(selection.config)]
    return {name.removeprefix("env:") for name in names if name.startswith("env:")}


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
            started = time.monotonic()
            run.events.emit("stage", stage=stage.name, status="started")
            run.context.stop.check()
            stage.run.load()(run.context)
            seconds = round(time.monotonic() - started, 3)
            run.events.emit("stage", stage=stage.name, status="finished", seconds=seconds)
        trained = run.context.find(Trained)
        metrics = dict(trained.metrics) if trained else {}
        return Outcome(status="finished", version=run.context.find(Version), metrics=metrics)


def carry_out(run: Run) -> Outcome:
    """Execute *run* and turn how it ended into an outcome; no error of a run gets past this."""
    try:
        return _checked(run.plan.catalog.plugins.execute(run))
    except Interrupted as stopped:
        return Outcome(status="stopped", error=stopped)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever a plugin raises fails this run only
        return Outcome(status="failed", error=error)


def _checked(result: object) -> Outcome:
    if isinstance(result, Outcome):
        return result
    raise PluginError(
        f"llamahome_execute gave {result!r} instead of an Outcome",
        hint="a wrapper of it must end with: return (yield)",
    )
