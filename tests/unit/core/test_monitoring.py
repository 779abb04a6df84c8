"""Monitors in processes of their own: they see everything, and they can harm nothing."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from llamahome_core.components import Component
from llamahome_core.monitor_process import Tail
from llamahome_core.monitoring import Monitors
from llamahome_core.recipe import Selection

FAKES = """
import os, sys, time
from pathlib import Path
from typing import ClassVar
from attrs import frozen

@frozen(kw_only=True)
class Config:
    out: Path
    size: str = ""

@frozen(kw_only=True)
class TerminalConfig:
    terminal: ClassVar[bool] = True
    out: Path

class Recorder:
    def __init__(self, config, context):
        self.out, self.directory = config.out, context.directory
        self.note(f"started {os.getpid()}")
    def note(self, text):
        with self.out.open("a") as file:
            file.write(text + "\\n")
    def handle(self, event):
        self.note(f"{event['t']} {event.get('step')}")
    def close(self):
        self.note("closed")

class Whole(Recorder):
    whole_run = True

class Raises(Recorder):
    def handle(self, event):
        super().handle(event)
        raise RuntimeError("the disk of the graphs is full")

class Leaves(Recorder):
    def handle(self, event):
        super().handle(event)
        raise SystemExit(0)

class RaisesTwice(Recorder):
    def handle(self, event):
        super().handle(event)
        if event.get("step", 0) % 3:
            raise RuntimeError("now and then")

class Exits(Recorder):
    def handle(self, event):
        os._exit(7)

class Hangs(Recorder):
    def handle(self, event):
        super().handle(event)
        time.sleep(3600)

class CloseRaises(Recorder):
    def close(self):
        raise RuntimeError("no last words")

class Ticks(Recorder):
    def tick(self):
        self.note("tick")

class TickRaises(Recorder):
    def tick(self):
        raise RuntimeError("no clock")

class Talks(Recorder):
    def handle(self, event):
        print("to stdout", event["t"], flush=True)
        print("to stderr", event["t"], file=sys.stderr, flush=True)

def broken(config, context):
    raise LookupError("this monitor cannot be built")
"""


class Warnings:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, event: str, /) -> None:
        self.texts.append(event)


class Bench:
    """A run's folder with one recording monitor of a kind, and what it recorded."""

    def __init__(self, directory: Path, fakes: Any) -> None:
        self.directory, self.fakes = directory, fakes
        self.out, self.events = directory / "out.txt", directory / "events.jsonl"
        self.log = Warnings()

    def selection(self, factory: str, config: Any = None, name: str = "fake") -> Selection:
        config = config or self.fakes.Config(out=self.out)
        component = Component(
            name="fake", summary="", config=type(config), factory=f"monitor_fakes:{factory}"
        )
        return Selection(
            kind="monitor", name=name, plugin="test", component=component, config=config
        )

    def monitors(self, *factories: str, offset: int | None = 0) -> Monitors:
        selections = [self.selection(factory) for factory in factories]
        return Monitors(selections, self.directory, self.log, offset)

    def emit(self, *kinds: str, **fields: Any) -> None:
        with self.events.open("a") as file:
            for kind in kinds:
                file.write(json.dumps({"t": kind, **fields}) + "\n")

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.emit("train", step=step)

    @property
    def notes(self) -> list[str]:
        return self.out.read_text().splitlines() if self.out.exists() else []

    @property
    def seen(self) -> list[str]:
        return [note for note in self.notes if not note.startswith("started")]

    def pid(self) -> int:
        eventually(lambda: any(note.startswith("started") for note in self.notes))
        return int(self.notes[0].split()[1])

    def log_of(self, name: str = "fake") -> str:
        return (self.directory / "log" / f"monitor-{name}.log").read_text()


def eventually(true: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "monitor_fakes.py").write_text(FAKES)
    monkeypatch.syspath_prepend(code)
    sys.modules.pop("monitor_fakes", None)
    import monitor_fakes  # type: ignore[import-not-found]

    (tmp_path / "run").mkdir()
    yield Bench(tmp_path / "run", monitor_fakes)
    sys.modules.pop("monitor_fakes", None)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# --- What a monitor sees -----------------------------------------------------------------------


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
    eventually(lambda: "train 1" in bench.seen)
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
        eventually(lambda: "rewind 1" in bench.seen)
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
    eventually(lambda: bench.seen.count("tick") >= 3)
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


