"""The data source ``jsonl``: one JSON object on each line, read as a stream."""

from __future__ import annotations

import errno
import json
import re
import stat
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import xxhash

from llamahome_core import Context, DataError, Row, suggest
from llamahome_data.config import JsonlConfig
from llamahome_data.formats import FORMATS, other_form

_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"
# How a file begins that is no text in UTF-8: what it is then, and how it becomes that.
_UTF16 = ("in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW")
_BEGINNINGS = {
    b"\x1f\x8b": ("compressed with gzip", "unpack it first: gunzip -c FILE > NEW"),
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"{\0": ("in UTF-16", "save it as UTF-8: iconv -f UTF-16LE -t UTF-8 FILE > NEW"),
    b"\0{": ("in UTF-16", "save it as UTF-8: iconv -f UTF-16BE -t UTF-8 FILE > NEW"),
}
# A string, so that a NaN inside one is passed over, or one of the names that JSON has not.
_NOT_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<name>NaN|-?Infinity)')


class JsonlSource:
    """Reads the objects of a JSON Lines file; blank lines are skipped.

    The fields that the settings name come out under the names of their format (``messages``;
    ``prompt`` and ``completion``; ``text``), and every other field but ``tools`` is left out.
    """

    def __init__(self, config: JsonlConfig, context: Context) -> None:
        self.config = config

    def digest(self) -> str:
        """Hash of the file's bytes, and of the settings that change what its rows are.

        Raises:
            DataError: The file cannot be read.
        """
        content = xxhash.xxh3_128()
        try:
            with _opened(self.config.path) as file:
                while chunk := file.read(_CHUNK):
                    content.update(chunk)
        except OSError as error:
            _unreadable(self.config.path, error)
        config = self.config
        settings = [config.format, config.limit, *self._fields().values()]
        return f"xxh3:{content.hexdigest()}:{json.dumps(settings)}"

    def rows(self) -> Iterator[Row]:
        """The rows in order; their numbers are the file's line numbers.

        Raises:
            DataError: The file or a line cannot be read; the message has the line and the column.
        """
        source = str(self.config.path)
        for number, line in islice(self._lines(), self.config.limit):
            where = f"{source}:{number}"
            value = self._fitting(parse(line, where), where)
            yield Row(value=value, source=source, number=number)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with _opened(self.config.path) as file:
                for number, line in enumerate(file, 1):
                    found = line.removeprefix(_BOM) if number == 1 else line
                    if not found.isspace() and found:
                        yield number, found
        except OSError as error:
            _unreadable(self.config.path, error)

    def _fields(self) -> dict[str, str]:
        """The name of each field in its format, and its name in the file."""
        config = self.config
        return {
            "messages": config.messages,
            "prompt": config.prompt,
            "completion": config.completion,
            "text": config.text,
        }

    def _fitting(self, value: dict[str, Any], where: str) -> dict[str, Any]:
        fields = self._fields()
        if self.config.format != "auto":
            fields = {name: fields[name] for name in FORMATS[self.config.format]}
        found = {name: value[field] for name, field in fields.items() if field in value}
        missing = [field for name, field in fields.items() if name not in found]
        if not found or (missing and self.config.format != "auto"):
            _fields_missing(missing, value, where)
        if "messages" in found and "tools" in value:
            found["tools"] = value["tools"]
        return found


def parse(line: bytes, where: str) -> dict[str, Any]:
    """The JSON object of one *line*; *where* is ``file:line``, for messages.

    Raises:
        DataError: It is not UTF-8, not JSON, or not an object; the message has the column.
    """
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode()) + 1
        raise DataError(
            f"{where}:{column}: byte 0x{line[error.start]:02x} is not UTF-8",
            hint="convert the file: iconv -f LATIN1 -t UTF-8 FILE > NEW",
        ) from None
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates
        )
    except json.JSONDecodeError as error:
        raise DataError(f"{where}:{error.colno}: not JSON: {error.msg}", hint=_hint(text)) from None
    except _ConstantError as error:
        raise DataError(
            f"{where}:{_column_of_constant(text)}: {error} is not JSON",
            hint="write null, or leave the field out",
        ) from None
    except _DuplicateError as error:
        raise DataError(
            f"{where}: an object has the key {error} twice", hint="take one of them out"
        ) from None
    except RecursionError:
        raise DataError(f"{where}:1: nested too deeply to be read") from None
    except ValueError:  # Python's own limit, for a number can take hours to read
        raise DataError(f"{where}:1: a number has too many digits to be read") from None
    if not isinstance(value, dict):
        raise DataError(
            f"{where}:1: a row must be an object, this is {_NAMES[type(value)]}", hint=_hint(text)
        )
    return value


class _ConstantError(Exception):
    """``NaN`` or ``Infinity``, which Python's parser takes and JSON has not."""


class _DuplicateError(Exception):
    """A key that an object has twice: Python's parser takes the last, others the first."""


_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(key for key, _ in pairs)
    raise _DuplicateError(repr(next(key for key, count in counts.items() if count > 1)))


def _column_of_constant(text: str) -> int:
    return next((m.start() + 1 for m in _NOT_JSON.finditer(text) if m["name"]), 1)


def _hint(text: str) -> str | None:
    if text.lstrip().startswith("["):
        return "one object on each line, without brackets around them: jq -c '.[]' FILE > NEW"
    if text.strip() == "{":
        return "each object must be on one line: jq -c . FILE > NEW"
    return None


def _opened(path: Path) -> BinaryIO:
    """The file at *path*: a regular one, for a pipe gives its bytes once, and a device has no end.

    Raises:
        DataError: It is none, or not in UTF-8 by its first bytes.
        OSError: It cannot be opened.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        found = "a directory" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        fix = "name a file in it" if stat.S_ISDIR(mode) else "write its rows into a file, name that"
        raise DataError(f"cannot read {path}: it is {found}", hint=f"{fix}, as `path` in [[data]]")
    file = path.open("rb")
    wrong = _BEGINNINGS.get(file.peek(2)[:2])
    if wrong is not None:
        file.close()
        raise DataError(f"cannot read {path}: it is {wrong[0]}", hint=wrong[1])
    return file


def _unreadable(path: Path, error: OSError) -> NoReturn:
    hint = None
    if isinstance(error, FileNotFoundError):
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        close = suggest(path.name, [p.name for p in siblings if p.is_file()])
        hint = "correct `path` in [[data]]; where that is a symbolic link, this is its target"
        hint = f"did you mean {close[0]}?" if close else hint
    elif error.errno == errno.ELOOP:
        hint = "its symbolic links lead in a circle: let `path` in [[data]] name the file itself"
    raise DataError(f"cannot read {path}: {error.strerror or error}", hint=hint) from error


def _fields_missing(missing: list[str], value: dict[str, Any], where: str) -> NoReturn:
    names = ", ".join(map(repr, value)) or "no fields"
    raise DataError(
        f"{where}: no field {' or '.join(map(repr, missing))}; the row has {names}",
        hint=other_form(value)
        or 'name the fields in [[data]], such as prompt = "question", completion = "answer"',
    )
