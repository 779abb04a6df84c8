"""Writes down what plugins may rely on, in ``docs/reference/public-api.txt``; a test compares it.

    python .ci/public_api.py            write the file
    python .ci/public_api.py --check    exit code 1 if the code is another

A line that is added keeps the promise of docs/reference/compatibility.md. One that goes or
changes breaks it: before 1.0 that asks for a `breaking` fragment in changelog.d, after 1.0 for a
deprecation first (llamahome_core/deprecated.py).
"""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "reference" / "public-api.txt"
MODULES = (
    "llamahome_core",
    "llamahome_core.files",
    "llamahome_core.records",
    "llamahome_core.testing",
)
PUBLIC = set(import_module("llamahome_core").__all__)
HEAD = "# Written by .ci/public_api.py, which says how to change it on purpose.\n"


def lines() -> Iterator[str]:
    """Names with their signatures, hooks with their arguments, one a line and sorted."""
    for name in MODULES:
        module = import_module(name)
        for public in sorted(getattr(module, "__all__", None) or _own(module)):
            yield from _of(f"{name}.{public}", getattr(module, public))
    hookspecs = import_module("llamahome_core.hookspecs")
    for name, hook in sorted(vars(hookspecs).items()):
        if name.startswith("llamahome_"):
            yield f"hook {name}{_signature(hook)}"


def _own(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _of(name: str, value: Any) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"{name}{_signature(value)}" if inspect.isfunction(value) else name
        return
    bases = [b for b in value.__mro__ if b.__module__.startswith("llamahome_core")]
    listed = {b for b in bases[1:] if b.__name__ in PUBLIC}  # these have lines of their own
    above = ", ".join(b.__name__ for b in value.__bases__ if b in listed)
    yield f"class {name}({above})" if above else f"class {name}"
    for base in bases:
        if base not in listed:
            yield from (f"{name}.{member}" for member in _members(base))


def _members(cls: type[Any]) -> Iterator[str]:
    fields = attrs.fields_dict(cls) if attrs.has(cls) else {}
    for member in [*fields, *vars(cls).get("__annotations__", {}), *vars(cls)]:
        if not member.startswith(("_", "test_")):  # a contract's tests may become more, and other
            yield f"{member}{_form(fields.get(member), vars(cls).get(member))}"


def _form(field: attrs.Attribute[Any] | None, value: Any) -> str:
    if field is not None:
        return " (required)" if field.init and field.default is attrs.NOTHING else ""
    value = getattr(value, "__func__", value)  # of class and static methods
    return _signature(value) if inspect.isfunction(value) else ""


def _signature(function: Any) -> str:
    """Names and defaults of the arguments: annotations are checked by mypy, and may be refined."""
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    text = str(inspect.Signature(parameters))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def text() -> str:
    """The whole file."""
    return HEAD + "".join(f"{line}\n" for line in dict.fromkeys(lines()))


def main(check: str = "") -> int:
    """Write, or compare; returns the exit code."""
    now = text()
    if check != "--check":
        FILE.write_text(now, encoding="utf-8")
        return 0
    before = FILE.read_text(encoding="utf-8")
    sys.stdout.writelines(
        difflib.unified_diff(before.splitlines(True), now.splitlines(True), FILE.name, "the code")
    )
    return int(before != now)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
