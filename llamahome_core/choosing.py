"""Finds the component that a table chooses and reads its settings; says what is wrong there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve

from llamahome_core import advice, config, deprecated
from llamahome_core.assembly import absolute
from llamahome_core.components import Kind
from llamahome_core.config import Merged, Problem
from llamahome_core.discovery import Plugin
from llamahome_core.errors import (
    AmbiguousNameError,
    LlamaHomeError,
    UnavailableError,
    suggest,
)
from llamahome_core.recipe import Selection
from llamahome_core.registry import Catalog
from llamahome_core.root import DEFAULTS, Table

T = TypeVar("T")


def _from(plugin: Plugin) -> str:
    """Whose a component is, for messages, if it is a third party's."""
    return "" if plugin.is_own else f" (from {plugin.owner})"


class Chooser:
    """Binds tables to components; collects every problem.

    Args:
        catalog: The components to choose from.
        merged: The layers.
        for_run: Whether a run is to come of it: then components must be installed.
    """

    def __init__(self, catalog: Catalog, merged: Merged, *, for_run: bool = True) -> None:
        self.catalog = catalog
        self.merged = merged
        self.for_run = for_run
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.elsewhere = advice.elsewhere(catalog, merged)

    def selection(self, kind: Kind, table: Table, at: config.Path) -> Selection | None:
        """The component that *table* chooses, with its settings."""
        settings = dict(table)
        role = settings.pop("role", "train") if kind is Kind.DATA_SOURCE else "train"
        if role not in ("train", "evaluate"):
            self.problems.append(advice.role(role, at))
            role = "train"
        use = settings.pop("use", None)
        if use is None and kind in DEFAULTS:
            use = self.catalog.usual(kind, DEFAULTS[kind])
        if not isinstance(use, str):
            self._missing_use(kind, use, at, settings)
            return None
        return self.bind(kind, use, settings, at, role)

    def _missing_use(self, kind: Kind, use: object, at: config.Path, settings: Table) -> None:
        if use is None and (close := suggest("use", settings, limit=1)):
            message = f"unknown key `{close[0]}` {config.in_table(at)}"
            path = (*at, close[0])
            self.problems.append(Problem("C101", message, path, "key", "did you mean `use`?"))
            return
        known = sorted({c.name for _, c in self.catalog.components(kind)})
        problem = Problem("C103", f"this {kind.title} has no `use`", at)
        if use is not None:
            _, (problem,) = config.structure(use, str, at=(*at, "use"))
        self.problems.append(evolve(problem, fix=f"choose one: {', '.join(known)}", edit=None))

    def bind(
        self, kind: Kind, use: str, settings: Table, at: config.Path, role: Any = "train"
    ) -> Selection | None:
        """The component called *use* with *settings*, which stand at *at*."""
        try:
            plugin, component = self.catalog.find(kind, use)
            if self.for_run:
                component.require()
        except UnavailableError as error:
            # Its owner was found before: only then is it asked what it needs.
            message = f"{error.message}{_from(self.catalog.find(kind, use)[0])}"
            self.problems.append(Problem("P204", message, (*at, "use"), fix=error.hint))
            return None
        except AmbiguousNameError as error:
            self._ambiguous(kind, use, at, error)
            return None
        except LlamaHomeError as error:
            self.problems.append(Problem("C106", error.message, (*at, "use"), fix=error.hint))
            return None
        beside = ["use", "role"] if kind is Kind.DATA_SOURCE else ["use"]
        found: Any
        found, problems = config.structure(
            settings, component.config, at=at, elsewhere=self.elsewhere, beside=beside
        )
        advised = (advice.of_another(p, kind, at, self.catalog) for p in problems)
        self.problems += [evolve(p, message=f"{p.message}{_from(plugin)}") for p in advised]
        settled = self.followed(at, lambda: absolute(found, at, self.merged))
        if found is None or settled is None:
            return None
        self.warn(component.config, at)
        return Selection(
            kind=kind.value,
            name=use,
            plugin=plugin.name,
            component=component,
            config=settled,
            role=role,
            origin=plugin.origin,
        )

    def _ambiguous(self, kind: Kind, use: str, at: config.Path, error: LlamaHomeError) -> None:
        """Offer our own component first: it is the one that the name meant before."""
        fix = error.hint
        if at[0] == kind.value:
            name = use.rpartition(":")[2]
            owners = [p for p, c in self.catalog.components(kind) if c.name == name]
            owner = min(owners, key=lambda p: not p.is_own)
            table = f"[[{at[0]}]]" if len(at) > 1 else f"[{at[0]}]"
            fix = f'write in {table}: use = "{owner.name}:{name}"'
        self.problems.append(Problem("C106", error.message, (*at, "use"), fix=fix))

    def followed(self, at: config.Path, resolve: Callable[[], T]) -> T | None:
        """What *resolve* makes of paths; none if they cannot be followed to their end."""
        try:
            return resolve()
        except (RuntimeError, ValueError) as error:  # a circle of symbolic links, a NUL
            message = f"a path cannot be followed: {error}"
            self.problems.append(Problem("C104", message, at, fix="name the file or folder itself"))
        return None

    def warn(self, cls: type[Any], at: config.Path) -> None:
        """Tell of deprecated settings of *cls* at *at*."""
        # A resolved recipe holds every value: nobody chose those that are deprecated.
        if self.merged.data.get("resolved") is not True:
            self.warnings += deprecated.settings(self.merged, cls, at)
