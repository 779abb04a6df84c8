"""From layers of settings to a validated recipe: every problem of all of them at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import attrs
from attrs import field, frozen, validators

from llamahome_core import config
from llamahome_core.components import Kind
from llamahome_core.config import ConfigError, Document, Merged, Problem
from llamahome_core.errors import LlamaHomeError, RequirementError, UnavailableError, suggest
from llamahome_core.plan import Plan
from llamahome_core.recipe import (
    NAME,
    Batch,
    CatalogueEntry,
    Checkpoint,
    Evaluate,
    Network,
    PluginPolicy,
    Publish,
    Recipe,
    Resources,
    Sample,
    Selection,
    Train,
)
from llamahome_core.registry import Catalog

DEFAULTS = {
    Kind.OBJECTIVE: "sft",
    Kind.ADAPTER: "full",
    Kind.OPTIMIZER: "adamw",
    Kind.SCHEDULE: "cosine",
    Kind.TRAINER: "torch",
    Kind.CACHE: "lru",
    Kind.STORE: "local",
}
"""What a recipe that does not say gets."""

# Lengths and step sizes are alternatives: the one that a stronger layer sets replaces the others.
ALTERNATIVES = (
    (("batch", "tokens"), ("batch", "rows")),
    (("train", "epochs"), ("train", "steps"), ("train", "tokens")),
)

Table = dict[str, Any]


@frozen(kw_only=True)
class Root:
    """The tables of a recipe and of the settings; component tables are open until their ``use``."""

    schema: Literal[1] = 1
    """Version of the recipe's form."""
    resolved: bool = False
    """The recipe holds every value: no settings and no environment are added to it."""
    name: str | None = field(
        default=None, validator=validators.optional(validators.matches_re(NAME))
    )
    """Name of the runs and of the published model; the file's name if not set."""
    seed: int = field(default=0, validator=[validators.ge(0), validators.lt(2**63)])
    """Seed of everything random."""
    required: tuple[str, ...] = ()
    """Distributions that must be installed, such as `llamahome-foo>=1.2`."""
    model: Table = field(factory=dict)
    """The model to start from: `from = "name:tag"`, `"hub:org/name@revision"`, a path."""
    data: tuple[Table, ...] = ()
    """Where the rows come from; several tables are read one after another."""
    objective: Table = field(factory=dict)
    """What is learned."""
    adapter: Table = field(factory=dict)
    """Which weights are trained."""
    optimizer: Table = field(factory=dict)
    """How gradients become updates."""
    schedule: Table = field(factory=dict)
    """The learning rate over time."""
    trainer: Table = field(factory=dict)
    """What executes a step."""
    cache: Table = field(factory=dict)
    """Where small results are kept for a while."""
    store: Table = field(factory=dict)
    """Where published versions are kept."""
    monitor: tuple[Table, ...] = ()
    """What shows or forwards the run's events, besides the console."""
    batch: Batch = field(factory=Batch)
    """How documents become optimizer steps."""
    train: Train = field(factory=Train)
    """How long and how precisely to train."""
    evaluate: Evaluate = field(factory=Evaluate)
    """When the held-out loss is measured."""
    sample: Sample = field(factory=Sample)
    """Prompts that the model answers during training."""
    checkpoint: Checkpoint = field(factory=Checkpoint)
    """When the state of training is saved."""
    publish: Publish = field(factory=Publish)
    """What becomes of the trained model."""
    models: dict[str, CatalogueEntry] = field(factory=dict)
    """Friendly names for models."""
    plugins: PluginPolicy = field(factory=PluginPolicy)
    """Which installed plugins may load."""
    network: Network = field(factory=Network)
    """Access to other machines."""
    resources: Resources = field(factory=Resources)
    """What of this machine a run may use."""


