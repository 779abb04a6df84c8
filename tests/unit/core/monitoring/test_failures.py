"""What a bad monitor cannot do: stop, slow or crash the run, or leave anything behind."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from llamahome_core.monitoring import Monitors

if TYPE_CHECKING:
    from tests.unit.core.monitoring.conftest import Bench


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("factory", ["Raises", "Leaves"])
def test_three_failures_in_a_row_disable_a_monitor(bench: Bench, factory: str):
    """It gets no fourth event; the run is warned once and the log has each traceback."""
    bench.steps(1, 9)
    monitors = bench.monitors(factory)
    monitors.start()
    monitors.close()
    assert bench.seen == ["train 1", "train 2", "train 3", "closed"]
    assert bench.log_of().count("Traceback") == 3
    [warning] = bench.log.texts
    assert "monitor 'fake' of plugin 'test' (unknown) was disabled" in warning
    assert str(bench.directory / "log" / "monitor-fake.log") in warning


def test_failures_that_are_not_in_a_row_disable_nothing(bench: Bench):
    """Two failures and a success, for a hundred times: logged, up to a limit, and no more."""
    bench.steps(1, 300)
    monitors = bench.monitors("RaisesTwice")
    monitors.start()
    monitors.close()
    assert len(bench.seen) == 301
    assert bench.log_of().count("Traceback") == 100
    assert bench.log.texts == []


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("Exits", "ended with exit code 7"),
        ("Vanishes", "ended with exit code 0"),
        ("CloseRaises", "ended with exit code 1"),
        ("TickRaises", "was disabled"),
        ("broken", "was disabled"),
        ("missing", "was disabled"),
    ],
)
def test_a_monitor_that_goes_wrong_is_one_warning(bench: Bench, factory: str, words: str):
    """However it ends, the run hears of it at the end and not before."""
    monitors = bench.monitors(factory)
    monitors.start()
    bench.steps(1, 3)
    if factory == "TickRaises":  # a tick comes with time, and not with an event
        log = bench.directory / "log" / "monitor-fake.log"
        bench.eventually(lambda: log.exists() and log.read_text().count("Traceback") == 3)
    assert bench.log.texts == []
    monitors.close()
    [warning] = bench.log.texts
    assert words in warning


MIB = 2**20


@pytest.mark.parametrize("kind", ["slowly", "at once"])
def test_a_monitor_that_prints_without_end_fills_no_disk(bench: Bench, kind: str):
    """Its log is cut, says so, and grows no more, in this session and in the next."""
    log = bench.directory / "log" / "monitor-fake.log"
    for session in (1, 2):
        bench.emit(*[kind] * 3)
        monitors = bench.monitors("Chatters", offset=None if session == 2 else 0)
        monitors.start()
        bench.eventually(lambda: log.exists() and "was cut here" in bench.log_of())
        bench.emit("end")
        monitors.close()
        assert log.stat().st_size < 1.2 * MIB
    assert "the monitor prints too much" in bench.log_of()
    assert bench.seen.count("closed") == 2
    assert bench.log.texts == []


def test_errors_of_a_monitor_are_kept_short(bench: Bench):
    """The end of a traceback says most."""
    bench.steps(1, 3)
    monitors = bench.monitors("Swells")
    monitors.start()
    monitors.close()
    assert (bench.directory / "log" / "monitor-fake.log").stat().st_size < MIB / 10


def test_a_killed_monitor_is_one_warning(bench: Bench):
    """Also kill -9."""
    monitors = bench.monitors("Recorder")
    monitors.start()
    os.kill(bench.pid(), signal.SIGKILL)
    bench.steps(1, 3)
    monitors.close()
    [warning] = bench.log.texts
    assert "was killed by SIGKILL" in warning


def test_a_hanging_monitor_is_killed_and_delays_nobody(bench: Bench):
    """Two that hang share the time that close() grants, and one that works still finishes."""
    bench.emit("run")
    monitors = bench.monitors("Hangs", "Hangs", "Recorder")
    monitors.start()
    bench.eventually(lambda: bench.seen.count("run None") == 3)
    began = time.monotonic()
    monitors.close(timeout=1.0)
    assert time.monotonic() - began < 8.0  # it would be 10 for each if they did not share
    assert [("did not end in time" in text) for text in bench.log.texts] == [True, True]
    assert bench.seen.count("closed") == 1


def test_neither_zombies_nor_descriptors_are_left(bench: Bench):
    """After close() no child process and no file descriptor is left, whatever the monitors did."""
    before = descriptors()
    bench.emit("run")
    monitors = bench.monitors("Recorder", "Exits", "Hangs", "Raises", "broken")
    monitors.start()
    pids = [child.process.pid for child in monitors._children]
    monitors.close(timeout=1.5)
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    assert descriptors() == before
    monitors.close()  # again is allowed


def test_an_interrupted_close_still_leaves_nothing(bench: Bench):
    """A second Ctrl-C while the run waits for a monitor kills the monitor."""
    bench.emit("run")
    monitors = bench.monitors("Hangs")
    monitors.start()
    pid = bench.pid()
    with pytest.raises(KeyboardInterrupt), raised_after(0.3):
        monitors.close(timeout=30)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


@contextlib.contextmanager
def raised_after(seconds: float) -> Iterator[None]:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_monitor_that_cannot_start_is_a_warning(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Settings that cannot be passed on or a missing interpreter stop neither run nor others."""

    @frozen(kw_only=True)
    class Local:
        pass

    large = bench.fakes.Config(out=bench.out, size="x" * 70_000)
    selections = [
        bench.selection("Recorder", Local()),
        bench.selection("Recorder", large),
        bench.selection("Recorder"),
    ]
    monitors = Monitors(selections, bench.directory, bench.log)
    monitors.start()
    monitors.close()
    assert len(bench.log.texts) == 2
    assert bench.seen == ["closed"]
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    monitors = bench.monitors("Recorder")
    monitors.start()
    monitors.close()
    assert "could not be started" in bench.log.texts[2]


def test_settings_that_do_not_fit_the_class_are_told_in_the_log(bench: Bench):
    """The child validates what it was told, as a recipe is validated."""
    monitors = bench.monitors("Recorder")
    selection = bench.selection("Recorder", bench.fakes.Config(out=5))
    monitors.selections = [selection]
    monitors.start()
    monitors.close()
    assert "was disabled" in bench.log.texts[0]
    assert "out" in bench.log_of()


def test_a_monitor_that_died_is_told_once_while_the_run_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """With the selection that says whose it is; and not again at the end."""
    monkeypatch.setattr("llamahome_core.monitoring._LOOK", 0.0)
    monitors = bench.monitors("Recorder", "Recorder")
    monitors.start()
    assert list(monitors.died()) == []
    os.kill(bench.pid(), signal.SIGKILL)
    told: list[Any] = []

    def heard() -> list[Any]:
        told.extend(monitors.died())
        return told

    bench.eventually(heard)
    assert list(monitors.died()) == []
    monitors.close()
    [(selection, text)] = told
    assert selection.plugin == "test"
    assert "was killed by SIGKILL" in text
    assert bench.log.texts == []


def test_a_run_looks_at_its_monitors_at_most_once_a_second(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """An event costs the run next to nothing."""
    monkeypatch.setattr("llamahome_core.monitoring._LOOK", 3600.0)
    monitors = bench.monitors("Recorder")
    monitors.start()
    assert list(monitors.died()) == []
    os.kill(bench.pid(), signal.SIGKILL)
    bench.eventually(lambda: monitors._children[0].process.poll() is not None)
    assert list(monitors.died()) == []
    monitors.close()
    assert len(bench.log.texts) == 1
