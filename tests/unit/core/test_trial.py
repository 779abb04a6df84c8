"""A plugin that ends or blocks its process does so in a child, and is named for it."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from llamahome_core import BrokenPluginError, ConfigError, trial
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.plugins import Plugins

HOOK = "from llamahome_core import hookimpl\n@hookimpl\ndef llamahome_stores():\n    "
Write = Callable[..., Plugin]


@pytest.fixture(autouse=True)
def _alone() -> None:
    """No thread is left by progress bars of tests before: beside one, nothing is forked."""
    for thread in threading.enumerate():
        if type(thread).__name__ == "TMonitor":  # of tqdm; each class of bars has one
            thread.exit()  # type: ignore[attr-defined]  # the same


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a plugin's module; returns the plugin as discovery finds it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def make(name: str, text: str, origin: str = "lh-test 1.0") -> Plugin:
        (tmp_path / f"lh_trial_{name}.py").write_text(text)
        entry = EntryPoint(name, f"lh_trial_{name}", "llamahome")
        return Plugin(name=name, origin=origin, entry=entry)

    yield make
    for module in [m for m in sys.modules if m.startswith("lh_trial_")]:
        del sys.modules[module]


ENDS = {
    "import os; os._exit(3)": "it ended the process with code 3 while it was imported",
    "import os; os.kill(os.getpid(), 9)": "it killed the process with SIGKILL while it was imp",
    f"import os; os.kill(os.getpid(), {signal.SIGRTMIN + 1})": "it killed the process with sign",
    "while True: pass": "it took more than 0.5 seconds while it was imported",
    "raise KeyboardInterrupt": "it raised KeyboardInterrupt",
    "x = bytearray(1 << 40)": "it took more than 4 GiB of memory",
    "import os; os.close(2)": "it closed or replaced standard error",
    "import sys; sys.stderr.close()": "it closed or removed a standard stream",
    "import os; os.fork()": "it forked the process",
    HOOK + "import os; os._exit(0)": "it ended the process with code 0 while llamahome_stores was",
    HOOK + "raise MemoryError": "it took more than 4 GiB of memory",
}


@pytest.mark.parametrize("text", ENDS)
def test_what_it_does_to_its_process_is_its_verdict(write: Write, text: str) -> None:
    """The plugins before and after it have none, and nothing of it was imported here."""
    bad = write("bad", text)
    around = write("first", ""), write("last", "")

    trial.try_out([around[0], bad, around[1]], 0.5)

    assert (bad.verdict or "").startswith(ENDS[text])
    assert [p.verdict for p in around] == [None, None]
    assert "lh_trial_bad" not in sys.modules
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("text", ["raise ValueError('no')", "raise SystemExit(0)", "def x(:", ""])
def test_what_merely_raises_is_left_to_whoever_imports_it(write: Write, text: str) -> None:
    plugin = write("raises", text)

    trial.try_out([plugin])

    assert plugin.verdict is None


def test_a_thread_that_one_leaves_behind_is_not_laid_on_the_next(write: Write) -> None:
    """It is tried once more, without the thread."""
    ends = "import os, threading\nthreading.Timer(0.2, os._exit, [7]).start()"
    first, second = write("leaves", ends), write("slow", "import time; time.sleep(0.5)")

    trial.try_out([first, second], 5)

    assert second.verdict is None


def test_nothing_is_forked_beside_a_thread(write: Write) -> None:
    """A lock that it holds would be held in the child for ever."""
    plugin, stop = write("ends", "import os; os._exit(1)"), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        trial.try_out([plugin])
    finally:
        stop.set()
        thread.join()

    assert plugin.verdict is None


def test_what_a_plugin_started_ends_with_its_trial(write: Write, tmp_path: Path) -> None:
    command = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    text = f"import subprocess, sys\nchild = subprocess.Popen({command})\n"
    plugin = write("starts", text + "open('child', 'w').write(str(child.pid))")

    trial.try_out([plugin])

    number = (tmp_path / "child").read_text()
    deadline = time.monotonic() + 10
    while Path("/proc", number).exists() and time.monotonic() < deadline:
        if " Z " in Path("/proc", number, "stat").read_text():
            break
        time.sleep(0.01)
    else:
        assert not Path("/proc", number).exists()


def test_only_what_will_be_loaded_of_others_is_tried(write: Write) -> None:
    """Neither LlamaHome's own nor what is blocked: what is blocked is never imported."""
    ends = "open('ran', 'w'); import os; os._exit(1)"
    own = write("own", "", origin="llamahome 1.0")
    blocked, tried = write("blocked", ends), write("tried", "import os; os._exit(1)")

    found = Plugins([own, blocked, tried], Policy(blocked=frozenset({"blocked"}), trial=5))

    assert [p.status for p in found.all] == ["active", "blocked", "broken"]
    assert tried.why == "it ended the process with code 1 while it was imported"
    assert not Path("ran").exists()
    strict = Policy(strict=True, trial=5, only=frozenset({"tried"}))
    with pytest.raises(BrokenPluginError, match=r"'tried' \(lh-test 1.0\) is broken: it ended"):
        Plugins([write("tried", "import os; os._exit(1)")], strict)


def test_the_child_tells_how_far_it_got(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does in a fork, without leaving this process."""
    monkeypatch.setattr(trial, "_isolate", lambda: None)
    monkeypatch.setattr(trial.Conduct, "fault", lambda _: None)
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    monkeypatch.setattr(gc, "disable", lambda: None)
    hook = write("hook", HOOK + "yield from ()")
    bad = write("bad", HOOK + "raise KeyboardInterrupt")
    reading, writing = os.pipe()
    alarms: list[int] = []
    monkeypatch.setattr(signal, "alarm", alarms.append)

    trial.be_tried([hook, bad, hook], writing, 3)

    told = os.read(reading, 4096).decode().splitlines()
    os.close(reading)
    os.close(writing)
    called = "=llamahome_stores was called"
    assert [t for t in told if t[1:] != "threads"] == [
        "=it was imported",
        called,
        *["+"][: told.count("+")],
        "=it was imported",
        called,
        "!it raised KeyboardInterrupt",
    ]
    assert alarms == [8, 8]


@pytest.mark.parametrize(("text", "seconds"), [("", 10.0), ("60", 60.0), ("0", 0.0), (" 1.5", 1.5)])
def test_the_time_is_a_variable(text: str, seconds: float) -> None:
    assert trial.seconds_from({"LLAMAHOME_TRIAL": text}) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e300"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="LLAMAHOME_TRIAL must be a number of seconds"):
        trial.seconds_from({"LLAMAHOME_TRIAL": text})
