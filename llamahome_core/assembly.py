"""Puts a validated recipe together, makes its paths absolute, and writes it out again."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import attrs

from llamahome_core import config
from llamahome_core.config import Document, Merged
from llamahome_core.recipe import Recipe, Selection, Tables
from llamahome_core.root import Root, Table


def assemble(
    root: Root,
    model: str,
    chosen: dict[str, Selection],
    many: tuple[tuple[Selection, ...], ...],
    document: Document | None,
) -> Recipe:
    """The recipe.

    Args:
        root: The kernel's own tables.
        model: The model's name.
        chosen: The components, by table.
        many: Data sources, transforms, and monitors.
        document: What the recipe was read from: it names what has no name.
    """
    path = document.path if document else None
    data, transforms, monitors = many
    return Recipe(
        name=root.name or _name_of(path),
        seed=root.seed,
        required=root.required,
        model=model,
        data=data,
        transforms=transforms,
        monitors=monitors,
        chosen=chosen,
        folder=path.absolute().parent if path else Path.cwd(),
        **{table.name: getattr(root, table.name) for table in attrs.fields(Tables)},
    )


def _name_of(path: Path | None) -> str:
    """A name for runs, from the recipe's file."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem if path else "")
    return stem.strip("-._")[:100] or "run"


def plain_recipe(recipe: Recipe, root: Root) -> Table:
    """The recipe as plain tables, with every default, and nothing that depends on where it lies."""
    table: Table = {"schema": root.schema, "resolved": True, "name": recipe.name}
    table |= {"seed": recipe.seed, "required": list(recipe.required)}
    table["model"] = {"from": recipe.model}
    for key, selection in recipe.chosen.items():
        settings = config.unstructure(selection.config)
        if key.startswith("model:"):
            table["model"][selection.name] = settings
        else:
            table[key] = {"use": selection.name, **settings}
    for own in attrs.fields(Tables):
        if own.name != "plugins":  # a recipe is read when they are loaded
            table[own.name] = config.unstructure(getattr(recipe, own.name))
    table["data"] = [
        {"use": s.name, "role": s.role, **config.unstructure(s.config)} for s in recipe.data
    ]
    for name, chosen in (("transform", recipe.transforms), ("monitor", recipe.monitors)):
        table[name] = [{"use": s.name, **config.unstructure(s.config)} for s in chosen]
    return table


def folder_of(merged: Merged, path: config.Path) -> Path:
    """The folder that a relative path at *path* is relative to."""
    origin = merged.origin(path)
    return origin.path.absolute().parent if origin and origin.path else Path.cwd()


def model_path(name: str, folder: Path) -> str:
    """*name* as it is or, if it is a path, made absolute from *folder*."""
    if name.startswith(("./", "../", "~", "/")):
        return str(_resolved(Path(name), folder))
    return name


def absolute(found: Any, at: config.Path, merged: Merged) -> Any:
    """*found* with each relative path made absolute, from the file that it is written in."""
    if isinstance(found, Path):
        return _resolved(found, folder_of(merged, at))
    if isinstance(found, list | tuple):
        return type(found)(absolute(item, (*at, i), merged) for i, item in enumerate(found))
    if isinstance(found, dict):
        return {key: absolute(item, (*at, key), merged) for key, item in found.items()}
    if not attrs.has(type(found)):
        return found
    changes = {}
    for attribute in attrs.fields(type(found)):
        value = getattr(found, attribute.name)
        if (changed := absolute(value, (*at, attribute.name), merged)) != value:
            changes[attribute.alias] = changed
    return attrs.evolve(found, **changes) if changes else found


def _resolved(path: Path, folder: Path) -> Path:
    with contextlib.suppress(RuntimeError):  # there is no such user: then it is a strange name
        path = path.expanduser()
    return (folder / path).resolve()
