"""Changes one setting in its file: finds the file, edits it, checks the result, replaces it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import evolve

from llamahome_core import config, files
from llamahome_core.config import ConfigError, Document, Origin, Problem, editing
from llamahome_core.kernel import Kernel
from llamahome_core.resolve import settings_only
from llamahome_core.settings import Sources, gather, in_place
from llamahome_core.workspace import MARKER, user_file


def documents(kernel: Kernel, *, user: bool) -> list[Document]:
    """The user's file, or those of the workspace, weakest first.

    Raises:
        ConfigError: One cannot be read or understood.
    """
    if user:
        path = _user(kernel)
        return [config.read(path, "user")] if path.exists() else []
    return [in_place(config.read(path, "project")) for path in kernel.workspace.settings_files()]


def change(kernel: Kernel, key: str, value: str | None, *, user: bool = False) -> Path:
    """Set *key* to *value*, or remove it if that is ``None``; returns the file.

    The file of the workspace is the one that has the setting, or its table; else ``llamahome``.

    Args:
        kernel: Whose settings.
        key: As after ``--set``.
        value: As after ``--set``: read as TOML, and as text if it is none.
        user: Change the user's file, not the workspace's.

    Raises:
        ConfigError: The settings would be wrong, or the text cannot be edited; nothing is changed.
    """
    path = config.parse_key(key)
    folder = _user(kernel).parent if user else kernel.workspace.cache("system")
    with files.lock(folder / ".settings.lock"):
        document = _choose(kernel, path, user=user)
        file = document.path
        assert file is not None  # noqa: S101  # settings that are changed are files
        offset = 1 if document is not in_place(document) else 0  # a file of models alone
        where = path[:offset] + editing.settle(path[offset:], document.data)
        if value is not None:
            text = editing.change(document, where[offset:], config.parse_value(value))
        elif editing.depth(where[offset:], document.data) == len(where) - offset:
            text = editing.remove(document, where[offset:])
        else:
            raise _not_set(key, document)
        _check(kernel, file, text, _said(key, value, where))
        raw = file.read_bytes() if file.exists() else b""
        files.write_bytes(file.resolve(), editing.keep_line_ends(raw, document.text, text))
    return file


def _user(kernel: Kernel) -> Path:
    return kernel.user_file or user_file(kernel.environ)


def _choose(kernel: Kernel, path: config.Path, *, user: bool) -> Document:
    """The document to change, which may be new; the catalogue's as its file has it."""
    if user:
        file = _user(kernel)
        return config.read(file, "user") if file.exists() else _new(file, "user")
    found = [config.read(file, "project") for file in kernel.workspace.settings_files()]
    fitting = [(_fit(document, path), n, document) for n, document in enumerate(found)]
    best = max(fitting, key=lambda item: item[:2], default=None)
    if best is not None and best[0]:
        return best[2]
    main = [d for d in found if d.path is not None and d.path.stem == MARKER.stem]
    return main[-1] if main else _new(kernel.workspace.root / MARKER, "project")


def _new(file: Path, layer: str) -> Document:
    return config.parse("", file, layer)


def _fit(document: Document, path: config.Path) -> int:
    """How much of *path* is in the document."""
    data = in_place(document).data
    return editing.depth(editing.settle(path, data), data)


def _not_set(key: str, document: Document) -> ConfigError:
    message = f"`{key}` is not set in {document.name}"
    fix = f"llamahome config show --origin tells where {key} is set"
    return ConfigError([Problem("C103", message, origin=Origin(document), fix=fix)])


def _said(key: str, value: str | None, path: config.Path) -> Origin | None:
    """What was typed, for problems of it: the file has no such line yet."""
    if value is None:
        return None
    (document,) = config.overrides([f"{key}={value}"])
    (mark,) = document.marks.values()
    document = evolve(document, name=f"config set {key}", marks={path: mark})
    return Origin(document, mark)


def _check(kernel: Kernel, file: Path, text: str, said: Origin | None) -> None:
    """Refuse what would make the settings wrong, or more wrong than they are.

    They are looked at twice: as they are in effect, and without what would hide the change.
    """
    edited = {file: text}
    new = dict(_problems(kernel, Sources(edited=edited)))
    new |= dict(_problems(kernel, Sources(edited=edited, last=file)))
    if new:
        old = dict(_problems(kernel, Sources()))
        old |= dict(_problems(kernel, Sources(last=file))) if file.exists() else {}
        new = {key: problem for key, problem in new.items() if key not in old}
    if new:
        raise ConfigError([_blame(problem, file, said) for problem in new.values()])


def _problems(kernel: Kernel, sources: Sources) -> Iterator[tuple[object, Problem]]:
    sources = evolve(sources, environ=kernel.environ, user_file=kernel.user_file)
    merged, _ = gather(kernel.workspace, kernel.catalog.defaults(), sources)
    try:
        settings_only(kernel.catalog, merged)
    except ConfigError as error:
        yield from (((p.code, p.message, p.path), p) for p in error.problems)


def _blame(problem: Problem, file: Path, said: Origin | None) -> Problem:
    """The problem where it was typed, if it is one of what was."""
    if said is None or problem.origin is None or problem.origin.path != file:
        return problem
    (path,) = said.document.marks
    shared = min(len(path), len(problem.path))
    return evolve(problem, origin=said) if path[:shared] == problem.path[:shared] else problem
