"""The front door: discover plugins, resolve a recipe, plan, run, resume.

Nothing is global: two kernels with other plugins live side by side in one process.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamahome_core.discovery import Plugin, Policy, discover, from_object
from llamahome_core.errors import RunError, StorageError, UnknownNameError, suggest
from llamahome_core.plugins import Plugins
from llamahome_core.registry import Catalog
from llamahome_core.workspace import Workspace

if TYPE_CHECKING:
    from llamahome_core.config import Document, Merged
    from llamahome_core.context import Context, Stop
    from llamahome_core.events import EventLog
    from llamahome_core.plan import Plan
    from llamahome_core.recipe import Selection
    from llamahome_core.run import Run
    from llamahome_core.values import Outcome


class Kernel:
    """Discovered plugins, a workspace, and what can be done with both.

    Example::

        from llamahome_core import Kernel

        outcome = Kernel().run("recipe.toml")

    Args:
        plugins: What to discover; the installed plugins if not given.
        policy: Which of them may load; from the environment if not given.
        workspace: Where things are kept; found from the working directory if not given.
        extra: Objects with hook implementations, besides what is installed.
        environ: Environment variables that are settings; the process's if not given.
        user_file: The user's settings file; the platform's place if not given.
    """

    def __init__(  # each is one thing that an embedding program may replace
        self,
        plugins: Iterable[Plugin] | None = None,
        *,
        policy: Policy | None = None,
        workspace: Workspace | None = None,
        extra: Iterable[Any] = (),
        environ: Mapping[str, str] | None = None,
        user_file: Path | None = None,
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.workspace = workspace or Workspace.find(environ=self.environ)
        self.user_file = user_file
        found = list(discover() if plugins is None else plugins)
        found += [from_object(thing) for thing in extra]
        self.plugins = Plugins(found, policy or Policy.from_environment(self.environ))
        self.catalog = Catalog(self.plugins)

    # --- Recipes --------------------------------------------------------------------------------

    def _gather(
        self,
        recipe: str | Path | Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None,
        assignments: Sequence[str],
    ) -> tuple[Merged, Document | None]:
        from llamahome_core.settings import Sources, gather

        if isinstance(recipe, str | Path):
            recipe = self.find_recipe(recipe)
        sources = Sources(
            recipe=recipe,
            parameters=parameters or {},
            assignments=tuple(assignments),
            environ=self.environ,
            user_file=self.user_file,
        )
        return gather(self.workspace, self.catalog.defaults(), sources)

    def settings(
        self, recipe: str | Path | Mapping[str, Any] | None = None, assignments: Sequence[str] = ()
    ) -> Merged:
        """All layers merged, without a recipe or with one; not validated.

        Raises:
            ConfigError: A file cannot be read or understood.
        """
        return self._gather(recipe, None, assignments)[0]

    def find_recipe(self, name: str | Path) -> Path:
        """The file called *name*, or the packaged recipe of that name.

        Raises:
            UnknownNameError: There is neither.
        """
        path = Path(name).expanduser()
        packaged = self.catalog.recipes()
        if path.suffix or path.is_file() or (path.exists() and str(name) not in packaged):
            return path
        if str(name) not in packaged:
            close = suggest(str(name), packaged)
            known = f"name a .toml, .yaml or .json file, or one of: {', '.join(packaged)}"
            raise UnknownNameError(
                f"there is no file and no packaged recipe {str(name)!r}",
                hint=f"did you mean {close[0]}?" if close else known,
            )
        from importlib.resources import files

        record = packaged[str(name)][1]
        return Path(str(files(record.package) / record.file))

    def plan(
        self,
        recipe: str | Path | Mapping[str, Any],
        *,
        parameters: Mapping[str, Any] | None = None,
        assignments: Sequence[str] = (),
    ) -> Plan:
        """Read and validate *recipe*; imports nothing heavy, writes nothing.

        Args:
            recipe: A file, a packaged recipe's name, or plain tables.
            parameters: Runtime parameters, over the recipe and below *assignments*.
            assignments: ``key=value`` texts, as after ``--set``.

        Raises:
            ConfigError: Everything that is wrong with it, at once.
        """
        from llamahome_core.resolve import resolve

        merged, document = self._gather(recipe, parameters, assignments)
        return resolve(self.catalog, merged, document)

    def context(self, plan: Plan | None = None, *, model: str | None = None) -> Context:
        """A context for work outside a run: a plan's details, generating from a version.

        Args:
            plan: The plan; settings alone if not given.
            model: The model that services such as the codec are for.
        """
        from llamahome_core.context import Context
        from llamahome_core.resolve import settings_only

        if plan is None:
            given = None if model is None else {"model": {"from": model}}
            recipe = settings_only(self.catalog, self._gather(None, given, ())[0])
        else:
            recipe = plan.recipe
        return Context(recipe=recipe, workspace=self.workspace, catalog=self.catalog)

    # --- Runs -----------------------------------------------------------------------------------

    def run(  # all but the first are optional, and each is documented
        self,
        recipe: str | Path | Mapping[str, Any] | Plan,
        *,
        parameters: Mapping[str, Any] | None = None,
        assignments: Sequence[str] = (),
        monitors: Sequence[Selection] = (),
        stop: Stop | None = None,
    ) -> Outcome:
        """Run *recipe* from its first step to a published version.

        Args:
            recipe: A plan, a file, a packaged recipe's name, or plain tables.
            parameters: Runtime parameters.
            assignments: ``key=value`` texts.
            monitors: Monitors besides those of the recipe.
            stop: Set it from another thread or a signal handler to stop the run cleanly.

        Returns:
            How it ended; a failed run is an outcome with its error, not an exception.

        Raises:
            ConfigError: The recipe is wrong; nothing was written.
            RunError: Parameters or assignments were given with a plan, which is settled.
            StorageError: The run's folder cannot be made or written.
        """
        from llamahome_core.plan import Plan
        from llamahome_core.run import new_directory

        if isinstance(recipe, Plan) and (parameters or assignments):
            raise RunError("a plan is settled: give parameters and assignments to Kernel.plan")
        plan = (
            recipe
            if isinstance(recipe, Plan)
            else self.plan(recipe, parameters=parameters, assignments=assignments)
        )
        directory = new_directory(self.workspace.runs, plan.recipe.name)
        return self._carry_out(plan, directory, monitors, stop, resume=False)

    def resume(
        self, name: str, *, monitors: Sequence[Selection] = (), stop: Stop | None = None
    ) -> Outcome:
        """Go on with the run *name* from its newest intact checkpoint.

        Raises:
            RunNotFoundError: There is no such run.
            RunError: It is finished already, or it ended before its recipe was written.
            RunLockedError: It is going on in another process.
        """
        from llamahome_core.run import describe, find_directory

        directory = find_directory(self.workspace.runs, name)
        if not (directory / "resolved.toml").exists():
            raise RunError(
                f"run {directory.name} ended before its recipe was written",
                hint="run the recipe again",
            )
        if describe(directory).state == "finished":
            raise RunError(
                f"run {directory.name} is finished",
                hint=f"llamahome run {directory / 'resolved.toml'}  (a new run of the same recipe)",
            )
        plan = self.plan(directory / "resolved.toml")
        return self._carry_out(plan, directory, monitors, stop, resume=True)

    def _carry_out(
        self,
        plan: Plan,
        directory: Path,
        monitors: Sequence[Selection],
        stop: Stop | None,
        *,
        resume: bool,
    ) -> Outcome:
        from llamahome_core import log
        from llamahome_core.context import Context, Stop
        from llamahome_core.events import EventLog
        from llamahome_core.run import Execution, Run, held, write_record

        if not self.plugins.manager.has_plugin("kernel"):
            self.plugins.manager.register(Execution(), "kernel")
        with held(directory):
            if not resume:
                write_record(directory, plan)
            events = EventLog(directory / "events.jsonl")
            context = Context(
                recipe=plan.recipe,
                workspace=self.workspace,
                catalog=self.catalog,
                directory=directory,
                events=events,
                stop=stop or Stop(),
                resume=resume,
            )
            context.stop.listener = lambda number: _tell_stopping(events, number)
            run = Run(
                name=directory.name, directory=directory, plan=plan, context=context, events=events
            )
            try:
                with log.captured(directory / "log" / "run.log"):
                    return self._monitored(run, [*plan.recipe.monitors, *monitors])
            finally:
                context.stop.listener = None
                with contextlib.suppress(StorageError):  # what failed before is what matters
                    events.close()

    def _monitored(self, run: Run, selections: Sequence[Selection]) -> Outcome:
        from llamahome_core import log
        from llamahome_core.monitoring import Monitors
        from llamahome_core.run import carry_out

        started = time.monotonic()
        logger = log.logger("run")
        monitors = Monitors(selections, run.directory, logger)
        monitors.start()
        try:
            self._announce(run)
            for plugin, error in self.plugins.notify("llamahome_run_started", run=run):
                logger.warning("observer failed", plugin=plugin.name, error=repr(error))
            outcome = carry_out(run)
            if outcome.error is not None:
                logger.debug("run ended", error=repr(outcome.error), exc_info=outcome.error)
            for plugin, error in self.plugins.notify(
                "llamahome_run_finished", run=run, outcome=outcome
            ):
                logger.warning("observer failed", plugin=plugin.name, error=repr(error))
            return self._conclude(run, outcome, time.monotonic() - started)
        finally:
            monitors.close()

    def _conclude(self, run: Run, outcome: Outcome, seconds: float) -> Outcome:
        """Write down how the run ended; a disk that is full by then fails the run."""
        from attrs import evolve

        from llamahome_core.run import end_fields

        try:
            run.events.emit("end", **end_fields(run, outcome, seconds))
            run.status(outcome.status)
            run.events.sync()
        except StorageError as error:
            failed = outcome if outcome.error is not None else evolve(outcome, error=error)
            return evolve(failed, status="failed")
        return outcome

    def _announce(self, run: Run) -> None:
        from llamahome_core.run import environment

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


def _tell_stopping(events: EventLog, number: int) -> None:
    """Called in a signal handler: what fails here would end the run instead of saving it."""
    with contextlib.suppress(StorageError):
        events.emit("stopping", signal=number)
