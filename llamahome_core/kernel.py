"""The front door: discover plugins, resolve a recipe, plan, run, resume.

Nothing is global: two kernels with other plugins live side by side in one process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamahome_core.discovery import Plugin, Policy, discover, from_object
from llamahome_core.errors import PluginError, RunError, UnknownNameError, suggest
from llamahome_core.plugins import Plugins
from llamahome_core.policy import in_effect
from llamahome_core.registry import Catalog
from llamahome_core.terminal import aside
from llamahome_core.workspace import Workspace

if TYPE_CHECKING:
    from llamahome_core.config import Document, Merged
    from llamahome_core.context import Context, Stop
    from llamahome_core.events import Listener
    from llamahome_core.plan import Plan
    from llamahome_core.recipe import Recipe, Selection
    from llamahome_core.values import Outcome


class Kernel:
    """Discovered plugins, a workspace, and what can be done with both.

    Example::

        from llamahome_core import Kernel

        outcome = Kernel().run("recipe.toml")

    Args:
        plugins: What to discover; the installed plugins if not given.
        policy: Which of them may load; from the environment if not given. The settings may
            narrow it.
        workspace: Where things are kept; found from the working directory if not given.
        extra: Objects with hook implementations, besides what is installed.
        environ: Environment variables that are settings; the process's if not given.
        user_file: The user's settings file; the platform's place if not given.

    Attributes:
        settings_error: Why the settings do not say which plugins may load. Then only LlamaHome's
            own load, and nothing can be planned.
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
        policy, self.settings_error = in_effect(
            policy or Policy.from_environment(self.environ),
            self.workspace,
            self.environ,
            self.user_file,
        )
        self.plugins = Plugins(found, policy)
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
            packaged=self.packaged_recipe,
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

    def _need_settings(self) -> None:
        if self.settings_error is not None:
            raise self.settings_error

    def find_recipe(self, name: str | Path) -> Path:
        """The file called *name*, or the packaged recipe of that name.

        Raises:
            UnknownNameError: There is neither.
            PluginError: The package that should hold the recipe cannot be imported.
        """
        if not str(name).strip():
            raise UnknownNameError(
                "the recipe has no name", hint="name a .toml, .yaml or .json file"
            )
        path = Path(name)
        with contextlib.suppress(RuntimeError):  # there is no such user: then it is a strange name
            path = path.expanduser()
        is_packaged = str(name) in self.catalog.recipes()
        if path.suffix or path.is_file() or (path.exists() and not is_packaged):
            return path
        return self.packaged_recipe(str(name))

    def packaged_recipe(self, name: str) -> Path:
        """The packaged recipe called *name*.

        Raises:
            UnknownNameError: There is none.
            PluginError: The package that should hold it cannot be imported.
        """
        packaged = self.catalog.recipes()
        if name not in packaged:
            close = suggest(name, packaged)
            known = f"name a .toml, .yaml or .json file, or one of: {', '.join(packaged)}"
            raise UnknownNameError(
                f"there is no file and no packaged recipe {name!r}",
                hint=f"did you mean {close[0]}?" if close else known,
            )
        from importlib.resources import files

        plugin, record = packaged[name]
        try:
            with aside():
                return Path(str(files(record.package) / record.file))
        except ImportError as error:
            raise PluginError(
                f"recipe {name!r} of plugin {plugin.owner} cannot be found: {error}"
            ) from error

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
            RunError: An argument is of another type.
        """
        from llamahome_core.resolve import resolve

        if not isinstance(recipe, str | Path | Mapping):
            raise RunError(
                f"a recipe must be a file, a name or tables, got {type(recipe).__name__}",
                hint='Kernel().plan("recipe.toml")',
            )
        if isinstance(assignments, str) or not isinstance(assignments, Iterable):
            raise RunError(
                f"assignments must be a list of texts, got {type(assignments).__name__}",
                hint='assignments=["table.key=value"]',
            )
        merged, document = self._gather(recipe, parameters, assignments)
        self._need_settings()
        return resolve(self.catalog, merged, document)

    def schema(self) -> dict[str, Any]:
        """The JSON schema of recipes, with the settings of all active plugins' components."""
        from llamahome_core.schema import recipe_schema

        return recipe_schema(self.catalog)

    def context(self, plan: Plan | None = None, *, model: str | None = None) -> Context:
        """A context for work outside a run: a plan's details, generating from a version.

        Args:
            plan: The plan; settings alone if not given.
            model: The model that services such as the codec are for.

        Raises:
            ConfigError: The settings are wrong.
        """
        from llamahome_core.resolve import settings_only

        self._need_settings()
        if plan is None:
            given = None if model is None else {"model": {"from": model}}
            recipe = settings_only(self.catalog, self._gather(None, given, ())[0])
        else:
            recipe = plan.recipe
        return self._context(recipe)

    def _context(self, recipe: Recipe, **more: Any) -> Context:
        from llamahome_core.context import Context

        more = {"workspace": self.workspace, "environ": self.environ, **more}
        return Context(recipe=recipe, catalog=self.catalog, **more)

    # --- Runs -----------------------------------------------------------------------------------

    def run(  # all but the first are optional, and each is documented
        self,
        recipe: str | Path | Mapping[str, Any] | Plan,
        *,
        parameters: Mapping[str, Any] | None = None,
        assignments: Sequence[str] = (),
        monitors: Sequence[Selection] = (),
        stop: Stop | None = None,
        on_event: Listener | None = None,
    ) -> Outcome:
        """Run *recipe* from its first step to a published version.

        Args:
            recipe: A plan, a file, a packaged recipe's name, or plain tables.
            parameters: Runtime parameters.
            assignments: ``key=value`` texts.
            monitors: Monitors besides those of the recipe.
            stop: Set it from another thread or a signal handler to stop the run cleanly.
            on_event: Called in this thread with each event, as a dict of its own; the first has
                the run's ``name`` and ``directory``. Training waits for it: it must be quick. What
                it raises is logged, and it is not called again.

        Returns:
            How it ended; a failed run is an outcome with its error, not an exception.

        Raises:
            ConfigError: The recipe is wrong; nothing was written.
            RunError: Parameters or assignments were given with a plan, which is settled.
            StorageError: The run's folder cannot be made or written.
            KeyboardInterrupt: Ctrl-C, where the program has no handler of its own. The run's
                record says so, and it goes on from its newest checkpoint when it is resumed.
        """
        from llamahome_core.lifecycle import live
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
        context = self._context(plan.recipe, directory=directory, **_given(stop))
        return live(plan, context, [*plan.recipe.monitors, *monitors], on_event)

    def resume(
        self,
        name: str,
        *,
        monitors: Sequence[Selection] = (),
        stop: Stop | None = None,
        on_event: Listener | None = None,
    ) -> Outcome:
        """Go on with the run *name* from its newest intact checkpoint; arguments as in `run`.

        Raises:
            RunNotFoundError: There is no such run.
            RunError: It is finished already, or its recipe is not there.
            RunLockedError: It is going on in another process.
        """
        from llamahome_core.lifecycle import live, resumable

        directory = resumable(self.workspace.runs, name)
        plan = self.plan(directory / "resolved.toml")
        context = self._context(plan.recipe, directory=directory, resume=True, **_given(stop))
        return live(plan, context, [*plan.recipe.monitors, *monitors], on_event)


def _given(stop: Stop | None) -> dict[str, Any]:
    return {} if stop is None else {"stop": stop}