class Resolver:
    """Turns merged layers into a plan; collects every problem before it gives up."""

    def __init__(self, catalog: Catalog, merged: Merged) -> None:
        self.catalog = catalog
        self.merged = merged
        self.problems: list[Problem] = []

    def root(self) -> Root | None:
        """The kernel's own tables."""
        root, problems = config.structure(self.merged.data, Root, elsewhere=_places)
        self.problems += problems
        return root

    def _unknown(self, path: config.Path, error: LlamaHomeError, code: str = "C106") -> None:
        self.problems.append(Problem(code, error.message, path, fix=error.hint))

    def selection(self, kind: Kind, table: Table, at: config.Path) -> Selection | None:
        """The component that *table* chooses, with its settings."""
        settings = dict(table)
        role = settings.pop("role", "train") if kind is Kind.DATA_SOURCE else "train"
        if role not in {"train", "evaluate"}:
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
            component.require()
        except UnavailableError as error:
            self._unknown((*at, "use"), error, code="P204")
            return None
        except LlamaHomeError as error:
            self._unknown((*at, "use"), error)
            return None
        found: Any
        found, problems = config.structure(settings, component.config, at=at)
        self.problems += problems
        if found is None:
            return None
        return Selection(
            kind=kind.value,
            name=use,
            plugin=plugin.name,
            component=component,
            config=_absolute(found, at, self.merged),
            role=role,
        )

    def model(self, table: Table) -> str | None:
        """The model's name, made absolute if it is a path."""
        name = table.get("from")
        if name is None:
            self._missing_model(table)
        elif not isinstance(name, str) or not name:
            message = f"`from` must be the name of a model, got {name!r}"
            self.problems.append(Problem("C102", message, ("model", "from")))
        else:
            return _model_path(name, _folder(self.merged, ("model", "from")))
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

    def recipe(self, *, needs_data: bool = True) -> tuple[Recipe, Root]:
        """The validated recipe.

        Args:
            needs_data: Whether a recipe without [[data]] is wrong.

        Raises:
            ConfigError: Everything that is wrong, in file order.
        """
        _drop_alternatives(self.merged)
        self.problems += self.merged.problems
        root = self.root()
        table = self.merged.data
        model = self.model(_table(table, "model"))
        chosen = self.model_settings(_table(table, "model"))
        for kind in DEFAULTS:
            if found := self.selection(kind, _table(table, kind.value), (kind.value,)):
                chosen[kind.value] = found
        data = self._many(Kind.DATA_SOURCE)
        monitors = self._many(Kind.MONITOR)
        if needs_data and not table.get("data"):
            self._missing_data()
        if self.problems:
            raise ConfigError(self.merged.locate(self.problems))
        return _assemble(root, model, chosen, data, monitors, self.merged), cast("Root", root)

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

    def _missing_data(self) -> None:
        fix = 'add [[data]] with use = "jsonl" and path = "train.jsonl"'
        self.problems.append(Problem("C103", "there is no [[data]]", ("data",), "key", fix))


def resolve(catalog: Catalog, merged: Merged, document: Document | None) -> Plan:
    """Validate *merged* and bind it to components.

    Raises:
        ConfigError: Everything that is wrong, in file order.
        RequirementError: A distribution in ``required`` is missing or has the wrong version.
    """
    recipe, root = Resolver(catalog, merged).recipe()
    check_required(root.required)
    return Plan(
        recipe=recipe,
        catalog=catalog,
        merged=merged,
        resolved=_resolved(recipe, root),
        text=document.text if document and document.path else None,
        suffix=document.path.suffix if document and document.path else ".toml",
    )


def settings_only(catalog: Catalog, merged: Merged, model: str | None) -> Recipe:
    """A recipe without data, for work outside a run: generating, listing versions.

    Raises:
        ConfigError: The settings are wrong.
    """
    merged.data.setdefault("model", {}).setdefault("from", model or "none")
    merged.data.setdefault("data", [])
    recipe, _ = Resolver(catalog, merged).recipe(needs_data=False)
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


