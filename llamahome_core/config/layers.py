"""Merges documents, weakest first, and remembers for every value where it came from."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from llamahome_core.config.document import Document, Mark, Origin, Path, nest
from llamahome_core.config.problems import Problem, path_text


@frozen(eq=False)
class Merged:
    """All layers as one.

    Attributes:
        data: Plain values.
        origins: Where each value, list and table comes from.
        problems: C110 where layers contradict each other, C111 where one edits no element.
        documents: What was merged, weakest first.
    """

    data: dict[str, Any] = field(repr=False)
    origins: dict[Path, Origin] = field(repr=False)
    problems: tuple[Problem, ...] = ()
    documents: tuple[Document, ...] = field(default=(), repr=False)

    def origin(self, path: Path) -> Origin | None:
        """The origin of *path*, or of the nearest table that it would be in."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path)

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems with their origins; one that has an origin keeps it.

        What is missing, or was never written down, is shown at the key of the table around it.
        """
        return [self._locate(problem) for problem in problems]

    def _locate(self, problem: Problem) -> Problem:
        if problem.origin is not None:
            return problem
        at = problem.at if problem.path in self.origins else "key"
        return evolve(problem, origin=self.origin(problem.path), at=at)


def merge(documents: Iterable[Document]) -> Merged:
    """Merge *documents*, weakest first.

    Tables merge key by key; lists and everything else replace. A table that names another ``use``
    than the one below drops that one's keys: a component's settings mean nothing to another. So it
    is with a model's ``source``: another model has another checksum. An
    integer key of an override edits that element of the list below it, and the next one after the
    last appends.
    """
    merger = _Merger()
    documents = tuple(documents)
    for document in documents:
        merger.add(document)
    return Merged(merger.data, merger.origins, tuple(merger.problems), documents)


class _Merger:
    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.origins: dict[Path, Origin] = {}
        self.problems: list[Problem] = []

    def add(self, document: Document) -> None:
        document = self._settle_indices(document)
        # What is missing is missing in the recipe or else in a file, not in a plugin's defaults.
        if document.layer == "recipe" or () in document.marks:
            self._note((), document)
        self._table((), self.data, document.data, document)

    def _settle_indices(self, document: Document) -> Document:
        """Read ``0`` in ``--set names.0=x`` as a key where `names` is a table and not a list."""
        if not _has_indices(document.data):
            return document
        path = next(iter(document.marks))
        here: Any = self.data
        value: Any = document.data
        settled: list[str | int] = []
        for part in path:
            settled.append(str(part) if isinstance(here, dict) else part)
            here, value = _child(here, settled[-1]), value[part]
        where = tuple(settled)
        return evolve(document, data=nest(where, value), marks={where: document.marks[path]})

    def _table(
        self, path: Path, below: dict[str, Any], above: Mapping[Any, Any], document: Document
    ) -> None:
        name = _naming_key(path)
        if name in above and name in below and above[name] != below[name]:
            for key in [key for key in below if key != name]:
                self._forget((*path, key), below.pop(key))
                self.origins.pop((*path, key), None)
        for key, value in above.items():
            self._value((*path, key), below, value, document)

    def _value(self, path: Path, parent: Any, value: Any, document: Document) -> None:
        """Put *value* into *parent*, the table or list that holds *path*."""
        old = _child(parent, path[-1])
        if _is_edit(value) and isinstance(old, list | None):
            parent[path[-1]] = items = [] if old is None else old
            self._note_table(path, document)
            self._elements(path, items, value, document)
            return
        self._check(path, old, value, document)
        if not (isinstance(old, dict) and isinstance(value, Mapping)):
            self._forget(path, old)
        if isinstance(value, Mapping):
            parent[path[-1]] = table = old if isinstance(old, dict) else {}
            self._note_table(path, document)
            self._table(path, table, value, document)
        else:
            parent[path[-1]] = copy.deepcopy(value)
            self._note_all(path, value, document)

    def _elements(
        self, path: Path, items: list[Any], edits: Mapping[int, Any], document: Document
    ) -> None:
        for index, value in edits.items():
            if index > len(items):
                self._no_element(path, index, len(items), document)
                continue
            if index == len(items):
                items.append(None)
            self._value((*path, index), items, value, document)

    def _no_element(self, path: Path, index: int, size: int, document: Document) -> None:
        origin = Origin(document, next(iter(document.marks.values())))
        have = {0: "no elements", 1: "1 element"}.get(size, f"{size} elements")
        message = f"`{path_text(path)}` has no element {index}: it has {have}, counted from 0"
        fix = f"write {path_text((*path, size))} to add one"
        self.problems.append(Problem("C111", message, (*path, index), "key", fix, origin))

    def _check(self, path: Path, old: Any, new: Any, document: Document) -> None:
        """A table can neither replace nor be replaced by anything else."""
        if old is None or new is None or isinstance(old, dict) == isinstance(new, Mapping):
            return
        origin = Origin(document, document.marks.get(path, Mark()))
        place = self.origins[path].place("key")
        message = f"`{path_text(path)}` is {_describe(new)} here and {_describe(old)} in {place}"
        fix = "give it the same form in both places"
        if isinstance(old, list) and document.syntax in {"env", "set"}:
            fix = f"name an element by its number: {path_text((*path, 0))} is the first"
        self.problems.append(Problem("C110", message, path, "key", fix, origin))

    def _note_all(self, path: Path, value: Any, document: Document) -> None:
        self._note(path, document)
        for key, item in _items(value):
            self._note_all((*path, key), item, document)

    def _note_table(self, path: Path, document: Document) -> None:
        """A table keeps the place of its header when another layer only passes through it."""
        if path in document.marks or path not in self.origins:
            self._note(path, document)

    def _note(self, path: Path, document: Document) -> None:
        old = self.origins.get(path)
        shadowed = (evolve(old, shadowed=()), *old.shadowed) if old else ()
        self.origins[path] = Origin(document, document.marks.get(path, Mark()), shadowed)

    def _forget(self, path: Path, old: Any) -> None:
        """Drop the origins of what is in *old*, the value at *path*; its own one stays."""
        for key, item in _items(old):
            self._forget((*path, key), item)
            self.origins.pop((*path, key), None)


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _naming_key(path: Path) -> str:
    """The key that says what a table is about, and so what its other keys mean."""
    return "source" if path[:1] == ("models",) else "use"


def _child(parent: Any, part: str | int) -> Any:
    if isinstance(parent, dict):
        return parent.get(part)
    if isinstance(parent, list) and isinstance(part, int) and part < len(parent):
        return parent[part]
    return None


def _has_indices(data: Any) -> bool:
    return isinstance(data, Mapping) and any(
        isinstance(key, int) or _has_indices(value) for key, value in data.items()
    )


def _is_edit(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(key, int) for key in value)


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, list) else "a single value"