# --- What a bad monitor cannot do --------------------------------------------------------------


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
    assert "'fake' was disabled" in warning
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
    time.sleep(0.8)
    monitors.close()
    [warning] = bench.log.texts
    assert words in warning


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
    eventually(lambda: bench.seen.count("run None") == 3)
    began = time.monotonic()
    monitors.close(timeout=1.0)
    assert time.monotonic() - began < 2.0
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


# --- The process -------------------------------------------------------------------------------


def test_the_terminals_signals_do_not_end_a_monitor(bench: Bench):
    """Neither at once after the start, nor later: the run tells of them in its events."""
    monitors = bench.monitors("Recorder")
    monitors.start()
    [child] = monitors._children
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.process.send_signal(number)
    bench.pid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.process.send_signal(number)
    bench.emit("stopping", "end")
    monitors.close()
    assert bench.seen == ["stopping None", "end None", "closed"]
    assert bench.log.texts == []


def test_the_runs_own_signals_are_as_before(bench: Bench):
    """Starting monitors leaves no signal blocked in the run."""
    monitors = bench.monitors("Recorder")
    monitors.start()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    monitors.close()


def test_a_monitor_gives_way_to_training(bench: Bench):
    """It runs at a lower priority than the run."""
    monitors = bench.monitors("Recorder")
    monitors.start()
    wanted = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert os.getpriority(os.PRIO_PROCESS, bench.pid()) == wanted
    monitors.close()


def test_a_monitor_costs_little_to_start(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """At most 0.15 s of processor time, or 13 empty interpreters where those are slower."""
    for name in [n for n in os.environ if n.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)  # measuring coverage costs more than what is measured

    def watch() -> None:
        monitors = bench.monitors("Recorder")
        monitors.start()
        monitors.close()

    def nothing() -> None:
        subprocess.run([sys.executable, "-c", "pass"], check=True)

    bench.emit("end")
    spent = [(cpu_of(watch), cpu_of(nothing)) for _ in range(5)]
    assert min(cost for cost, _ in spent) < max(0.15, 13 * min(bare for _, bare in spent))


def cpu_of(call: Callable[[], None]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


RUN = """
import json, sys, time
from pathlib import Path
from llamahome_core.components import Component
from llamahome_core.monitoring import Monitors
from llamahome_core.recipe import Selection
import monitor_fakes
directory = Path(sys.argv[1])
config = monitor_fakes.Config(out=directory / "out.txt")
component = Component(name="f", summary="", config=type(config), factory="monitor_fakes:Recorder")
chosen = Selection(kind="monitor", name="f", plugin="p", component=component, config=config)
Monitors([chosen], directory, None).start()
(directory / "events.jsonl").write_text('{"t": "train", "step": 1}\\n{"t": "tr')
print("ready", flush=True)
time.sleep(600)
"""


def test_a_monitor_outlives_a_killed_run_only_to_finish(bench: Bench):
    """After kill -9 of the run it reads what is there, closes and goes."""
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(bench.directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        pid = bench.pid()
        run.kill()
    eventually(lambda: bench.seen == ["train 1", "closed"])
    eventually(lambda: not Path(f"/proc/{pid}/cmdline").exists() or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    """A container's first process may be slow to reap the orphans that it inherits."""
    with contextlib.suppress(OSError):
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


def test_a_monitor_that_hangs_does_not_outlive_its_run_for_long(bench: Bench):
    """Sixty seconds after the run has gone it is over; here: a third of a second."""
    bench.emit("run")
    order = {
        "factory": "monitor_fakes:Hangs",
        "config": "monitor_fakes:Config",
        "settings": {"out": str(bench.out)},
        "directory": str(bench.directory),
        "log": str(bench.directory / "log.txt"),
        "offset": 0,
        "run": os.getpid(),
    }
    code = """
        import sys
        from llamahome_core import monitor_process
        monitor_process._ORPHAN = 0.3
        sys.exit(monitor_process._main())
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        input=json.dumps(order).encode() + b"\n",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert bench.seen == ["run None"]
    assert time.monotonic() - began < 20


def test_a_child_without_an_order_ends(bench: Bench):
    """A run that dies between starting a child and instructing it leaves none behind."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "llamahome_core.monitor_process"],
        input=b"{",
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert b"before it said what to do" in done.stderr
    assert bench.notes == []


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