def _table(data: Mapping[str, Any], key: str) -> Table:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _folder(merged: Merged, path: config.Path) -> Path:
    """The folder that a relative path at *path* is relative to."""
    origin = merged.origin(path)
    return origin.path.absolute().parent if origin and origin.path else Path.cwd()


def _drop_alternatives(merged: Merged) -> None:
    """Of settings that exclude each other, keep what the strongest layer sets."""
    order = config.LAYERS.index
    for group in ALTERNATIVES:
        layers = {
            path: order(merged.origins[path].layer)
            for path in group
            if path[-1] in _table(merged.data, path[0]) and path in merged.origins
        }
        for path, layer in layers.items():
            if layer < max(layers.values()):
                del merged.data[path[0]][path[-1]]
                del merged.origins[path]


def _assemble(
    root: Root | None,
    model: str | None,
    chosen: dict[str, Selection],
    data: tuple[Selection, ...],
    monitors: tuple[Selection, ...],
    merged: Merged,
) -> Recipe:
    assert root is not None  # noqa: S101  # no problem was found, so both were read
    assert model is not None  # noqa: S101
    top = merged.origin(("model", "from"))
    stem = top.path.stem if top and top.path and top.layer == "recipe" else "run"
    same = {a.name for a in attrs.fields(Recipe)} & {a.name for a in attrs.fields(Root)}
    own = same - {"name", "model", "data"}
    return Recipe(
        name=root.name or re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "run",
        model=model,
        data=data,
        monitors=monitors,
        chosen=chosen,
        folder=_folder(merged, ("model", "from")),
        **{name: getattr(root, name) for name in own},
    )


def _resolved(recipe: Recipe, root: Root) -> Table:
    """The recipe as plain tables, with every default, and nothing that depends on where it lies."""
    table: Table = {"schema": root.schema, "resolved": True, "name": recipe.name}
    table |= {"seed": recipe.seed, "required": list(recipe.required)}
    table["model"] = {"from": recipe.model}
    for key, selection in recipe.chosen.items():
        settings = config.unstructure(selection.config)
        if key.startswith("model:"):
            table["model"][selection.name] = settings
        else:
            table[key] = {"use": selection.name, **settings}
    for name in ("batch", "train", "evaluate", "sample", "checkpoint", "publish", "network"):
        table[name] = config.unstructure(getattr(recipe, name))
    table["resources"] = config.unstructure(recipe.resources)
    table["models"] = {n: config.unstructure(e) for n, e in recipe.models.items()}
    table["data"] = [
        {"use": s.name, "role": s.role, **config.unstructure(s.config)} for s in recipe.data
    ]
    table["monitor"] = [{"use": s.name, **config.unstructure(s.config)} for s in recipe.monitors]
    return table


def _places(key: str) -> list[str]:
    """Tables of the kernel that have a setting *key*, for a key that stands in the wrong one."""
    tables = (Batch, Train, Evaluate, Sample, Checkpoint, Publish, Network, Resources)
    return [
        f"{table.__name__.lower()}.{key}"
        for table in tables
        if key in {a.name for a in attrs.fields(table)}
    ]


def _model_path(name: str, folder: Path) -> str:
    if name.startswith(("./", "../", "~", "/")):
        return str((folder / Path(name).expanduser()).resolve())
    return name


def _absolute(found: Any, at: config.Path, merged: Merged) -> Any:
    """*found* with each relative path made absolute, from the file that it is written in."""
    changes = {}
    for attribute in attrs.fields(type(found)):
        value = getattr(found, attribute.name)
        if isinstance(value, Path):
            changes[attribute.name] = (
                _folder(merged, (*at, attribute.name)) / value.expanduser()
            ).resolve()
        elif attrs.has(type(value)):
            changes[attribute.name] = _absolute(value, (*at, attribute.name), merged)
    return attrs.evolve(found, **changes) if changes else found
