"""The last words about a run, however it ended."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llamahome_monitors.format import UNICODE
from llamahome_monitors.state import RunState
from llamahome_monitors.summary import Summary

Event = dict[str, Any]


def fold(events: list[dict[str, Any]]) -> RunState:
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def summary(events: list[dict[str, Any]], **more: Any) -> str:
    shown = {"directory": Path("runs/r-1"), "width": 100, "symbols": UNICODE, **more}
    return "\n".join(line.plain for line in Summary(state=fold(events), **shown).lines())


def test_a_failure_tells_everything_that_mends_it():
    """Error with its code, the fix, where more is written, and how to go on from a checkpoint."""
    end = {"t": "end", "status": "failed", "seconds": 3.0, "error": "out of memory " * 30,
           "code": "T501", "hint": "set batch.accumulate = 2", "report": "log/crash.txt",
           "next": ["llamahome run --resume r-1"]}  # fmt: skip
    text = summary([{"t": "run", "name": "r-1"}, {"t": "checkpoint", "step": 5}, end])
    assert text.split().count("memory") == 30
    for words in (
        "✗ r-1 failed after 3.00s", "[T501]", "fix       set batch.accumulate = 2",
        "llamahome explain T501", "log/crash.txt", "resume    llamahome run --resume r-1",
    ):  # fmt: skip
        assert words in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_failure_that_says_little_is_shown_too():
    """No code, no hint, no report."""
    text = summary([{"t": "run", "name": "r-1"}, {"t": "end", "status": "failed"}])
    assert text.splitlines() == [
        "✗ r-1 failed after 0ms",
        "  error     unknown",
        "  log       runs/r-1/log/run.log",
    ]


def test_a_run_that_vanished_says_how_to_go_on(finished: list[dict[str, Any]]):
    """Without an end event the process was killed: say so, and name the command that resumes."""
    text = summary([e for e in finished if e["t"] != "end"])
    assert "was killed or crashed at 240/240, before it could save" in text
    assert "llamahome run --resume r-1" in text
    assert "lost" not in summary([{"t": "run", "name": "r-1"}])


def test_a_second_signal_says_what_is_lost_and_what_stays():
    """The first asked to save; the second did not let it."""
    events: list[Event] = [
        {"t": "run", "name": "r-1"},
        {"t": "checkpoint", "step": 5},
        {"t": "train", "step": 7, "steps": 9, "loss": 1.0},
        {"t": "stopping", "signal": 2},
    ]
    lines = summary(events).splitlines()
    assert lines[0] == "✗ r-1 was stopped at once at 7/9, before it could save"
    assert "  lost      what it learned after step 5" in lines
    assert "  saved     checkpoint of step 5; it stays" in lines
    assert lines[-1] == "  resume    llamahome run --resume r-1"
    assert "  lost      every step" in summary([events[0], *events[2:]]).splitlines()


def test_quiet_summaries_have_no_hints(replay: ModuleType):
    """Except the command that resumes a stopped run: that is its result."""
    assert "next " not in summary(replay.finished(), hints=False)
    assert "explain" not in summary(replay.failed(), hints=False)
    assert "llamahome run --resume" in summary(replay.stopped(), hints=False)


def test_a_stop_before_the_first_step_has_no_step_to_name():
    """Nothing was saved and there is nothing to say about it."""
    events: list[Event] = [
        {"t": "run", "name": "r-1"},
        {"t": "end", "status": "stopped", "seconds": 2.0},
    ]
    assert summary(events) == "stopped  r-1 after 2.00s"


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ({"merged": 1 << 30, "adapter": 9 << 20}, "merged 1.0 GiB · adapter 9.0 MiB"),
        ({"merged": 1 << 30}, "merged 1.0 GiB · adapter ·"),
        (1 << 30, "merged and adapter · 1.0 GiB"),
        (None, "merged and adapter · sha256"),
        ("?", "merged and adapter · sha256"),
    ],
)
def test_published_parts_are_named_with_their_sizes(size: Any, words: str):
    """One size for each part, or one for all."""
    event = {"t": "published", "label": "a:v1", "digest": "sha256:0123456789abcdef", "size": size,
             "parts": {"merged": "x", "adapter": "y"}}  # fmt: skip
    assert words in summary([event, {"t": "end", "status": "finished"}])


def test_a_run_without_numbers_has_a_summary():
    """A run of stages that train nothing."""
    text = summary([{"t": "run", "name": "r-1"}, {"t": "end", "status": "finished"}])
    assert text == "✓ r-1 finished in 0ms"


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([2.0], "eval      2.000 @0"),
        ([2.0, 2.5], "2.000 → 2.500 · best 2.000 at step 0 · +25.0 %"),
        ([2.0, 1.5, 1.8], "2.000 → 1.800 · best 1.500 at step 1 · -10.0 %"),
        ([2.0, 1.5], "2.000 → 1.500 · best at step 1 · -25.0 %"),
        ([2.0, None], "2.000 → not finite · best 2.000 at step 0"),
        ([None, None], "not finite → not finite"),
        ([None, 1.5], "eval      not finite → 1.500 · best at step 1"),
        ([None], "eval      not finite @0"),
        ([0.0, -1.0], "0.000 → -1.000 · best at step 1"),
    ],
)
def test_evaluations_in_the_summary(losses: list[float | None], words: str):
    """From the first to the last, which is what is published; the best beside it."""
    evals = [{"t": "eval", "step": n, "loss": loss} for n, loss in enumerate(losses)]
    lines = summary([*evals, {"t": "end", "status": "finished"}]).splitlines()
    assert lines[1].endswith(words)


def test_a_resumed_session_is_compared_with_the_beginning():
    """The evaluation before training was in another session; the end event tells it."""
    events: list[Event] = [
        {"t": "eval", "step": 40, "loss": 1.5},
        {"t": "end", "status": "finished", "metrics": {"evaluate_loss_before": 3.0}},
    ]
    assert "3.000 → 1.500 · best at step 40 · -50.0 %" in summary(events)


def test_repeated_warnings_are_one_line_with_a_number():
    """And so is an empty answer something that one can see."""
    events: list[Event] = [{"t": "warning", "text": "slow disk"}] * 3
    events += [{"t": "sample", "step": 0, "prompt": "p", "answer": ""}]
    text = summary([*events, {"t": "end", "status": "finished"}])
    assert "⚠ slow disk (3 times)" in text
    assert "before    (nothing)" in text
    assert "after" not in text
