"""Another tool's configuration as a recipe, with a list of what could not be mapped."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen

from llamahome_core import DataError, Kernel, Kind
from llamahome_scaffold import axolotl, llama_factory
from llamahome_scaffold.conversion import Conversion, Note
from llamahome_scaffold.foreign import Config, read_config
from llamahome_scaffold.recipes import one_line, render

DIALECTS: dict[str, ModuleType] = {"axolotl": axolotl, "llama-factory": llama_factory}
TITLES = {
    "unmapped": "Not mapped: look at each of these",
    "assumed": "Assumed: the file does not say so, or says it in another way",
    "same": "Needs no setting here",
    "unset": "Nothing was set",
}
"""Parts of the list, in their order."""


@frozen
class Converted:
    """What came of a file.

    Attributes:
        dialect: Whose configuration it is.
        text: The recipe, with the list at its end.
        notes: Sort to notes.
    """

    dialect: str
    text: str
    notes: dict[str, list[Note]]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        lists = {sort: [note.plain() for note in notes] for sort, notes in self.notes.items()}
        return {"dialect": self.dialect, "recipe": self.text, **lists}

    def summary(self) -> Iterator[str]:
        """Lines for people: a count of each sort, and what they must look at."""
        counts = {sort: len({note.key for note in notes}) for sort, notes in self.notes.items()}
        yield (
            f"settings mapped: {counts['mapped']}; needless here: {counts['same']}; "
            f"not mapped: {counts['unmapped']}; assumptions: {len(self.notes['assumed'])}"
        )
        for sort in ("unmapped", "assumed"):
            if self.notes[sort]:
                yield f"{TITLES[sort]}:"
                yield from (f"  {note}" for note in self.notes[sort])


def convert(path: Path, name: str, folder: Path, kernel: Kernel, dialect: str | None) -> Converted:
    """The recipe called *name* that the configuration at *path* means.

    Args:
        path: A YAML or JSON file.
        name: What the recipe is called.
        folder: Where the recipe will lie; relative paths begin there.
        kernel: Knows which components are installed.
        dialect: Whose configuration it is; told by its settings if not given.

    Raises:
        DataError: It cannot be read, or is no configuration of a training that is known.
    """
    config = read_config(path)
    dialect = dialect or _dialect(config)
    rules = DIALECTS[dialect]
    made = Conversion(config, _offers(kernel))
    made.tables |= {"schema": 1, "name": name}
    if not any(key in config for key in rules.NEEDED[0]):
        raise DataError(f"{path} names no model: it has no {' or '.join(rules.NEEDED[0])}")
    if not any(key in config for key in rules.NEEDED[1]):
        raise DataError(
            f"{path} trains nothing: it has no {' or '.join(rules.NEEDED[1])}",
            hint="name a configuration of a training",
        )
    rules.convert(made)
    made.finish()
    _move(made, folder)
    head = f"# From {path.name}, a configuration of {dialect}, by `llamahome new recipe --from`.\n"
    text = head + render(made.tables, made.comments)
    notes = {sort: made.of(sort) for sort in ("mapped", *TITLES)}  # type: ignore[arg-type]  # each is a sort
    return Converted(dialect, text + "".join(_endnotes(notes)), notes)


def _dialect(config: Config) -> str:
    found = [name for name, rules in DIALECTS.items() if rules.recognises(config)]
    if len(found) == 1:
        return found[0]
    keys = ", ".join(list(config.entries)[:5])
    raise DataError(
        f"{config.path} is no configuration that is known; it begins with {keys}",
        hint=f"say whose it is: --dialect {' or --dialect '.join(DIALECTS)}",
    )


def _offers(kernel: Kernel) -> Callable[[Kind, str], bool]:
    def offers(kind: Kind, name: str) -> bool:
        return any(c.name == name for _, c in kernel.catalog.components(kind))

    return offers


def _move(made: Conversion, folder: Path) -> None:
    """Paths of the other tool begin in the working directory, those of a recipe in its folder."""
    here, there = Path.cwd(), folder.absolute()
    if here == there:
        return
    tables = [(row, "path") for row in made.tables.get("data", [])]
    for table, key in [*tables, (made.tables["model"], "from")]:
        value = table.get(key, "")
        if value.startswith(("./", "../")) or (key == "path" and not Path(value).is_absolute()):
            moved = os.path.relpath(here / Path(value).expanduser(), there)
            table[key] = moved if key == "path" else f"./{moved}"


def _endnotes(notes: dict[str, list[Note]]) -> Iterator[str]:
    for sort, title in TITLES.items():
        if not notes[sort]:
            continue
        yield f"\n# --- {title}\n"
        if sort == "unset":
            yield _wrapped(", ".join(str(note.key) for note in notes[sort]))
            continue
        for note in notes[sort]:
            yield _wrapped(str(note))


def _wrapped(text: str) -> str:
    lines = textwrap.wrap(
        one_line(text), 98, break_long_words=False, break_on_hyphens=False, subsequent_indent="  "
    )
    return "".join(f"# {line}\n" for line in lines)
