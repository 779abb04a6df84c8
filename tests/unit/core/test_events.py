"""Events are lines of JSON: always valid, readable while they are written, and after a crash."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamahome_core import EventLog, NoEvents, StorageError, live_events, read_events
from llamahome_core.events import encode


def write(path: Path, *events: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_an_event_has_schema_time_and_kind(tmp_path):
    """The time is UTC, in ISO 8601, and sorts as text."""
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("train", step=1, loss=2.5)
    log.sync()

    ((offset, event),) = read_events(tmp_path / "events.jsonl")
    assert event["schema"] == "llamahome.event/1"
    assert datetime.fromisoformat(event["time"]).utcoffset() is not None
    assert (event["t"], event["step"], event["loss"]) == ("train", 1, 2.5)
    assert offset == (tmp_path / "events.jsonl").stat().st_size
    log.close()


def test_what_is_no_number_becomes_null_and_is_named_however_deep():
    """JSON has no NaN; a reader that gets one stops reading."""
    event = json.loads(
        encode("end", {"loss": math.nan, "metrics": {"a": math.inf, "b": [1.0, -math.inf]}})
    )

    assert event["loss"] is None
    assert event["metrics"] == {"a": None, "b": [1.0, None]}
    assert event["nonfinite"] == ["loss", "metrics.a", "metrics.b.1"]
    assert "nonfinite" not in json.loads(encode("end", {"loss": 1.0}))


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
)
def test_any_fields_make_one_line_of_strict_json(fields):
    """Whatever a plugin emits, the line can be read back, and the head is ours."""
    line = encode("plugin.word", fields)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    event = json.loads(line, parse_constant=refuse)
    assert "\n" not in line
    assert event["t"] == "plugin.word"
    assert event["schema"] == "llamahome.event/1"


def test_values_that_json_has_not_are_written_as_text(tmp_path):
    assert json.loads(encode("note", {"path": tmp_path}))["path"] == str(tmp_path)


def test_reading_goes_on_where_it_stopped_and_waits_for_a_whole_line(tmp_path):
    """The cursor is a byte offset; a torn last line is not there yet."""
    path = write(tmp_path / "e", {"t": "a"}, {"t": "b"})
    with path.open("ab") as file:
        file.write(b'{"t": "to')
        file.flush()
        found = list(read_events(path))
        assert [event["t"] for _, event in found] == ["a", "b"]
        offset = found[-1][0]
        file.write(b'rn"}\n')
    assert [event["t"] for _, event in read_events(path, offset)] == ["torn"]


DAMAGE = [bytes(20), b"{", b"[1]", b"5", b'{"step": 1}', b"\xff\xfe", b'{"t":' + b"[" * 100_000]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: str(damage[:12]))
def test_a_damaged_line_does_not_hide_the_others(tmp_path, damage):
    """A power cut may leave zeros between two lines."""
    path = tmp_path / "e"
    path.write_bytes(b'{"t": "a"}\n' + damage + b'\n{"t": "b"}\n')

    found = list(read_events(path))

    assert [event["t"] for _, event in found] == ["a", "b"]
    assert found[-1][0] == path.stat().st_size


def test_a_rewind_takes_back_later_steps_and_nothing_else(tmp_path):
    """A resumed run repeats steps: viewers show each once."""
    path = write(
        tmp_path / "e",
        {"t": "run"},
        {"t": "train", "step": 1, "loss": 3},
        {"t": "train", "step": 2, "loss": 2},
        {"t": "note", "step": None},
        {"t": "eval", "step": 3, "loss": 1},
        {"t": "rewind", "step": 1},
        {"t": "train", "step": 2, "loss": 9},
        {"t": "rewind"},
        {"t": "end"},
    )

    assert [(e["t"], e.get("step")) for e in live_events(path)] == [
        ("run", None),
        ("note", None),
        ("rewind", None),
        ("end", None),
    ]


def test_a_rewind_keeps_what_came_before_it(tmp_path):
    path = write(
        tmp_path / "e",
        {"t": "train", "step": 1},
        {"t": "train", "step": 2},
        {"t": "rewind", "step": 1},
        {"t": "train", "step": 2, "again": True},
    )

    assert [(e["t"], e["step"], "again" in e) for e in live_events(path)] == [
        ("train", 1, False),
        ("rewind", 1, False),
        ("train", 2, True),
    ]


def test_a_log_that_is_closed_takes_no_more(tmp_path):
    log = EventLog(tmp_path / "e")
    log.close()

    with pytest.raises(StorageError):
        log.emit("late")


def test_no_events_swallows_them():
    """For a plan, which has no run."""
    NoEvents().emit("train", step=1)
