"""The console monitor: which view, which colours, and the modes in real processes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import Monitor, MonitorContext
from llamahome_core.monitoring import Monitors
from llamahome_core.testing import MonitorContract
from llamahome_monitors import console
from llamahome_monitors.config import ConsoleConfig
from llamahome_monitors.console import (
    ConsoleMonitor,
    JsonMonitor,
    NoView,
    make_console,
    wants_color,
)
from llamahome_monitors.live import LiveView
from llamahome_monitors.plain import PlainView

REPLAY = Path(__file__).with_name("replay.py")


class Stream(io.TextIOWrapper):
    """A text stream that says what a test wants it to say."""

    def __init__(self, *, tty: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty

    def fileno(self) -> int:
        raise OSError("no descriptor")

    @property
    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined,no-any-return]


def made(monkeypatch: pytest.MonkeyPatch, stream: Stream, **settings: Any) -> Any:
    monkeypatch.setattr(sys, "stderr", stream)
    return make_console(ConsoleConfig(**settings), MonitorContext(directory=Path("runs/r-1")))


@pytest.mark.parametrize("mode", ["live", "plain", "json", "none"])
class TestContract(MonitorContract):
    """Each of its modes keeps to what every monitor keeps to."""

    @pytest.fixture
    def monitor(self, monkeypatch: pytest.MonkeyPatch, mode: str) -> Monitor:
        monitor: Monitor = made(monkeypatch, Stream(), mode=mode)
        return monitor


@pytest.mark.parametrize(
    ("settings", "tty", "term", "view"),
    [
        ({}, True, "xterm", LiveView),
        ({}, True, "dumb", PlainView),
        ({}, False, "xterm", PlainView),
        ({"mode": "live"}, False, "dumb", LiveView),
        ({"mode": "plain"}, True, "xterm", PlainView),
        ({"mode": "none"}, True, "xterm", NoView),
        ({"verbosity": -1}, True, "xterm", NoView),
    ],
)
def test_the_view_follows_the_setting_and_the_terminal(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], tty: bool, term: str, view: type
):
    """Live on a terminal, plain elsewhere, unless the setting says otherwise."""
    monkeypatch.setenv("TERM", term)
    assert isinstance(made(monkeypatch, Stream(tty=tty), **settings).view, view)


@pytest.mark.parametrize(
    ("setting", "environ", "tty", "expected"),
    [
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"TERM": "xterm"}, True, True),
        ("auto", {}, False, False),
    ],
)
def test_colour_is_decided_in_order(
    setting: str, environ: dict[str, str], tty: bool, expected: bool
):
    """The setting, FORCE_COLOR, NO_COLOR, TERM=dumb, the terminal."""
    assert wants_color(setting, environ, tty=tty) is expected


@pytest.mark.parametrize(
    ("verbosity", "lines", "result", "hint"),
    [(0, True, True, True), (-1, False, True, False), (-2, False, False, False)],
)
def test_quiet_is_the_result_only_and_more_quiet_is_silent(
    monkeypatch: pytest.MonkeyPatch,
    finished: list[dict[str, Any]],
    verbosity: int,
    lines: bool,
    result: bool,
    hint: bool,
):
    """-q: no lines and no hints. -qq: nothing at all."""
    stream = Stream()
    monitor = made(monkeypatch, stream, verbosity=verbosity)
    for event in finished:
        monitor.handle(event)
        monitor.tick()
    monitor.close()
    text = stream.text
    assert [" train step=" in text, "finished in" in text, "llamahome generate" in text] == [
        lines, result, hint,
    ]  # fmt: skip


def test_nothing_is_said_of_a_run_that_never_began(monkeypatch: pytest.MonkeyPatch):
    """No events, no summary."""
    stream = Stream()
    made(monkeypatch, stream).close()
    assert stream.text == ""


def test_an_ascii_stream_gets_no_other_signs(
    monkeypatch: pytest.MonkeyPatch, finished: list[dict[str, Any]]
):
    """Neither from the views nor from answers, and no answer is an error."""
    stream = Stream(encoding="ascii")
    monitor = made(monkeypatch, stream, mode="plain")
    for event in [*finished, {"t": "sample", "step": 1, "prompt": "¿qué?", "answer": "🦙"}]:
        monitor.handle(event)
    monitor.close()
    assert "+ quickstart-1 finished" in stream.text
    assert "3.023 -> 1.310" in stream.text
    assert "?qu??" in stream.text


def test_json_keeps_each_event_as_it_is(finished: list[dict[str, Any]]):
    """The same bytes as in the file; only an ASCII stream gets escapes, which mean the same."""
    event = {"schema": "x", "t": "sample", "lr": 1e-05, "answer": "é \x1b[2J", "n": None}
    stream = Stream()
    monitor = JsonMonitor(stream)
    for each in [*finished, event]:
        monitor.handle(each)
    monitor.close()
    expected = [json.dumps(e, ensure_ascii=False) for e in [*finished, event]]
    assert stream.text.splitlines() == expected
    ascii_stream = Stream(encoding="ascii")
    JsonMonitor(ascii_stream).handle(event)
    assert json.loads(ascii_stream.text) == event


def test_the_summary_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
):
    """One column is left free; a file gets 100; a terminal without a size the usual 80."""
    assert console._width(Stream()) == 100
    monkeypatch.setenv("COLUMNS", "80")
    stream = Stream(tty=True)
    assert console._width(stream) == 79
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((57, 24)))
    monkeypatch.setattr(stream, "fileno", lambda: 2)
    assert console._width(stream) == 56


def test_a_stream_that_cannot_be_reconfigured_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch):
    """An embedding program may have replaced it."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monitor = make_console(ConsoleConfig(), MonitorContext(directory=Path("r")))
    assert isinstance(monitor, ConsoleMonitor)
    monitor.handle({"t": "run", "name": "r-1"})
    assert "run r-1" in stream.getvalue()


