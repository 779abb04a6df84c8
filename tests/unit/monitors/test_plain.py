"""Plain lines: one for each record, readable by people and by ``grep``."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import Any

import pytest

from llamahome_monitors.plain import PlainView
from llamahome_monitors.state import RunState

TIME = "2026-11-22T23:01:10.123+00:00"


def lines(*events: dict[str, Any], verbosity: int = 0) -> list[str]:
    stream, state = io.StringIO(), RunState()
    view = PlainView(stream, state, verbosity)
    for event in events:
        state.apply(event)
        view.show(event)
        view.tick()
    view.close()
    return stream.getvalue().splitlines()


def test_a_run_in_lines(finished: list[dict[str, Any]]):
    """Every line has a UTC time and a kind; no carriage return, no bar, no colour."""
    shown = lines(*finished)
    assert all(re.match(r"2026-11-22T23:\d\d:\d\dZ [a-z]+ ", line) for line in shown)
    assert not set("\r\x1b━\t") & set("".join(shown))
    assert shown[0] == (
        "2026-11-22T23:01:10Z run quickstart-1 started recipe=quickstart "
        "model=smollm2-135m-instruct device=cpu host=box"
    )
    assert "2026-11-22T23:01:19Z stage fetch finished seconds=9.5" in shown
    assert any(line.endswith("train step=1/240 loss=3.0227 lr=1.6666e-05 grad=0.643 tok_s=1396 "
                             "eta_s=425") for line in shown)  # fmt: skip
    assert shown[-1] == "2026-11-22T23:08:44Z end status=finished seconds=454.87"


def test_training_is_at_most_one_line_in_ten_seconds(finished: list[dict[str, Any]]):
    """By the run's own time; the first and the last step are always there."""
    shown = [line for line in lines(*finished) if " train step=" in line]
    times = [int(line[14:16]) * 60 + int(line[17:19]) for line in shown]
    assert all(b - a >= 9 for a, b in pairwise(times[:-1]))
    assert "step=1/240" in shown[0]
    assert "step=240/240" in shown[-1]
    assert 30 < len(shown) < 46


def test_progress_is_at_most_one_line_in_ten_seconds_and_phase():
    """Another phase does not wait for the first."""
    events = [{"t": "progress", "phase": p, "done": 1, "total": 3, "time": TIME} for p in "aab"]
    assert [line[21:] for line in lines(*events)] == [
        "progress a 33% done=1 total=3",
        "progress b 33% done=1 total=3",
    ]
    assert lines({"t": "progress", "phase": "c", "done": 5, "total": None, "time": TIME}) == [
        "2026-11-22T23:01:10Z progress c done=5"
    ]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"t": "eval", "step": 4, "loss": 1.87654321, "ppl": 6.5, "best": True},
         "eval step=4 loss=1.8765 ppl=6.5 best=true"),
        ({"t": "eval", "step": 4, "loss": None}, "eval step=4 loss=null"),
        ({"t": "train", "step": 4, "loss": None, "applied": False},
         "train step=4 loss=null applied=false"),
        ({"t": "sample", "step": 4, "prompt": "a b", "answer": 'say "x"\n\x1b[2Jé'},
         'sample step=4 prompt="a b" answer="say \\"x\\" é"'),
        ({"t": "sample", "step": 4, "prompt": "", "answer": "a=b"},
         'sample step=4 prompt="" answer="a=b"'),
        ({"t": "warning", "text": "mind the gap"}, 'warning "mind the gap"'),
        ({"t": "stopping", "signal": "SIGTERM"}, "stopping signal=SIGTERM"),
        ({"t": "rewind", "step": 100}, "rewind step=100"),
        ({"t": "parameters", "total": 134515008, "trained": 921600},
         "parameters total=134515008 trained=921600"),
        ({"t": "checkpoint", "step": 9, "reason": "end", "seconds": 0.4, "path": "a b"},
         'checkpoint step=9 reason=end seconds=0.4 path="a b"'),
        ({"t": "published", "label": "m:v1", "tags": ["a", "b"], "parts": {"x": 1, "y": 2},
          "digest": "sha256:0"}, "published m:v1 tags=a,b parts=x,y digest=sha256:0"),
        ({"t": "published", "label": "m:v1"}, "published m:v1"),
        ({"t": "data", "rows": 9, "dropped": {"empty": 2, "overlong": 0}},
         "data rows=9 dropped_empty=2"),
        ({"t": "data", "rows": 9}, "data rows=9"),
        ({"t": "phase", "phase": "tokenise"}, "phase tokenise"),
        ({"t": "note", "text": "nothing to do"}, 'note "nothing to do"'),
    ],
)  # fmt: skip
def test_each_kind_has_its_line(event: dict[str, Any], line: str):
    """What is not there is left out; text with spaces is quoted; nothing foreign is obeyed."""
    assert lines({**event, "time": TIME}) == [f"2026-11-22T23:01:10Z {line}"]


def test_kinds_of_other_plugins_are_shown_on_request():
    """With -v, with what of them fits in a line."""
    event = {"t": "acme.note", "schema": "x", "text": "hi", "n": 3, "big": {"a": 1}, "time": TIME}
    assert lines(event) == []
    assert lines(event, verbosity=1) == ["2026-11-22T23:01:10Z acme.note text=hi n=3"]


def test_a_warning_is_shown_once():
    """The summary counts it."""
    assert len(lines(*[{"t": "warning", "text": "x", "time": TIME}] * 3)) == 1


def test_other_times_are_shown_as_they_are():
    """An event without a time has a dash."""
    assert lines({"t": "rewind", "step": 1}) == ["- rewind step=1"]
    assert lines({"t": "rewind", "step": 1, "time": "noon"}) == ["noon rewind step=1"]
