"""What a recipe builds on: the chain of recipes that ``extends = "base.toml"`` names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from llamahome_core import config
from llamahome_core.config import ConfigError, Document, Mark, Origin, Problem
from llamahome_core.errors import LlamaHomeError
from llamahome_core.root import ALTERNATIVES, table_of

KEY = ("extends",)


def chain(recipe: Document, packaged: Callable[[str], Path] | None = None) -> list[Document]:
    """*recipe* and the recipes below it, the weakest first.

    Args:
        recipe: The recipe that is run.
        packaged: Finds a packaged recipe by its name.

    Raises:
        ConfigError: A base cannot be found, read or understood, or the chain is a circle.
    """
    found = [recipe]
    while (name := _base(found[0])) is not None:
        link = Origin(found[0], found[0].marks.get(KEY, Mark()))
        path = _find(name, link, packaged)
        _refuse_circle(path, found, link)
        found.insert(0, _read(path, link))
    _drop_alternatives(found)
    return found


def _base(document: Document) -> str | None:
    name = document.data.get(KEY[0])
    if name is None or (isinstance(name, str) and name.strip()):
        return name
    message = f"`extends` must be the path of a recipe, got {name!r}"
    raise ConfigError([_at(document, "C102", message)])


def _at(document: Document, code: str, message: str, fix: str | None = None) -> Problem:
    link = Origin(document, document.marks.get(KEY, Mark()))
    return Problem(code, message, KEY, fix=fix, origin=link)


def _find(name: str, link: Origin, packaged: Callable[[str], Path] | None) -> Path:
    path = Path(name)
    if packaged is None or path.suffix or "/" in name:
        with contextlib.suppress(RuntimeError):  # there is no such user: then it is a strange name
            path = path.expanduser()
        return link.path.parent / path if link.path else path
    try:
        return packaged(name)
    except LlamaHomeError as error:
        problem = _at(link.document, "C106", error.message, error.hint)
        raise ConfigError([problem]) from error


def _refuse_circle(path: Path, found: Sequence[Document], link: Origin) -> None:
    documents = [document for document in reversed(found) if document.path]
    if path.resolve() not in [d.path.resolve() for d in documents if d.path]:
        return
    names = " -> ".join([*(d.name for d in documents), config.display(path)])
    message = f"recipes extend each other in a circle: {names}"
    raise ConfigError([_at(link.document, "C104", message, "remove one `extends`")])


def _read(path: Path, link: Origin) -> Document:
    """The base at *path*; what is wrong with it tells *link* too."""
    try:
        return evolve(config.read(path, "recipe"), extended=link)
    except ConfigError as error:
        raise ConfigError([_linked(problem, link) for problem in error.problems]) from None


def _linked(problem: Problem, link: Origin) -> Problem:
    origin = problem.origin
    if origin is None or problem.span is None:  # there is no such file: the name of it is wrong
        return evolve(problem, origin=link)
    document = evolve(origin.document, extended=link)
    return evolve(problem, origin=evolve(origin, document=document))


def _drop_alternatives(documents: Sequence[Document]) -> None:
    """Of settings that exclude each other, a recipe's own choice replaces that of its bases."""
    for index, document in enumerate(documents):
        for group in ALTERNATIVES:
            chosen = [(t, k) for t, k in group if table_of(document.data, t).get(k) is not None]
            others = set(group) - set(chosen) if chosen else set()
            for below in documents[:index]:
                for table, key in others:
                    table_of(below.data, table).pop(key, None)
