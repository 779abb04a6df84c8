"""From layers of settings to a validated recipe: every problem of all of them at once."""

from __future__ import annotations

from typing import Any

from llamahome_core import advice, config
from llamahome_core.assembly import absolute, assemble, folder_of, model_path, plain_recipe
from llamahome_core.choosing import Chooser
from llamahome_core.components import Command, Kind
from llamahome_core.config import ConfigError, Document, Merged, Problem
from llamahome_core.errors import suggest
from llamahome_core.plan import Plan
from llamahome_core.recipe import Recipe, Selection
from llamahome_core.registry import Catalog
from llamahome_core.required import check_required
from llamahome_core.requirements import parse
from llamahome_core.root import (
    DEFAULTS,
    Root,
    Table,
    drop_alternatives,
    late,
    table_of,
)

__all__ = ["DEFAULTS", "Resolver", "Root", "resolve", "settings_only"]


class Resolver(Chooser):
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
        super().__init__(catalog, merged, for_run=for_run)
        self.document = document

    def root(self) -> Root | None:
        """The kernel's own tables."""
        root, problems = config.structure(self.merged.data, Root, elsewhere=self.elsewhere)
        told = {problem.path for problem in self.merged.problems}
        new = (problem for problem in problems if problem.path not in told)
        self.problems += [advice.at_the_top(p, self.catalog, self.merged) for p in new]
        return root

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
            return self.followed(at, lambda: model_path(name, folder_of(self.merged, at)))
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
                fix = advice.in_model(name, self.catalog)
                self.problems.append(
                    Problem("C101", f"unknown key `{name}` in [model]", ("model", name), "key", fix)
                )
            elif bound := self.bind(Kind.MODEL_SOURCE, name, dict(settings), ("model", name)):
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
        self.problems += advice.passwords(self.merged)
        root = self.root()
        self._refuse_late()
        if root is not None:
            self.warn(Root, ())
            self._require(root.required)
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
        misspelt = list(advice.unknown_plugins(self.merged, self.catalog))
        if misspelt and self.for_run:
            # First of all: what they bring is missing everywhere else.
            raise ConfigError(self.merged.locate(misspelt))
        self.problems += misspelt
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

    def _require(self, required: tuple[str, ...]) -> None:
        """Check what must be installed, unless it is not even written as it must be."""
        before = len(self.problems)
        for index, text in enumerate(required):
            try:
                parse(text)
            except ValueError as error:
                fix = 'write its name, and a version if need be, such as "llamahome-foo>=1.2"'
                self.problems.append(Problem("C104", str(error), ("required", index), fix=fix))
        if len(self.problems) == before:
            origin = self.merged.origin(("required",))
            where = f"{origin.place()}: " if origin and origin.path else ""
            check_required(required, self.catalog.plugins.all, where)

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
    resolver = Resolver(catalog, merged, document)
    recipe, root = resolver.recipe()
    return Plan(
        recipe=recipe,
        catalog=catalog,
        merged=merged,
        resolved=plain_recipe(recipe, root),
        text=document.text if document and document.path else None,
        suffix=document.path.suffix if document and document.path else ".toml",
        warnings=tuple(resolver.warnings),
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
