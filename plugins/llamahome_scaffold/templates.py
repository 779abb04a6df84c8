"""The templates: one file for each kind of thing that a plugin can offer, and one for all of them.

A template begins with ``summary:`` and ``use:``, the line that says how to use what it makes. Then
come files, each after a line ``==> path``. ``$name`` is the plugin's name, ``$package`` its
package, ``$Class`` what the names of its classes begin with, perhaps nothing; ``$$`` is a dollar.
Of files with one path, Python modules are merged and other texts joined, so that a plugin can
offer several kinds. A new kind is a new file in ``templates/kinds``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template

from attrs import frozen

from llamahome_scaffold.modules import join_modules

DEFAULT = "data-source"
"""What a plugin offers if nobody says."""

_FILE = re.compile(r"^==> (\S+)\n", re.MULTILINE)
_SUFFIX = ".tmpl"


@frozen
class Part:
    """A template that was filled in.

    Attributes:
        head: Its first lines, as ``key: value``.
        files: Path to text.
    """

    head: dict[str, str]
    files: dict[str, str]


def kinds() -> list[str]:
    """What a plugin can offer, sorted: the names of the templates."""
    found = [entry.name for entry in _folder().joinpath("kinds").iterdir()]
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def summaries() -> dict[str, str]:
    """Each kind, and what its template makes, in a line."""
    nothing = dict.fromkeys(("name", "package", "Class", "versions"), "")
    return {kind: read_kind(kind, nothing).head["summary"] for kind in kinds()}


def read_kind(kind: str, values: Mapping[str, str]) -> Part:
    """The template of *kind*, filled in."""
    return _read(_folder().joinpath("kinds", kind + _SUFFIX), values)


def write_package(chosen: Sequence[str], values: Mapping[str, str]) -> dict[str, str]:
    """The files of a package that offers the kinds *chosen*: path to text."""
    parts = [_read(_folder().joinpath("package" + _SUFFIX), values)]
    parts += [read_kind(kind, values) for kind in chosen]
    paths = list(dict.fromkeys(path for part in parts for path in part.files))
    written = {}
    for path in paths:
        texts = [part.files[path] for part in parts if path in part.files]
        text = join_modules(texts, values["package"]) if _is_code(path) else "".join(texts)
        if text or path.endswith("py.typed"):
            written[path] = text
    return written


def _is_code(path: str) -> bool:
    """Whether imports are to be merged; a package's own module holds its docstring alone."""
    return path.endswith(".py") and not path.endswith("__init__.py")


def _folder() -> Traversable:
    return files("llamahome_scaffold").joinpath("templates")


def _read(path: Traversable, values: Mapping[str, str]) -> Part:
    text = Template(path.read_text(encoding="utf-8")).substitute(values)
    head, *rest = _FILE.split(text)
    pairs = (line.partition(": ") for line in head.splitlines() if line)
    return Part(
        {key: value for key, _, value in pairs}, dict(zip(rest[::2], rest[1::2], strict=True))
    )
