"""What a monitor sees of its run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llamahome_core.monitor_process import Tail
from llamahome_core.monitoring import Monitors

if TYPE_CHECKING:
    from tests.unit.core.monitoring.conftest import Bench


def test_a_monitor_sees_each_event_in_order_and_is_closed(bench: Bench):
    """Events of before and after the start arrive once, in order; then close() is called."""
    bench.emit("run")
    monitors = bench.monitors("Recorder")
    monitors.start()
    bench.steps(1, 3)
    bench.emit("end")
    monitors.close()
    assert bench.seen == ["run None", "train 1", "train 2", "train 3", "end None", "closed"]
    assert bench.log.texts == []


def test_events_written_just_before_close_are_not_lost(bench: Bench):
    """A run that ends without an end event still has all its events read."""
    monitors = bench.monitors("Recorder")
    monitors.start()
    bench.steps(1, 2000)
    monitors.close()
    assert bench.seen == [*(f"train {n}" for n in range(1, 2001)), "closed"]


def test_a_close_before_the_child_has_read_its_order_loses_nothing(bench: Bench):
    """Starting and closing at once is no race."""
    bench.steps(1, 2)
    for _ in range(3):
        monitors = bench.monitors("Recorder")
        monitors.start()
        monitors.close()
    assert bench.seen == ["train 1", "train 2", "closed"] * 3
    assert bench.log.texts == []


def test_a_torn_line_waits_for_its_rest(bench: Bench):
    """Half a line is no event until its newline is there."""
    monitors = bench.monitors("Recorder")
    monitors.start()
    bench.steps(1, 1)
    with bench.events.open("a") as file:
        file.write('{"t": "train",')
    bench.eventually(lambda: "train 1" in bench.seen)
    time.sleep(0.3)
    assert bench.seen == ["train 1"]
    with bench.events.open("a") as file:
        file.write(' "step": 2}\n{"t": "torn')
    monitors.close()
    assert bench.seen == ["train 1", "train 2", "closed"]


def test_a_resumed_session_starts_at_its_offset(bench: Bench):
    """A monitor sees only its own session; one that asks for the whole run sees the earlier too."""
    bench.steps(1, 2)
    bench.emit("end")
    offset = bench.events.stat().st_size
    bench.emit("rewind", step=1)
    for factory, before in (("Recorder", []), ("Whole", ["train 1", "train 2", "end None"])):
        bench.out.unlink(missing_ok=True)
        monitors = bench.monitors(factory, offset=offset)
        monitors.start()
        bench.eventually(lambda: "rewind 1" in bench.seen)
        monitors.close()
        assert bench.seen == [*before, "rewind 1", "closed"]


def test_a_session_starts_where_the_file_ends(bench: Bench):
    """Without an offset: what is there when the monitors start is of earlier sessions."""
    bench.steps(1, 2)
    bench.emit("end")
    monitors = bench.monitors("Recorder", offset=None)
    monitors.start()
    bench.steps(3, 3)
    monitors.close()
    assert bench.seen == ["train 3", "closed"]


def test_what_is_no_event_is_noted_and_skipped(bench: Bench):
    """A damaged line costs itself and nothing else."""
    bench.events.write_text('{"t": "train", "step": 1}\nnot json\n[1]\n')
    bench.steps(2, 2)
    monitors = bench.monitors("Recorder")
    monitors.start()
    monitors.close()
    assert bench.seen == ["train 1", "train 2", "closed"]
    assert "not an event, at byte 26" in bench.log_of()
    assert bench.log.texts == []


def test_ticks_come_without_events(bench: Bench):
    """What changes with time is shown although no event comes."""
    monitors = bench.monitors("Ticks")
    monitors.start()
    bench.eventually(lambda: bench.seen.count("tick") >= 3)
    monitors.close()
    assert bench.seen[-1] == "closed"


def test_two_monitors_of_one_name_have_logs_of_their_own(bench: Bench):
    """The second is called name-2."""
    monitors = bench.monitors("broken", "broken")
    monitors.start()
    monitors.close()
    assert "LookupError" in bench.log_of("fake")
    assert "LookupError" in bench.log_of("fake-2")
    assert ["'fake'" in bench.log.texts[0], "'fake-2'" in bench.log.texts[1]] == [True, True]


def test_only_a_terminal_monitor_writes_to_the_streams(
    bench: Bench, capfd: pytest.CaptureFixture[str]
):
    """The output of the others goes to their log."""
    bench.emit("run")
    config = bench.fakes.TerminalConfig(out=bench.out)
    selections = [bench.selection("Talks"), bench.selection("Talks", config, "terminal")]
    monitors = Monitors(selections, bench.directory, bench.log, offset=0)
    monitors.start()
    monitors.close()
    captured = capfd.readouterr()
    assert captured.out == "to stdout run\n"
    assert captured.err == "to stderr run\n"
    assert sorted(bench.log_of().splitlines()) == ["to stderr run", "to stdout run"]


def test_a_tail_reads_only_what_is_new(tmp_path: Path):
    """No file, no lines; each whole line once; a line of any length is one line."""
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert list(tail.lines()) == []
    path.write_bytes(b"one\ntwo\nth")
    assert list(tail.lines()) == [b"one\n", b"two\n"]
    assert list(tail.lines()) == []
    long = b"x" * 3_000_000 + b"\n"
    with path.open("ab") as file:
        file.write(b"ree\n" + long)
    assert list(tail.lines()) == [b"three\n", long]
    assert list(tail.lines()) == []
    assert tail.offset == path.stat().st_size
