"""From layers of settings to a validated recipe: every problem of all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve

from llamahome_core import config
from llamahome_core.assembly import absolute, assemble, folder_of, model_path, plain_recipe
from llamahome_core.components import Command, Kind
from llamahome_core.config import ConfigError, Document, Merged, Problem
from llamahome_core.errors import (
    AmbiguousNameError,
    BrokenPluginError,
    LlamaHomeError,
    UnavailableError,
    suggest,
)
from llamahome_core.hookspecs import PROJECT
from llamahome_core.plan import Plan
from llamahome_core.recipe import Recipe, Selection
from llamahome_core.registry import Catalog
from llamahome_core.root import (
    DEFAULTS,
    Root,
    Table,
    check_required,
    drop_alternatives,
    late,
    places,
    table_of,
)

__all__ = ["DEFAULTS", "Resolver", "Root", "check_required", "resolve", "settings_only"]

T = TypeVar("T")


class Resolver:
    """Turns merged layers into a plan; collects every problem before it gives up.

    Args:
        catalog: The components to choose from.
        merged: The layers.
        document: What the recipe was read from.
        for_run: Whether a run is to come of it: then it needs data, and components that are
            installed. Other work may do without torch.
    """

    def __init__(
        self,
        catalog: Catalog,
        merged: Merged,
        document: Document | None = None,
        *,
        for_run: bool = True,
    ) -> None:
        self.catalog = catalog
        self.merged = merged
        self.document = document
        self.for_run = for_run
        self.problems: list[Problem] = []

    def root(self) -> Root | None:
        """The kernel's own tables."""
        root, problems = config.structure(self.merged.data, Root, elsewhere=places)
        told = {problem.path for problem in self.merged.problems}
        self.problems += [problem for problem in problems if problem.path not in told]
        return root

    def selection(self, kind: Kind, table: Table, at: config.Path) -> Selection | None:
        """The component that *table* chooses, with its settings."""
        settings = dict(table)
        role = settings.pop("role", "train") if kind is Kind.DATA_SOURCE else "train"
        if role not in ("train", "evaluate"):
            self.problems.append(
                Problem(
                    "C105", f'`role` must be "train" or "evaluate", got {role!r}', (*at, "role")
                )
            )
            role = "train"
        use = settings.pop("use", DEFAULTS.get(kind))
        if not isinstance(use, str):
            self._missing_use(kind, use, at)
            return None
        return self._bind(kind, use, settings, at, role)

    def _missing_use(self, kind: Kind, use: object, at: config.Path) -> None:
        known = sorted({c.name for _, c in self.catalog.components(kind)})
        problem = Problem("C103", f"this {kind.title} has no `use`", at)
        if use is not None:
            _, (problem,) = config.structure(use, str, at=(*at, "use"))
        self.problems.append(evolve(problem, fix=f"choose one: {', '.join(known)}", edit=None))

    def _bind(
        self, kind: Kind, use: str, settings: Table, at: config.Path, role: Any
    ) -> Selection | None:
        try:
            plugin, component = self.catalog.find(kind, use)
            if self.for_run:
                component.require()
        except UnavailableError as error:
            self.problems.append(Problem("P204", error.message, (*at, "use"), fix=error.hint))
            return None
        except AmbiguousNameError as error:
            self._ambiguous(kind, use, at, error)
            return None
        except LlamaHomeError as error:
            self._unknown((*at, "use"), error)
            return None
        found: Any
        found, problems = config.structure(settings, component.config, at=at)
        self.problems += problems
        settled = self._followed(at, lambda: absolute(found, at, self.merged))
        if found is None or settled is None:
            return None
        return Selection(
            kind=kind.value,
            name=use,
            plugin=plugin.name,
            component=component,
            config=settled,
            role=role,
        )

    def _ambiguous(self, kind: Kind, use: str, at: config.Path, error: LlamaHomeError) -> None:
        """Offer our own component first: it is the one that the name meant before."""
        fix = error.hint
        if at[0] == kind.value:
            name = use.rpartition(":")[2]
            owners = [p for p, c in self.catalog.components(kind) if c.name == name]
            owner = min(owners, key=lambda p: p.origin.partition(" ")[0] != PROJECT)
            table = f"[[{at[0]}]]" if len(at) > 1 else f"[{at[0]}]"
            fix = f'write in {table}: use = "{owner.name}:{name}"'
        self.problems.append(Problem("C106", error.message, (*at, "use"), fix=fix))

    def _unknown(self, path: config.Path, error: LlamaHomeError) -> None:
        """Name the plugins that did not load too: one of them may bring what is missing."""
        message, fix = error.message, error.hint or ""
        told = isinstance(error, BrokenPluginError)
        status = {"blocked"} if told else {"blocked", "broken"}
        absent = [p for p in self.catalog.plugins.all if p.status in status]
        if absent:
            listed = ", ".join(f"{p.name} ({p.status})" for p in absent)
            message += f"; a plugin that is not loaded may offer it: {listed}"
            if fix.startswith("installed"):
                fix = "let it load: see -p, LLAMAHOME_PLUGINS, and [plugins] in the settings"
        self.problems.append(Problem("C106", message, path, fix=fix))

    def model(self, table: Table) -> str | None:
        """The model's name, made absolute if it is a path."""
        name = table.get("from")
        if not isinstance(self.merged.data.get("model", {}), dict):
            return None  # the root has said that it is no table
        if name is None:
            self._missing_model(table)
        elif not isinstance(name, str) or not name:
            message = f"`from` must be the name of a model, got {name!r}"
            self.problems.append(Problem("C102", message, ("model", "from")))
        else:
            at = ("model", "from")
            return self._followed(at, lambda: model_path(name, folder_of(self.merged, at)))
        return None

    def _followed(self, at: config.Path, resolve: Callable[[], T]) -> T | None:
        """What *resolve* makes of paths; none if they cannot be followed to their end."""
        try:
            return resolve()
        except (RuntimeError, ValueError) as error:  # a circle of symbolic links, a NUL
            message = f"a path cannot be followed: {error}"
            self.problems.append(Problem("C104", message, at, fix="name the file or folder itself"))
        return None

    def _missing_model(self, table: Table) -> None:
        message = "`from` is missing in [model]" if table else "there is no [model]"
        fix = 'add [model] with from = "smollm2-135m-instruct", or another model'
        self.problems.append(Problem("C103", message, ("model",), "key", fix))

    def model_settings(self, table: Table) -> dict[str, Selection]:
        """Settings of model sources: ``[model.hub]``."""
        chosen = {}
        for name, settings in table.items():
            if name == "from":
                continue
            if not isinstance(settings, dict):
                close = suggest(name, ["from"])
                fix = "did you mean `from`?" if close else "[model] has only `from`"
                self.problems.append(
                    Problem("C101", f"unknown key `{name}` in [model]", ("model", name), "key", fix)
                )
            elif bound := self._bind(
                Kind.MODEL_SOURCE, name, dict(settings), ("model", name), "train"
            ):
                chosen[f"model:{name}"] = bound
        return chosen

    def recipe(self) -> tuple[Recipe, Root]:
        """The validated recipe.

        Raises:
            ConfigError: Everything that is wrong, in file order.
            RequirementError: What it requires is not installed. This comes first: what is wrong
                may be a name that the missing distribution brings.
        """
        drop_alternatives(self.merged)
        self.problems += self.merged.problems
        self._refuse_extends()
        self._commands()
        root = self.root()
        self._refuse_late()
        if root is not None:
            self.problems += check_required(root.required)
        table = self.merged.data
        model = self.model(table_of(table, "model"))
        chosen = self.model_settings(table_of(table, "model"))
        for kind in DEFAULTS:
            if found := self.selection(kind, table_of(table, kind.value), (kind.value,)):
                chosen[kind.value] = found
        data = self._many(Kind.DATA_SOURCE)
        transforms, monitors = self._many(Kind.TRANSFORM), self._many(Kind.MONITOR)
        if self.for_run:
            self._require_data(data)
        if self.problems:
            raise ConfigError(self.merged.locate(self.problems))
        assert root is not None  # noqa: S101  # no problem was found, so both were read
        assert model is not None  # noqa: S101  # the same
        return assemble(root, model, chosen, (data, transforms, monitors), self.document), root

    def _many(self, kind: Kind) -> tuple[Selection, ...]:
        tables = self.merged.data.get(kind.value)
        if not isinstance(tables, list):
            return ()
        found = [
            self.selection(kind, table, (kind.value, index))
            for index, table in enumerate(tables)
            if isinstance(table, dict)
        ]
        return tuple(selection for selection in found if selection)

    def _refuse_late(self) -> None:
        for problem in late(self.merged):
            # Whatever else is wrong with it, it cannot stay.
            kept = [p for p in self.problems if p.path[: len(problem.path)] != problem.path]
            self.problems = [*kept, problem]

    def command(self, command: Command) -> Any:
        """The settings of *command*; None if they are wrong."""
        at = ("command", command.name)
        table = table_of(self.merged.data, "command").get(command.name, {})
        found: Any
        found, problems = config.structure(table, command.config, at=at)
        self.problems += problems
        return found if found is None else absolute(found, at, self.merged)

    def _commands(self) -> None:
        """Check the settings of all commands that are mentioned.

        Those of one that nobody has are passed over where a plugin is not loaded: it may be its.
        """
        tables = table_of(self.merged.data, "command")
        known = self.catalog.commands() if tables else {}
        for name, table in tables.items():
            if name in known and isinstance(table, dict):
                self.command(known[name][1])
            elif name not in known and all(p.status == "active" for p in self.catalog.plugins.all):
                close = suggest(name, known)
                fix = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(known)}"
                message, at = f"no plugin has a command `{name}`", ("command", name)
                self.problems.append(Problem("C106", message, at, "key", fix))

    def _refuse_extends(self) -> None:
        origin = self.merged.origins.get(("extends",))
        for place in (origin, *origin.shadowed) if origin else ():
            if place.layer != "recipe":
                message, fix = "only a recipe extends another", "write it in the recipe"
                self.problems.append(Problem("C104", message, ("extends",), "key", fix, place))

    def _require_data(self, data: tuple[Selection, ...]) -> None:
        if not self.merged.data.get("data"):
            message, path = "there is no [[data]]", ("data",)
        elif data and all(selection.role == "evaluate" for selection in data):
            message, path = (
                'no [[data]] is there to train on: all have role = "evaluate"',
                ("data",),
            )
        else:
            return
        fix = 'add [[data]] with use = "jsonl" and path = "train.jsonl"'
        self.problems.append(Problem("C103", message, path, "key", fix))


def resolve(catalog: Catalog, merged: Merged, document: Document | None) -> Plan:
    """Validate *merged* and bind it to components.

    Raises:
        ConfigError: Everything that is wrong, in file order.
        RequirementError: A distribution in ``required`` is missing or has the wrong version.
    """
    recipe, root = Resolver(catalog, merged, document).recipe()
    return Plan(
        recipe=recipe,
        catalog=catalog,
        merged=merged,
        resolved=plain_recipe(recipe, root),
        text=document.text if document and document.path else None,
        suffix=document.path.suffix if document and document.path else ".toml",
        bases=tuple(base for base in reversed(merged.documents) if base.extended),
    )


def settings_only(catalog: Catalog, merged: Merged) -> Recipe:
    """A recipe without data, for work outside a run: generating, listing versions.

    A component that is not installed is an error where it is built, and not before.

    Raises:
        ConfigError: The settings are wrong.
    """
    model = merged.data.setdefault("model", {})
    if isinstance(model, dict):
        model.setdefault("from", "none")
    merged.data.setdefault("data", [])
    recipe, _ = Resolver(catalog, merged, for_run=False).recipe()
    return recipe
