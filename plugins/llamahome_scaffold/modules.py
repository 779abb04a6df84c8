"""Python modules put together from parts: their imports merged and sorted, their bodies joined."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable

_LONGEST = 100


def join_modules(parts: Iterable[str], package: str) -> str:
    """One module of *parts*: the first docstring, all imports, and the bodies in order.

    Args:
        parts: Texts of modules; each begins with its imports, or with a docstring and imports.
        package: The package that the module belongs to: its imports come last.

    Returns:
        The module, its imports as isort and ruff want them; empty if no part has a body.
    """
    head, bodies, plain = "", [], set[str]()
    names: dict[str, set[str]] = {}
    for part in parts:
        tree = ast.parse(part)
        lines, start = part.splitlines(), 0
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                names.setdefault(str(node.module), set()).update(n.name for n in node.names)
            elif isinstance(node, ast.Import):
                plain.update(n.name for n in node.names)
            elif node is tree.body[0] and ast.get_docstring(tree, clean=False) is not None:
                head = head or "\n".join(lines[: node.end_lineno])
            else:
                break
            start = node.end_lineno or 0
        if body := "\n".join(lines[start:]).strip("\n"):
            bodies.append(body)
    if not bodies:
        return ""
    imports = "\n\n".join(_sections(plain, names, package))
    gap = "\n\n" if bodies[0].startswith(("def ", "class ", "@")) else "\n"
    return f"{head}\n\n{imports}\n{gap}" + "\n\n\n".join(bodies) + "\n"


def _sections(plain: set[str], names: dict[str, set[str]], package: str) -> list[str]:
    """The import lines: the future, the standard library, others, the package's own."""
    found: list[list[str]] = [[], [], [], []]
    for module in sorted(plain):
        found[_section(module, package)].append(f"import {module}")
    for module in sorted(names):
        found[_section(module, package)].append(_from(module, sorted(names[module], key=_order)))
    return ["\n".join(lines) for lines in found if lines]


def _section(module: str, package: str) -> int:
    top = module.partition(".")[0]
    if top == "__future__":
        return 0
    if top in sys.stdlib_module_names:
        return 1
    return 3 if top == package else 2


def _order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


def _from(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _LONGEST:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
