"""Changes one setting in the text of a file: comments, order and layout of the rest stay.

Reading has noted where everything stands, so the text is edited there. What comes out is read
again: where it would not say exactly what it should, nothing is changed.
"""

from __future__ import annotations

import copy
import importlib
import json
from typing import Any

from llamahome_core.config import edits_lists
from llamahome_core.config.document import Document, Mark, Origin, Path
from llamahome_core.config.edits import Editor, RefusedError
from llamahome_core.config.problems import ConfigError, Problem, path_text
from llamahome_core.config.reader import parse

_MARK = b"\xef\xbb\xbf"


def change(document: Document, path: Path, value: Any) -> str:
    """The text of *document* with the setting at *path* being *value*.

    Raises:
        ConfigError: C111 where the text cannot be edited safely.
    """
    return _edited(document, path, value)


def remove(document: Document, path: Path) -> str:
    """The text of *document* without the setting at *path*, and without tables that this empties.

    Raises:
        ConfigError: C111 where the text cannot be edited safely.
    """
    return _edited(document, path, None)


def settle(path: Path, data: Any) -> Path:
    """*path* with ``0`` as a key where *data* has a table, and not a list."""
    found: list[str | int] = []
    for part in path:
        found.append(part if isinstance(data, list) else str(part))
        data = child(data, found[-1])
    return tuple(found)


def child(data: Any, part: str | int) -> Any:
    """What *data* holds under *part*; ``None`` if nothing."""
    if isinstance(data, dict):
        return data.get(part)
    is_index = isinstance(data, list) and isinstance(part, int) and part < len(data)
    return data[part] if is_index else None


def depth(path: Path, data: Any) -> int:
    """How many parts of *path* lead to something in *data*."""
    for count, part in enumerate(path):
        if (data := child(data, part)) is None:
            return count
    return len(path)


def _edited(document: Document, path: Path, value: Any) -> str:
    module = importlib.import_module(f"llamahome_core.config.edits_{document.syntax}")
    editor: Editor = module.Edits(document)
    try:
        text = editor.remove(path) if value is None else _set(editor, document, path, value)
        if _read(document, text) != _expected(document, path, value):
            raise RefusedError("the place is too intricate")  # noqa: TRY301  # told as the others
    except (RefusedError, ConfigError) as error:
        reason = error.args[0] if isinstance(error, RefusedError) else "the place is too intricate"
        raise ConfigError([_refusal(document, path, reason)]) from error
    return text


def _set(editor: Editor, document: Document, path: Path, value: Any) -> str:
    found = depth(path, document.data)
    old: Any = document.data
    for part in path[:found]:
        old = child(old, part)
    if found == len(path) or path in document.marks:  # `key:` of YAML has a place, and no value
        if found == len(path) and isinstance(old, dict):
            raise RefusedError("it is a table: set its keys one by one")
        if isinstance(old, list) and isinstance(value, list):
            return edits_lists.change(editor, path, old, value)
        return editor.replace(path, value)
    if not isinstance(old, dict) or any(isinstance(part, int) for part in path[found:]):
        raise RefusedError(f"`{path_text(path[: found + 1])}` is not there in this file")
    return editor.add(path, found, value)


def _refusal(document: Document, path: Path, reason: str) -> Problem:
    found = path[: depth(path, document.data)]
    origin = Origin(document, document.marks.get(found, Mark()))
    message = f"`{path_text(path)}` cannot be changed in {document.name}: {reason}"
    return Problem("C111", message, path, "key", "change it in an editor", origin)


def _read(document: Document, text: str) -> str:
    assert document.path is not None  # noqa: S101  # only files are edited
    return _plain(parse(text, document.path, document.layer).data)


def _expected(document: Document, path: Path, value: Any) -> str:
    data = copy.deepcopy(document.data)
    here: Any = data
    for part in path[:-1]:
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = {}
        here = here[part]
    if value is None:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return _plain(data)


def _plain(data: Any) -> str:
    """*data* as text to compare: an empty table, or an empty key of YAML, is like none."""
    return json.dumps(_core(data), sort_keys=True, default=repr)


def _core(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = ((key, _core(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None and item != {}}
    return [_core(item) for item in value] if isinstance(value, list) else value


def keep_line_ends(raw: bytes, before: str, after: str) -> bytes:
    """*after* for a file that held *raw*, read as *before*: the lines that are the same stay so.

    Reading drops a byte order mark and makes one line feed of each line end.
    """
    mark = _MARK if raw.startswith(_MARK) else b""
    old, new = before.split("\n"), after.split("\n")
    head = _same(old, new)
    tail = _same(old[head:][::-1], new[head:][::-1])
    *lines, last = raw.removeprefix(mark).split(b"\n")
    usual = b"\r\n" if lines and lines[0].endswith(b"\r") else b"\n"
    ended = [(n.removesuffix(b"\r"), b"\r\n" if n.endswith(b"\r") else b"\n") for n in lines]
    ended.append((last, usual))
    middle = [(line.encode(), usual) for line in new[head : len(new) - tail]]
    found = [*ended[:head], *middle, *ended[len(ended) - tail :]]
    return mark + b"".join(line + end for line, end in found[:-1]) + found[-1][0]


def _same(old: list[str], new: list[str]) -> int:
    """How many lines are the same, from the first on."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
