"""Rules for data: where rows lie, and which of their fields hold what."""

from __future__ import annotations

import re
from typing import Any

from llamahome_core import Kind
from llamahome_scaffold.conversion import Conversion, as_number

_LOCAL = ("./", "../", "/", "~")
_SUFFIXES = {"csv", "json", "jsonl", "parquet", "text", "txt"}


def place(c: Conversion, name: str, key: str, kind: str | None = None) -> None:
    """Where the rows lie: a file, or a dataset of the hub, which is to be saved as a file first.

    Args:
        c: The conversion of one ``[[data]]``.
        name: A path, or the name of a dataset.
        key: The setting that names it.
        kind: What the file says that it holds, such as ``json``; None if it does not.
    """
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if not name.startswith(_LOCAL) and suffix not in _SUFFIXES:
        _saved(c, name, key)
        return
    form = kind or (suffix if suffix in _SUFFIXES else "json")
    if form in {"json", "jsonl"}:
        c.tables["use"] = "jsonl"
        c.put("path", name, key)
        if suffix != "jsonl":
            c.note("assumed", key, "the file holds one JSON object on each line, and is no array")
        return
    use = "text" if form == "txt" else form
    c.tables["use"] = use
    c.put("path", name, key)
    if not c.offers(Kind.DATA_SOURCE, use):
        c.note("unmapped", key, f"no data source {use!r} is installed: save the rows as JSON Lines")


def _saved(c: Conversion, name: str, key: str) -> None:
    file = "data/" + re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") + ".jsonl"
    c.tables["use"] = "jsonl"
    c.assume("path", file, "a dataset of the hub has to be saved as JSON Lines first", key)
    c.note("unmapped", key, f"save its rows: {_command(name, file)}")


def _command(name: str, file: str) -> str:
    quoted = name.replace("'", "")
    return (
        f'python -c "from datasets import load_dataset; '
        f"load_dataset('{quoted}', split='train').to_json('{file}')\""
    )


def part(c: Conversion, key: str) -> None:
    """The part of a dataset: the first rows can be said, a share of them cannot."""
    split = c.config.peek(key)
    if split is None:
        return
    found = re.fullmatch(r"(\w+)(?:\[:(\d+)\])?", str(split))
    if found and found[2]:
        c.put("limit", int(found[2]), key)
    elif found:
        c.note("assumed", key, f"the rows that were saved are those of the split {split}")
    else:
        c.note("unmapped", key, "a part of the rows; `limit` reads a number of them from the start")


def first(c: Conversion, key: str) -> None:
    """Only the first rows."""
    if (number := as_number(c.config.peek(key))) and number > 0:
        c.number("limit", key, whole=True)
    else:
        c.drop(key, "no number of rows")


def conversation(c: Conversion, key: str, name: str, turn: tuple[str, str], roles: Any) -> None:
    """Rows of turns.

    Args:
        c: The conversion of one ``[[data]]``.
        key: The setting that says so, for notes.
        name: The field with the turns.
        turn: The fields of a turn: who, and what.
        roles: Names that who has there, other than user, assistant, system and tool.
    """
    c.tables["format"] = "messages"
    if name != "messages":
        c.tables["messages"] = name
    if turn != ("role", "content") or roles:
        names = f"; and {roles} instead of user and assistant" if roles else ""
        why = (
            f"turns have {turn[0]!r} and {turn[1]!r}{names}: rewrite them as 'role' and 'content' "
            "with user, assistant, system or tool"
        )
        c.note("unmapped", key, why)


def question(c: Conversion, key: str, fields: tuple[str, str], more: str | None) -> None:
    """Rows with a prompt and its answer, and perhaps a field that belongs to the prompt."""
    c.tables["format"] = "prompt-completion"
    for ours, theirs in zip(("prompt", "completion"), fields, strict=True):
        if ours != theirs:
            c.tables[ours] = theirs
    if more:
        why = f"the field {more!r} is not read: join it to {fields[0]!r} in rows where it is set"
        c.note("unmapped", key, why)


def plain(c: Conversion, name: str) -> None:
    """Rows of text."""
    c.tables["format"] = "text"
    if name != "text":
        c.tables["text"] = name