# --- In processes of their own -----------------------------------------------------------------


def play(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    return subprocess.run(
        [sys.executable, str(REPLAY), "--speed", "2000", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=base | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"} | environ,
        timeout=100,
        check=True,
    )


def test_plain_lines_of_a_growing_file():
    """All on standard error, which standard output's readers never see, and the summary last."""
    done = play()
    assert done.stdout == ""
    shown = done.stderr.splitlines()
    assert " run quickstart-1 started" in shown[0]
    assert "✓ quickstart-1 finished in 7m 35s" in done.stderr
    assert shown[-1] == '  next      llamahome generate quickstart:v1 --prompt "Hello"'
    assert not set("\r\x1b") & set(done.stderr)


def test_json_lines_of_a_growing_file(replay: Any):
    """Every event once and in order on standard output; nothing on standard error."""
    done = play("--mode", "json", "--story", "resumed")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = replay.resumed()
    first_end = next(i for i, e in enumerate(told) if e["t"] == "end")
    # A session is over with its end event: the story's second one would be another process.
    assert [e["t"] for e in events] == [e["t"] for e in told[: first_end + 1]]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("story", "words"),
    [
        ("stopped", "stopped  quickstart-1 at 131/240"),
        ("failed", "error     [M302] smollm2-135m-instruct is not on this machine"),
    ],
)
def test_other_ends_of_a_growing_file(story: str, words: str):
    """A stopped and a failed run."""
    assert words in play("--story", story).stderr


def test_colour_can_be_forced_into_a_file():
    """FORCE_COLOR colours the summary; the lines stay plain."""
    done = play(FORCE_COLOR="1")
    lines, _, summary = done.stderr.partition("end status=finished")
    assert "\x1b" not in lines
    assert "\x1b[1;32m✓" in summary


def test_a_resumed_run_starts_where_its_session_starts(
    replay: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """The console of a resumed run does not tell the first session again."""
    events = replay.resumed()
    split = next(i for i, e in enumerate(events) if e.get("status") == "resumed")
    path = tmp_path / "events.jsonl"
    replay.write(events[:split], path)
    offset = path.stat().st_size
    replay.write(events, path)
    monitors = Monitors([replay.console(ConsoleConfig(mode="plain"))], tmp_path, None, offset)  # type: ignore[arg-type]
    monitors.start()
    monitors.close(timeout=60)
    shown = capfd.readouterr().err.splitlines()
    assert " run quickstart-1 resumed" in shown[0]
    assert shown[1].endswith(" rewind step=100")
    assert sum(" end status=" in line for line in shown) == 1


LIGHT = """
import sys
from pathlib import Path
from llamahome_core import MonitorContext
import llamahome_monitors.plugin
from llamahome_core import monitor_process
from llamahome_monitors.config import ConsoleConfig
assert list(llamahome_monitors.plugin.llamahome_monitors())
assert "llamahome_monitors.console" not in sys.modules
from llamahome_monitors.console import make_console
monitor = make_console(ConsoleConfig(mode="plain"), MonitorContext(directory=Path(".")))
monitor.handle({"t": "run", "name": "r-1"})
heavy = {"rich", "tensorboard", "numpy", "torch", "transformers"} & set(sys.modules)
assert not heavy, heavy
"""


def test_declaring_and_plain_lines_import_nothing_heavy():
    """Neither rich nor TensorBoard before they are used."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", LIGHT], env=environ, check=True)
