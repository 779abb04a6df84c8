"""The live view on a pseudo-terminal: calm, in place, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import pytest

from llamahome_monitors import live
from llamahome_monitors.format import ASCII, UNICODE
from llamahome_monitors.live import LiveView
from llamahome_monitors.region import Region
from llamahome_monitors.state import RunState

REPLAY = Path(__file__).with_name("replay.py")
CODES = re.compile(r"\x1b\[(\d*)(?:;\d+)*([A-Za-z])")


class Screen:
    """As much of a terminal as the view uses: wrapping, scrolling, cursor up, erasing."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines, self.row, self.column = [""], 0, 0

    def feed(self, text: str) -> None:
        while text:
            if code := CODES.match(text):
                self._obey(code[2], int(code[1] or 1))
                text = text[code.end() :]
                continue
            assert text[0] != "\x1b", f"an unknown code: {text[:12]!r}"
            self._put(text[0])
            text = text[1:]

    def _obey(self, code: str, number: int) -> None:
        if code == "A":
            # A real cursor stops at the top of the window.
            self.row = max(self.row - number, len(self.lines) - self.rows, 0)
        elif code == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif code == "J":
            self._obey("K", 1)
            del self.lines[self.row + 1 :]
        else:
            assert code == "m"

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self.column = 0
        elif sign == "\n":
            self._next_line()
        else:
            if self.column == self.columns:
                self.column = 0
                self._next_line()
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + sign + line[self.column + 1 :]
            self.column += 1

    def _next_line(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """Both ends of a pseudo-terminal."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.stream: TextIO = os.fdopen(os.dup(self.slave), "w", encoding="utf-8")
        self.screen = Screen(columns, rows)
        self.raw = ""

    def resize(self, columns: int, rows: int) -> None:
        termios.tcsetwinsize(self.slave, (rows, columns))

    def read(self, wait: float = 0.0) -> str:
        """What came since the last time, shown on the screen too."""
        data = b""
        while select.select([self.master], [], [], wait)[0]:
            data += os.read(self.master, 65536)
        text = data.decode()
        self.raw += text
        self.screen.feed(text)
        return text

    def close(self) -> None:
        self.stream.close()
        os.close(self.master)
        os.close(self.slave)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_795_000_000.0 + self.now


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with contextlib.closing(Terminal()) as terminal:
        yield terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live, "time", clock)
    return clock


class Player:
    """Feeds a state and a view, a tick after each event."""

    def __init__(self, terminal: Terminal, clock: Clock, **more: Any) -> None:
        self.terminal, self.clock, self.state = terminal, clock, RunState()
        settings: dict[str, Any] = {"symbols": UNICODE, "color": True} | more
        self.view = LiveView(terminal.stream, self.state, **settings)

    def play(self, events: list[dict[str, Any]], seconds: float = 0.3) -> None:
        for event in events:
            self.state.apply(event)
            self.view.show(event)
            self.clock.now += seconds
            self.view.tick()
            self.terminal.read()

    def close(self) -> str:
        self.view.close()
        self.terminal.read()
        return self.terminal.screen.text


def test_the_picture_stays_in_its_place(
    terminal: Terminal, clock: Clock, finished: list[dict[str, Any]]
):
    """After hundreds of pictures the screen has the lines that stay, and one picture."""
    player = Player(terminal, clock)
    player.play(finished[:200])
    text = terminal.screen.text
    assert text.count("Ctrl-C saves and stops") == 1
    assert text.count("quickstart-1") == 1
    assert text.splitlines()[:4] == [
        "  ✓ fetch  9.50s",
        "  ⚠ 1 row is longer than 1024 tokens and was dropped",
        "  ✓ prepare  183 documents, 14\u2009210 tokens  1.80s",
        "",
    ]
    assert text.count("  sample    ") == text.count("  loss      ") == 1


def test_nothing_of_the_picture_is_left_at_the_end(
    terminal: Terminal, clock: Clock, finished: list[dict[str, Any]]
):
    """Only the lines that stay remain, and the cursor is below them."""
    player = Player(terminal, clock)
    player.play(finished)
    assert player.close().splitlines() == [
        "  ✓ fetch  9.50s",
        "  ⚠ 1 row is longer than 1024 tokens and was dropped",
        "  ✓ prepare  183 documents, 14\u2009210 tokens  1.80s",
        "  ✓ train  7m 20s",
        "  ✓ publish  3.00s",
        "",
    ]
    assert terminal.screen.column == 0


def test_it_draws_at_most_four_times_a_second(
    terminal: Terminal, clock: Clock, finished: list[dict[str, Any]]
):
    """However many events come."""
    player = Player(terminal, clock)
    player.play(finished[:100], seconds=0.01)  # one second
    assert terminal.raw.count("\x1b[J") <= 5 + 3  # the pictures, and the three lines that stay


def test_it_draws_once_a_second_when_nothing_happens(terminal: Terminal, clock: Clock):
    """Times go on; there is no other reason to draw."""
    player = Player(terminal, clock)
    player.play([{"t": "run", "name": "r-1"}])
    terminal.raw = ""
    for _ in range(100):
        clock.now += 0.1
        player.view.tick()
        terminal.read()
    assert 8 <= terminal.raw.count("\x1b[J") <= 10


def test_nothing_is_drawn_before_the_run_has_a_name(terminal: Terminal, clock: Clock):
    """A picture of nothing would only flicker."""
    player = Player(terminal, clock)
    player.play([{"t": "phase", "phase": "x"}])
    assert terminal.raw == ""


def test_each_picture_is_one_write(terminal: Terminal, clock: Clock, replay: ModuleType):
    """So that no half of one is ever seen: lines are overwritten, the screen is never cleared."""
    player = Player(terminal, clock)
    player.play(replay.finished()[:150])
    assert "\x1b[2J" not in terminal.raw
    assert "\x1b[?25l" not in terminal.raw  # a killed monitor would leave the cursor hidden


@pytest.mark.parametrize("width", [20, 40, 60, 120])
def test_it_follows_the_size_of_the_window(
    terminal: Terminal, clock: Clock, finished: list[dict[str, Any]], width: int
):
    """The next picture after a change fits, also without an event, and leaves a column free."""
    player = Player(terminal, clock)
    player.play(finished[:150])
    terminal.resize(width, 30)
    clock.now += 0.3
    player.view.tick()
    text = terminal.read()
    lines = CODES.sub("", text).replace("\r", "").split("\n")
    assert max(len(line) for line in lines) < width
    assert len(lines) == 14


def test_a_narrower_window_breaks_lines_and_they_are_erased_too(terminal: Terminal):
    """A line of 80 cells takes two rows of 50: the cursor goes up by the rows there are now."""
    terminal.resize(100, 24)
    region = Region(terminal.stream, lambda lines: [str(line) for line in lines])
    region.draw(["a" * 80, "b" * 20, "c" * 50], [80, 20, 50])
    terminal.read()
    terminal.resize(50, 24)
    region.draw(["x"], [1])
    assert terminal.read().startswith("\r\x1b[3A")


def test_a_stream_without_a_size_is_80_columns(tmp_path: Path):
    """``mode = "live"`` may be forced where there is no terminal."""
    with (tmp_path / "out").open("w") as stream:
        region = Region(stream, lambda lines: [str(line) for line in lines])
        assert region.size() == (79, 23)


def test_foreign_text_cannot_reach_the_terminal(terminal: Terminal, clock: Clock):
    """Answers, names and warnings with escape codes: the terminal gets none of them."""
    bad = "\x1b[2J\x1b]52;c;ZXZpbA==\x07 \x9b5A\r\n[link=x]y[/link]"
    player = Player(terminal, clock, verbosity=1)
    player.play([
        {"t": "run", "name": f"r{bad}", "model": bad},
        {"t": "stage", "stage": bad, "status": "started"},
        {"t": "phase", "phase": bad},
        {"t": "warning", "text": bad},
        {"t": "stage", "stage": bad, "status": "finished", "seconds": 2.0},
        {"t": "sample", "step": 0, "prompt": bad, "answer": bad},
    ])  # fmt: skip
    left = re.sub(r"\x1b\[(?:\d+A|K|J|[\d;]*m)", "", terminal.raw)
    assert not {c for c in left if not c.isprintable()} - {"\r", "\n", "\u2009"}
    assert "[link=x]y[/link]" in left


def test_without_colour_there_are_no_styles(
    terminal: Terminal, clock: Clock, finished: list[dict[str, Any]]
):
    """The words say the same."""
    player = Player(terminal, clock, color=False)
    player.play(finished[:150])
    assert not re.search(r"\x1b\[[\d;]*m", terminal.raw)
    assert "Ctrl-C saves and stops" in terminal.screen.text


def test_ascii_terminals_get_ascii(
    terminal: Terminal, clock: Clock, finished: list[dict[str, Any]]
):
    """Also from a model's answer."""
    terminal.stream.reconfigure(encoding="ascii")  # type: ignore[attr-defined]
    player = Player(terminal, clock, symbols=ASCII)
    player.play(finished[:150])
    player.play([{"t": "warning", "text": "“sí” 模型"}] * 2)
    terminal.read()
    assert terminal.raw.isascii()
    assert "?s?? ??" in terminal.raw


def test_details_stay_with_more_verbosity(
    terminal: Terminal, clock: Clock, finished: list[dict[str, Any]]
):
    """Phases, evaluations, checkpoints and short stages leave a line each."""
    player = Player(terminal, clock, verbosity=1)
    more = [{"t": "stage", "stage": "quick", "status": "finished"}, {"t": "note", "text": "hm"}]
    player.play([*finished, *more])
    text = player.close()
    for words in (
        "phase     tokenise",
        "eval      1.860 @80",
        "saved     step 200",
        "✓ quick",
        "  hm",
    ):
        assert words in text


def test_a_repeated_warning_stays_once(terminal: Terminal, clock: Clock):
    """The foot counts it."""
    player = Player(terminal, clock)
    player.play([{"t": "run", "name": "r-1"}, *[{"t": "warning", "text": "slow disk"}] * 3])
    assert terminal.screen.text.count("slow disk") == 1
    assert "⚠ 3 warnings" in terminal.screen.text


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_real_process_shows_a_whole_run(terminal: Terminal, width: int):
    """In its own process, on a terminal, with a growing file: the summary is what is left."""
    terminal.resize(width, 30)
    terminal.screen = Screen(width, 30)
    environ = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    with subprocess.Popen(
        [sys.executable, str(REPLAY), "--speed", "300"],
        stderr=terminal.slave,
        env=environ
        | {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"},
    ) as process:
        while process.poll() is None:
            terminal.read(0.1)
    terminal.read(0.1)
    assert process.returncode == 0
    text = terminal.screen.text
    assert "Ctrl-C saves" not in text
    assert text.count("✓ quickstart-1 finished in 7m 35s") == 1
    assert "eval      2.950 → 1.434" in text
    assert text.rstrip().endswith('"Hello"')
    assert "Ctrl-C saves and stops" in terminal.raw
    assert "\x1b[36m" in terminal.raw  # cyan: a terminal gets colour
