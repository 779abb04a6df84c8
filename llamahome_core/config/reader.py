"""Reads a configuration file, whichever of the three formats it has."""

from __future__ import annotations

import importlib
import pathlib
from collections.abc import Collection

from attrs import evolve

from llamahome_core.config.document import Document, Lines, Mark, Origin
from llamahome_core.config.problems import ConfigError, Problem
from llamahome_core.config.redaction import uncited
from llamahome_core.config.variables import RESERVED, dotenv, parse_dotenv
from llamahome_core.errors import suggest

MAX_BYTES = 10 * 2**20
"""Largest file that is read."""

_FORMATS = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def read(path: pathlib.Path | str, layer: str) -> Document:
    """Read a ``.toml``, ``.yaml``, ``.yml`` or ``.json`` file.

    Raises:
        ConfigError: C109 when it cannot be read at all, C107 and C108 when it cannot be understood.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in _FORMATS:
        if path.is_dir():
            message = f"{display(path)} is a folder, not a file"
            raise _unreadable(path, layer, message, "name a file in it")
        message = f"the format of {display(path)} is not known"
        raise _unreadable(path, layer, message, "name it .toml, .yaml or .json")
    return parse(_read_text(path, layer), path, layer)


def parse(text: str, path: pathlib.Path, layer: str) -> Document:
    """*text* as what the file *path* holds, in the format that its name tells.

    Raises:
        ConfigError: C107 and C108 when it cannot be understood.
    """
    format_name = _FORMATS[path.suffix.lower()]
    module = importlib.import_module(f"llamahome_core.config.{format_name}")
    try:
        document: Document = getattr(module, f"parse_{format_name}")(
            text, layer=layer, name=display(path), path=path
        )
    except ConfigError as error:
        raise ConfigError([_quiet(problem, text) for problem in error.problems]) from None
    return document


def _quiet(problem: Problem, text: str) -> Problem:
    """A syntax error without what it quotes of a secret: the excerpt covers it as well."""
    if problem.span is None:
        return problem
    line = text.split("\n")[problem.span.line - 1]
    fix = problem.fix and uncited(problem.fix, line)
    return evolve(problem, message=uncited(problem.message, line), fix=fix)


def read_dotenv(
    path: pathlib.Path | str, *, reserved: Collection[str] = RESERVED
) -> tuple[list[Document], dict[str, str]]:
    """Read a ``.env`` file: its settings as documents, and all its variables as they stand.

    Raises:
        ConfigError: C109, C107, C108 or C111, as `read` and `environment` say.
    """
    path = pathlib.Path(path)
    text, name = _read_text(path, "dotenv"), display(path)
    variables = parse_dotenv(text, name=name, path=path)
    documents = dotenv(variables, text, name=name, path=path, reserved=reserved)
    return documents, {variable.name: variable.value for variable in variables}


def display(path: pathlib.Path) -> str:
    """*path* as people would write it: from here, or from their home."""
    if not path.is_absolute():
        return str(path)
    for base, prefix in ((pathlib.Path.cwd(), ""), (_home(), "~/")):
        if base is not None and path.is_relative_to(base):
            return f"{prefix}{path.relative_to(base)}"
    return str(path)


def _home() -> pathlib.Path | None:
    try:
        return pathlib.Path.home()
    except RuntimeError:  # a container without a home
        return None


def _unreadable(
    path: pathlib.Path, layer: str, message: str, fix: str | None = None
) -> ConfigError:
    document = Document(layer, display(path), path, "", {}, {})
    return ConfigError([Problem("C109", message, fix=fix, origin=Origin(document))])


def _read_text(path: pathlib.Path, layer: str) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _missing(path, layer) from None
    except IsADirectoryError:
        message = f"{display(path)} is a folder, not a file"
        raise _unreadable(path, layer, message, "name a file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _unreadable(path, layer, f"{display(path)} cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        message = f"{display(path)} is larger than {MAX_BYTES // 2**20} MiB"
        raise _unreadable(path, layer, message, "a configuration is small: is this a data file?")
    return _decode(raw, path, layer)


def _missing(path: pathlib.Path, layer: str) -> ConfigError:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in _FORMATS]
    except OSError:
        folder = display(path.parent)
        return _unreadable(
            path, layer, f"there is no {display(path)}", f"there is no folder {folder}"
        )
    close = suggest(path.name, names)
    fix = "did you mean " + " or ".join(f"`{path.parent / name}`" for name in close) + "?"
    return _unreadable(path, layer, f"there is no {display(path)}", fix if close else None)


def _decode(raw: bytes, path: pathlib.Path, layer: str) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = f"{display(path)} is in UTF-16"
        raise _unreadable(path, layer, message, "save it as UTF-8")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return _refuse_byte(raw, error.start, path, layer, "is not UTF-8")
    if "\0" in text:
        return _refuse_byte(raw, raw.index(b"\0"), path, layer, "is not text")
    return text.replace("\r\n", "\n")


def _refuse_byte(raw: bytes, offset: int, path: pathlib.Path, layer: str, what: str) -> str:
    text = raw.decode(errors="replace").replace("\r\n", "\n")
    before = raw[:offset].decode(errors="replace").replace("\r\n", "\n")
    span = Lines(text).span(len(before), len(before) + 1)
    document = Document(layer, display(path), path, text, {}, {})
    message = f"{display(path)} {what}: byte 0x{raw[offset]:02x} at offset {offset}"
    origin = Origin(document, Mark(None, span))
    raise ConfigError([Problem("C109", message, fix="save it as UTF-8 text", origin=origin)])
