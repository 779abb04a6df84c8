"""Pieces of styled text that the live view and the summary share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from llamahome_monitors import format as fmt
from llamahome_monitors.format import Symbols
from llamahome_monitors.state import RunState

LABEL = 10
"""Cells that a row's label takes, its distance to the row included."""


def fit(text: Text, width: int, symbols: Symbols) -> Text:
    """*text* in at most *width* cells; what is cut off shows as an ellipsis."""
    if text.cell_len <= width:
        return text
    mark = symbols.ellipsis if width > len(symbols.ellipsis) else ""
    short = text.copy()
    short.truncate(max(0, width - len(mark)), overflow="crop")
    short.rstrip()
    return short.append(mark)


def label(word: str) -> Text:
    """The start of a row."""
    short = word if cell_len(word) < LABEL else set_cell_size(word, LABEL - 1)
    return Text("  ").append(set_cell_size(short, LABEL), "dim")


def columns(first: Text, cells: Iterable[Text], width: int, room: Sequence[int]) -> Text:
    """A row of cells, each padded to its column; what does not fit is dropped from the right."""
    row, gap = first.copy(), 0
    for cell, column in zip(cells, room, strict=False):
        if row.cell_len + gap + cell.cell_len > width:
            break
        row.append(" " * gap).append_text(cell)
        gap = max(2, column - cell.cell_len)
    return row


def wrapped(text: str, width: int, lines: int, symbols: Symbols) -> list[str]:
    """*text* in at most *lines* lines of *width* cells, broken at spaces where there are some."""
    out: list[str] = []
    left = text
    while left and len(out) < lines - 1 and cell_len(left) > width:
        head = Text(left)
        head.truncate(width, overflow="crop")
        cut = head.plain
        if not left[len(cut) :].startswith(" ") and " " in cut:
            cut = cut[: cut.rindex(" ")]
        out.append(cut.rstrip())
        left = left[len(cut) :].lstrip()
    return [*out, fit(Text(left), width, symbols).plain] if left or not out else out


def facts(state: RunState, symbols: Symbols) -> list[str]:
    """What is trained on what with what, as far as the events told."""
    run, data = {**state.parameters, **state.run}, state.data
    run.setdefault("adapter", (run.get("components") or {}).get("adapter"))
    model = str(run.get("model") or "")
    run["model"] = PurePath(model).name if model.startswith(("/", ".", "~")) else model
    known = [fmt.clean(run[key]) for key in ("model", "adapter") if run.get(key)]
    documents = data.get("documents") or data.get("rows")
    if documents:
        known.append(f"{fmt.count(documents, symbols)} documents")
    known += [fmt.clean(run[key]) for key in ("device", "precision") if run.get(key)]
    return known


def position(state: RunState, symbols: Symbols) -> str:
    """``412/1 200``, or the step alone when nobody knows how many there will be."""
    step, steps = state.train.get("step") or 0, state.train.get("steps")
    done = fmt.count(step, symbols)
    return f"{done}/{fmt.count(steps, symbols)}" if steps else f"step {done}"


def counted(number: int, word: str) -> str:
    """``1 warning``, ``2 warnings``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def evaluation(event: Mapping[str, Any]) -> str:
    """``1.877 @400``."""
    return f"{fmt.loss(event.get('loss'))} @{event.get('step') or 0}"
