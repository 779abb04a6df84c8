"""Does the work of a run, stage by stage, and turns how that ended into an outcome."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

from llamahome_core.blame import accused
from llamahome_core.components import Stage
from llamahome_core.discovery import Plugin
from llamahome_core.errors import Interrupted, LlamaHomeError, PluginError
from llamahome_core.hookspecs import hookimpl
from llamahome_core.protocols import Trained
from llamahome_core.run import Run
from llamahome_core.values import Outcome, Version

# A process has one torch, with one random state and one number of threads, and libraries of which
# not all can be imported by two threads at once. So its runs take turns, a stage each.
_turn = threading.RLock()
_POLL = 0.2


class Execution:
    """The kernel's own ``llamahome_execute``: the stages, one after another."""

    @hookimpl(trylast=True)
    def llamahome_execute(self, run: Run) -> Outcome:
        """Run every stage; what they leave in the context is the outcome."""
        for plugin, stage in run.plan.catalog.stages():
            with _turn_of(run), _owned(run, stage, plugin):
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
def _owned(run: Run, stage: Stage, plugin: Plugin) -> Iterator[None]:
    """What nobody foresaw, and an end of the program, is told as a mistake of *stage*."""
    what = f"stage {stage.name!r} of plugin {plugin.name} ({plugin.origin})"
    try:
        yield
    except LlamaHomeError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # Ctrl-C is the user's
        if (found := _accused(run, error)) is not error:
            raise found from error
        raise PluginError(
            f"{what} failed: {type(error).__name__}: {error}",
            hint=f"tell the authors of {plugin.origin.partition(' ')[0]}; "
            "the report and log/run.log of the run have the traceback",
            code="X900",
        ) from error


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
        return Outcome(status="failed", error=_accused(run, error))


def _accused(run: Run, error: BaseException) -> BaseException:
    """*error*, or one that names the third party whose code raised it."""
    catalog, recipe = run.plan.catalog, run.plan.recipe
    chosen = [*recipe.chosen.values(), *recipe.data, *recipe.transforms]
    found: BaseException = accused(error, catalog.plugins.active.values(), chosen)
    return found


def _checked(result: object) -> Outcome:
    if isinstance(result, Outcome):
        return result
    raise PluginError(
        f"llamahome_execute gave {result!r} instead of an Outcome",
        hint="a wrapper of it must end with: return (yield)",
    )
