"""The live view on a pseudo-terminal: calm, in place, nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from llamahome_monitors import live
from llamahome_monitors.format import ASCII, UNICODE
from llamahome_monitors.live import LiveView
from llamahome_monitors.region import Region
from llamahome_monitors.state import RunState

if TYPE_CHECKING:
    from tests.unit.monitors.conftest import Terminal

REPLAY = Path(__file__).with_name("replay.py")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_795_000_000.0 + self.now


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
    lines = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", text).replace("\r", "").split("\n")
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


@pytest.mark.parametrize("front", [True, False])
def test_after_a_pause_the_screen_is_drawn_anew(
    terminal: Terminal,
    clock: Clock,
    finished: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    front: bool,
):
    """Ctrl-Z, then `fg`: what the shell wrote goes; with `bg` the screen is the shell's."""
    monkeypatch.setattr(Region, "in_front", lambda _: front)
    player = Player(terminal, clock)
    player.play(finished[:150])
    terminal.screen.feed("\n[1]+  Stopped\n$ fg\n")
    player.view.continued()
    clock.now += 0.3
    player.view.tick()
    assert terminal.read().startswith("\x1b[H\x1b[2J") is front
    if front:
        assert "Stopped" not in terminal.screen.text
        assert terminal.screen.text.count("quickstart-1") == 1


def test_a_smaller_window_is_drawn_anew(
    terminal: Terminal,
    clock: Clock,
    finished: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
):
    """How a terminal breaks the old lines is its own affair."""
    monkeypatch.setattr(Region, "in_front", lambda _: True)
    player = Player(terminal, clock)
    player.play(finished[:150])
    terminal.resize(60, 24)
    clock.now += 0.3
    player.view.tick()
    assert terminal.read().startswith("\x1b[H\x1b[2J")
    terminal.resize(90, 24)
    clock.now += 0.3
    player.view.tick()
    assert "\x1b[2J" not in terminal.read()
