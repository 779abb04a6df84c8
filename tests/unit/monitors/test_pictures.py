"""The live view's pictures and the summary, as text, for three widths and for ASCII."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.text import Text

from llamahome_monitors.format import ASCII, UNICODE
from llamahome_monitors.frame import Frame
from llamahome_monitors.state import RunState
from llamahome_monitors.summary import Summary
from llamahome_monitors.words import columns, fit, wrapped

GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.txt"))
Event = dict[str, Any]
HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold]yes[/bold]\r\n\u202eevil"


def fold(events: list[dict[str, Any]]) -> RunState:
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def frame(state: RunState, width: int = 80, height: int = 24, after: float = 0.0) -> str:
    picture = Frame(state=state, width=width, height=height, now=state.now + after, symbols=UNICODE)
    return "\n".join(line.plain for line in picture.lines())


def summary(events: list[dict[str, Any]], **more: Any) -> str:
    shown = {"directory": Path("runs/r-1"), "width": 100, "symbols": UNICODE, **more}
    return "\n".join(line.plain for line in Summary(state=fold(events), **shown).lines())


@pytest.fixture(scope="module")
def pictures(replay: ModuleType) -> dict[str, str]:
    found: dict[str, str] = replay.pictures()
    return found


def test_every_picture_is_expected(pictures: dict[str, str]):
    """No picture is left out of the comparison, and none is compared that is not drawn."""
    assert sorted(pictures) == sorted(path.stem for path in GOLDEN)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_pictures_are_as_they_were_looked_at(path: Path, pictures: dict[str, str]):
    """Each is what a person has read and kept: ``replay.py --golden`` writes them anew."""
    assert pictures[path.stem] == path.read_text()


@pytest.mark.parametrize("width", range(8, 130, 3))
def test_no_line_is_wider_than_the_terminal(replay: ModuleType, width: int):
    """Whatever the width and the moment."""
    for moment in replay.MOMENTS.values():
        state = replay.state_at(*moment)
        for height in (1, 2, 5, 9, 24):
            picture = Frame(state=state, width=width, height=height, now=state.now, symbols=UNICODE)
            lines = picture.lines()
            assert len(lines) <= height
            assert all(line.cell_len <= width for line in lines)


def test_the_header_tells_what_is_trained():
    """The model (of a path, its name), the adapter, the data, the device, if they are known."""
    run: Event = {
        "t": "run",
        "name": "r-1",
        "model": "/models/tiny",
        "components": {"adapter": "lora"},
    }
    more: list[Event] = [{"t": "parameters", "device": "cuda:0"}, {"t": "data", "rows": 7}]
    assert frame(fold([run, *more])).splitlines()[1] == ("r-1  tiny · lora · 7 documents · cuda:0")
    assert frame(fold([{**run, "model": "hub:a/b", "components": None}])).splitlines()[1] == (
        "r-1  hub:a/b"
    )


def test_a_low_terminal_keeps_the_first_and_the_last_line(replay: ModuleType):
    """What goes is the sample first, then the lower numbers."""
    state = replay.state_at("train", 137)
    assert "sample" not in frame(state, height=10)
    lines = frame(state, height=4).splitlines()
    assert lines[0].startswith("quickstart-1")
    assert "137/240" in lines[1]
    assert "Ctrl-C" in lines[-1]


def test_what_is_left_counts_down_between_events(replay: ModuleType):
    """The time since the newest event is taken off; it never goes below zero."""
    state = replay.state_at("train", 137)
    assert state.train["eta_s"] == pytest.approx(183.3)
    assert "3m 3s left" in frame(state)
    assert "2m 53s left" in frame(state, after=10)
    assert "0s left" in frame(state, after=10_000)


def test_the_foot_says_what_ctrl_c_did(replay: ModuleType):
    """Before: what it would do. After: what happens, and what a second one would do."""
    state = replay.state_at("train", 137)
    assert frame(state).splitlines()[-1].startswith("  Ctrl-C saves and stops")
    state.apply({"t": "stopping", "signal": "SIGINT"})
    assert "stopping after this step, then saving (press again to stop at once)" in frame(state)
    state = replay.state_at("progress", 2)
    state.apply({"t": "stopping", "signal": "SIGINT"})
    assert "  stopping (press again to stop at once)" in frame(state)


def test_evaluating_between_steps_shows_beside_the_hint(replay: ModuleType):
    """The training row stays where it is while a phase runs between two steps."""
    state = replay.state_at("train", 40)
    state.apply({"t": "phase", "phase": "evaluate"})
    assert frame(state).splitlines()[-1].endswith("evaluate")
    state.apply({"t": "progress", "phase": "evaluate", "done": 1, "total": 4})
    assert frame(state).splitlines()[-1].endswith("evaluate 25 %")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": None}, "loss      not finite"),
        ({"grad_norm": None, "applied": False}, "grad not finite step left out"),
        ({"grad_norm": 1.5}, "grad 1.50 clipped"),
        ({"steps": None, "eta_s": None}, "train     step 137"),
        ({"loss": 9.9}, "9.900 ↑"),
        ({"memory": None, "memory_peak": None}, "memory    peak 2.3 GiB"),
    ],
)
def test_steps_that_are_unusual_say_so(replay: ModuleType, change: dict[str, Any], words: str):
    """A loss or gradient that is not finite, a step left out, no known end, a rising loss."""
    state = replay.state_at("train", 137)
    for _ in range(20):
        state.apply({**state.train, **change, "t": "train"})
    assert words in frame(state, width=120)


def test_a_bare_step_is_shown_without_what_is_missing():
    """Another trainer may tell less."""
    state = fold([{"t": "run", "name": "r-1"}, {"t": "train", "step": 3, "loss": 1.0}])
    lines = frame(state).split("\n")
    assert lines[1:] == [
        "r-1",
        "",
        "  train     step 3",
        "  loss      1.000         ",
        "  step      grad not finite",
        "  memory    ",
        "",
        "  Ctrl-C saves and stops",
    ]


def test_a_worse_evaluation_names_the_best(finished: list[dict[str, Any]]):
    """The newest and the best are both there."""
    state = fold(finished[:-8])
    state.stage = "train"
    state.apply({"t": "eval", "step": 240, "loss": 1.9})
    assert "1.900 @240    best 1.4" in frame(state)


def test_foreign_text_is_harmless_in_every_place():
    """Names, answers, warnings, phases and errors reach the terminal without their codes."""
    events: list[Event] = [
        {"t": "run", "name": HOSTILE, "model": HOSTILE, "device": HOSTILE},
        {"t": "stage", "stage": HOSTILE, "status": "started"},
        {"t": "phase", "phase": HOSTILE},
        {"t": "warning", "text": HOSTILE},
        {"t": "sample", "step": 0, "prompt": HOSTILE, "answer": HOSTILE},
        {"t": "sample", "step": 9, "prompt": HOSTILE, "answer": HOSTILE},
        {"t": "published", "label": HOSTILE, "tags": [HOSTILE], "parts": {HOSTILE: "x"},
         "digest": HOSTILE, "size": {HOSTILE: 5}},
    ]  # fmt: skip
    fields = {"error": HOSTILE, "hint": HOSTILE, "code": HOSTILE, "next": [HOSTILE]}
    shown = [frame(fold(events), width=200)]
    shown += [
        summary([*events, {"t": "end", "status": status, **fields}])
        for status in ("finished", "stopped", "failed", "gone")
    ]
    for text in shown:
        assert not {c for c in text.replace("\n", "") if not c.isprintable()} - {"\u2009"}
        assert "owned" not in text
        assert "[bold]yes[/bold] evil" in text


@pytest.mark.parametrize(
    ("text", "width", "lines", "expected"),
    [
        ("one two three", 20, 3, ["one two three"]),
        ("one two three", 7, 3, ["one two", "three"]),
        ("one two three", 6, 3, ["one", "two", "three"]),
        ("one two three", 4, 2, ["one", "two…"]),
        ("abcdefgh", 3, 5, ["abc", "def", "gh"]),
        ("模型模型", 4, 5, ["模型", "模型"]),
        ("", 5, 2, [""]),
    ],
)
def test_text_is_wrapped_at_spaces(text: str, width: int, lines: int, expected: list[str]):
    """By cells, not characters; what does not fit in so many lines ends with an ellipsis."""
    assert wrapped(text, width, lines, UNICODE) == expected


def test_cells_that_do_not_fit_are_dropped_from_the_right():
    """No row is wrapped and no number is cut in half."""
    cells = [Text("one"), Text("two"), Text("three")]

    def rows(width: int) -> str:
        return columns(Text("> "), cells, width, (5, 5, 5)).plain

    assert rows(40) == "> one  two  three"
    assert rows(16) == "> one  two"
    assert rows(4) == "> "


def test_cut_text_ends_with_an_ellipsis():
    """In ASCII with three full stops; where there is no room, with nothing."""
    assert fit(Text("abcdef"), 4, UNICODE).plain == "abc…"
    assert fit(Text("abcdef"), 4, ASCII).plain == "a..."
    assert fit(Text("abcdef"), 3, ASCII).plain == "abc"
    assert fit(Text("abc"), 3, ASCII).plain == "abc"
