"""The life of one run: lock, record, log, monitors, observers, execution, and how it ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from llamahome_core import deprecated, log, provenance
from llamahome_core.config import structure
from llamahome_core.context import Context
from llamahome_core.discovery import Plugin
from llamahome_core.errors import (
    Interrupted,
    LlamaHomeError,
    PluginError,
    RunError,
    StorageError,
)
from llamahome_core.events import EventLog
from llamahome_core.hookspecs import hookimpl
from llamahome_core.monitoring import Monitors
from llamahome_core.plan import Plan
from llamahome_core.protocols import Trained
from llamahome_core.recipe import Selection
from llamahome_core.run import Run, end_fields, environment, held, write_record
from llamahome_core.secrets import read_secret
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
            with log.captured(directory / "log" / "run.log", _packages(plan)):
                return _watched(run, monitors)
        finally:
            context.stop.listener = None
            with contextlib.suppress(StorageError):  # it was synced, or the disk fails anyway
                events.close()


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
        owners={n: p.owner for n, p in run.plan.catalog.plugins.active.items() if not p.is_own},
        secret=lambda name: read_secret(name, run.context.variable),
    )
    monitors.start()
    run.events.listener = lambda: _tell_died(run, monitors, logger)
    try:
        _announce(run)
        _deprecate(run, logger)
        _notify(run, logger, "llamahome_run_started")
        outcome = carry_out(run)
        run.context.stop.listener = None  # what is over cannot be stopped
        if outcome.error is not None:
            logger.debug("run ended", error=repr(outcome.error), exc_info=outcome.error)
        _notify(run, logger, "llamahome_run_finished", outcome=outcome)
        return _conclude(run, outcome, time.monotonic() - started)
    finally:
        run.events.listener = None
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
        origin = run.plan.catalog.plugins.active[chosen.plugin].origin
        told = f"{text} (plugin {chosen.plugin}, {origin})"
        run.context.warn(told, monitor=chosen.name, plugin=chosen.plugin, distribution=origin)
        if getattr(chosen.config, "terminal", False):  # it would have shown the event
            logger.warning(told)


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
        logger.warning("observer failed", plugin=plugin.owner, error=repr(error))


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
        for plugin, stage in run.plan.catalog.stages():
            started = time.monotonic()
            run.events.emit("stage", stage=stage.name, status="started")
            run.context.stop.check()
            with _owned(f"stage {stage.name!r} of plugin {plugin.name} ({plugin.origin})", plugin):
                stage.run.load()(run.context)
            seconds = round(time.monotonic() - started, 3)
            run.events.emit("stage", stage=stage.name, status="finished", seconds=seconds)
        trained = run.context.find(Trained)
        metrics = dict(trained.metrics) if trained else {}
        return Outcome(status="finished", version=run.context.find(Version), metrics=metrics)


@contextlib.contextmanager
def _owned(what: str, plugin: Plugin) -> Iterator[None]:
    """What nobody foresaw, and an end of the program, is told as a mistake of *what*."""
    try:
        yield
    except LlamaHomeError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # Ctrl-C is the user's
        raise PluginError(
            f"{what} failed: {type(error).__name__}: {error}",
            hint=f"tell the authors of {plugin.origin.partition(' ')[0]}; "
            "the report and log/run.log of the run have the traceback",
            code="X900",
        ) from error


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
