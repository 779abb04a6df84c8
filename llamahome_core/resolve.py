"""From layers of settings to a validated recipe: every problem of all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llamahome_core import advice, config
from llamahome_core.assembly import absolute, assemble, folder_of, model_path, plain_recipe
from llamahome_core.components import Kind
from llamahome_core.config import ConfigError, Document, Merged, Problem
from llamahome_core.errors import LlamaHomeError, RequirementError, UnavailableError, suggest
from llamahome_core.plan import Plan
from llamahome_core.recipe import Recipe, Selection
from llamahome_core.registry import Catalog
from llamahome_core.root import DEFAULTS, Root, Table, drop_alternatives, table_of

__all__ = ["DEFAULTS", "Resolver", "Root", "check_required", "resolve", "settings_only"]


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
        self._elsewhere = advice.elsewhere(catalog, merged)

    def root(self) -> Root | None:
        """The kernel's own tables."""
        root, problems = config.structure(self.merged.data, Root, elsewhere=self._elsewhere)
        self.problems += [advice.at_the_top(p, self.catalog, self.merged) for p in problems]
        return root

    def _unknown(self, path: config.Path, error: LlamaHomeError, code: str = "C106") -> None:
        self.problems.append(Problem(code, error.message, path, fix=error.hint))

    def selection(self, kind: Kind, table: Table, at: config.Path) -> Selection | None:
        """The component that *table* chooses, with its settings."""
        settings = dict(table)
        role = settings.pop("role", "train") if kind is Kind.DATA_SOURCE else "train"
        if role not in ("train", "evaluate"):
            self.problems.append(advice.role(role, at))
            role = "train"
        use = settings.pop("use", DEFAULTS.get(kind))
        if not isinstance(use, str):
            self._missing_use(kind, use, at, settings)
            return None
        return self._bind(kind, use, settings, at, role)

    def _missing_use(self, kind: Kind, use: object, at: config.Path, settings: Table) -> None:
        if use is None and (close := suggest("use", settings, limit=1)):
            message = f"unknown key `{close[0]}` {config.in_table(at)}"
            path = (*at, close[0])
            self.problems.append(Problem("C101", message, path, "key", "did you mean `use`?"))
            return
        known = sorted({c.name for _, c in self.catalog.components(kind)})
        if use is None:
            message, path = f"this {kind.title} has no `use`", at
        else:
            message, path = f"`use` must be text, got {use!r}", (*at, "use")
        self.problems.append(Problem("C103", message, path, fix=f"choose one: {', '.join(known)}"))

    def _bind(
        self, kind: Kind, use: str, settings: Table, at: config.Path, role: Any
    ) -> Selection | None:
        try:
            plugin, component = self.catalog.find(kind, use)
            if self.for_run:
                component.require()
        except UnavailableError as error:
            self._unknown((*at, "use"), error, code="P204")
            return None
        except LlamaHomeError as error:
            self._unknown((*at, "use"), error)
            return None
        beside = ["use", "role"] if kind is Kind.DATA_SOURCE else ["use"]
        found: Any
        found, problems = config.structure(
            settings, component.config, at=at, elsewhere=self._elsewhere, beside=beside
        )
        self.problems += [advice.of_another(p, kind, at, self.catalog) for p in problems]
        if found is None:
            return None
        return Selection(
            kind=kind.value,
            name=use,
            plugin=plugin.name,
            component=component,
            config=absolute(found, at, self.merged),
            role=role,
        )

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
            return model_path(name, folder_of(self.merged, ("model", "from")))
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
        self._refuse_plugins()
        self._refuse_extends()
        self.problems += advice.passwords(self.merged)
        root = self.root()
        if root is not None:
            check_required(root.required)
        table = self.merged.data
        model = self.model(table_of(table, "model"))
        chosen = self.model_settings(table_of(table, "model"))
        for kind in DEFAULTS:
            if found := self.selection(kind, table_of(table, kind.value), (kind.value,)):
                chosen[kind.value] = found
        data = self._many(Kind.DATA_SOURCE)
        monitors = self._many(Kind.MONITOR)
        if self.for_run:
            self._require_data(data)
        if self.problems:
            raise ConfigError(self.merged.locate(self.problems))
        assert root is not None  # noqa: S101  # no problem was found, so both were read
        assert model is not None  # noqa: S101  # the same
        return assemble(root, model, chosen, (data, monitors), self.document), root

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

    def _refuse_plugins(self) -> None:
        """A recipe is read when the plugins are loaded: what it says of them would be ignored."""
        if misspelt := list(advice.unknown_plugins(self.merged, self.catalog)):
            # First of all: what they bring is missing everywhere else.
            raise ConfigError(self.merged.locate(misspelt))
        for path, origin in self.merged.origins.items():
            late = origin.layer in {"recipe", "runtime", "command line"}
            if path[:1] == ("plugins",) and len(path) > 1 and late:
                message = "plugins are loaded before a recipe is read"
                fix = "set it in .config/llamahome.toml, or use llamahome -p"
                self.problems.append(Problem("C104", message, path, "key", fix))

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


def check_required(required: Iterable[str]) -> None:
    """Check that each requirement, such as ``llamahome-foo>=1.2``, is installed.

    Raises:
        RequirementError: One is not, or is no requirement.
    """
    from importlib.metadata import PackageNotFoundError, version

    for text in required:
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise RequirementError(f"required: {text!r} is no requirement: {error}") from None
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            raise RequirementError(
                f"required: {requirement.name} is not installed", hint=f"pip install '{text}'"
            ) from None
        if not requirement.specifier.contains(installed, prereleases=True):
            raise RequirementError(
                f"required: {text}, and {installed} is installed",
                hint=f"pip install --upgrade '{text}'",
            )
