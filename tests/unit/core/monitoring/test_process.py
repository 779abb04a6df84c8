"""A monitor's process: signals, priority, cost, and what becomes of it without its run."""

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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.core.monitoring.conftest import Bench


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
    bench.eventually(lambda: bench.seen == ["train 1", "closed"])
    bench.eventually(lambda: not Path(f"/proc/{pid}/cmdline").exists() or _is_zombie(pid))


def _is_zombie(pid: int) -> bool:
    """A container's first process may be slow to reap the orphans that it inherits."""
    with contextlib.suppress(OSError):
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


def test_a_monitor_that_hangs_does_not_outlive_its_run_for_long(bench: Bench):
    """Sixty seconds after the run has gone it is over; here: a third of a second."""
    bench.emit("run")
    order = {
        "name": "monitor 'fake'",
        "factory": "monitor_fakes:Hangs",
        "config": "monitor_fakes:Config",
        "settings": {"out": str(bench.out)},
        "secrets": {},
        "directory": str(bench.directory),
        "log": str(bench.directory / "log.txt"),
        "number": 1,
        "offset": 0,
        "run": os.getpid(),
        "terminal": False,
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
