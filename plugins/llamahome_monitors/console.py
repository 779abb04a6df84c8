"""The monitor ``console``: chooses a view for the terminal and ends with a summary."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from attrs import define, field

from llamahome_core import MonitorContext
from llamahome_monitors.config import ConsoleConfig
from llamahome_monitors.format import symbols_for
from llamahome_monitors.plain import PlainView
from llamahome_monitors.state import RunState

_FILE_WIDTH = 100  # for a summary that goes to a file


class View(Protocol):
    """Shows events while a run goes on."""

    def show(self, event: Mapping[str, Any]) -> None:
        """Take an event; the state knows it already."""

    def tick(self) -> None:
        """Show what changes with time."""

    def close(self) -> None:
        """No more events come."""


class NoView:
    """Shows nothing before the summary."""

    def show(self, event: Mapping[str, Any]) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@define
class JsonMonitor:
    """Writes each event as one line of JSON: standard output is the result.

    Attributes:
        stream: Where to; once nobody reads it, nothing more is written.
    """

    stream: TextIO
    _read: bool = field(init=False, default=True)

    def handle(self, event: Mapping[str, Any]) -> None:
        """Write *event* as it is in ``events.jsonl``."""
        if not self._read:
            return
        utf8 = (self.stream.encoding or "").lower().replace("-", "") == "utf8"
        try:
            print(json.dumps(event, ensure_ascii=not utf8), file=self.stream, flush=True)
        except BrokenPipeError:
            self._read = False

    def close(self) -> None:
        """Every line is written already."""


@define
class ConsoleMonitor:
    """Folds the events into a state, lets a view show it, and prints the summary.

    Attributes:
        stream: Where the view and the summary go: standard error.
        state: The run so far.
        view: Shows it.
        directory: The run's folder.
        color: Whether to colour.
        verbosity: From -2, nothing, to 2.
    """

    stream: TextIO
    state: RunState
    view: View
    directory: Path
    color: bool = False
    verbosity: int = 0
    _closed: bool = field(init=False, default=False)

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        self.state.apply(event)
        self.view.show(event)

    def tick(self) -> None:
        """Let the view show what changes with time."""
        self.view.tick()

    def close(self) -> None:
        """Print the summary."""
        self.view.close()
        if self.verbosity >= -1 and self.state.run:
            self._summarise()

    def _summarise(self) -> None:
        # rich costs half of what this process takes to start: not before it is needed.
        from llamahome_monitors.live import console_for
        from llamahome_monitors.summary import Summary

        summary = Summary(
            state=self.state,
            directory=self.directory,
            width=_width(self.stream),
            symbols=symbols_for(self.stream.encoding),
            hints=self.verbosity >= 0,
        )
        console = console_for(self.stream, color=self.color)
        for line in summary.lines():
            console.print(line, soft_wrap=True)


def make_console(config: ConsoleConfig, context: MonitorContext) -> JsonMonitor | ConsoleMonitor:
    """The console that *config* asks for, on this process's standard streams."""
    if config.mode == "json":
        return JsonMonitor(sys.stdout)
    stream, state = sys.stderr, RunState()
    _never_fail(stream)
    tty = stream.isatty()
    color = wants_color(config.color, os.environ, tty=tty)
    view = _view(config, stream, state, color=color, tty=tty)
    return ConsoleMonitor(stream, state, view, context.directory, color, config.verbosity)


def _view(
    config: ConsoleConfig, stream: TextIO, state: RunState, *, color: bool, tty: bool
) -> View:
    mode = config.mode
    if mode == "auto":
        mode = "live" if tty and os.environ.get("TERM") != "dumb" else "plain"
    if mode == "none" or config.verbosity < 0:
        return NoView()
    if mode == "plain":
        return PlainView(stream, state, config.verbosity)
    from llamahome_monitors.live import LiveView

    view = LiveView(stream, state, symbols_for(stream.encoding), color, config.verbosity)
    signal.signal(signal.SIGCONT, view.continued)
    return view


def wants_color(setting: str, environ: Mapping[str, str], *, tty: bool) -> bool:
    """Whether to colour: the setting, ``FORCE_COLOR``, ``NO_COLOR``, ``TERM``, the terminal."""
    if setting != "auto":
        return setting == "always"
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] != "0"
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return tty


def _width(stream: TextIO) -> int:
    """Cells of a line, one less than the terminal has, so that nothing wraps."""
    if not stream.isatty():
        return _FILE_WIDTH
    try:
        return max(20, os.get_terminal_size(stream.fileno()).columns - 1)
    except OSError:
        return shutil.get_terminal_size().columns - 1


def _never_fail(stream: TextIO) -> None:
    """A sign that the terminal's encoding lacks becomes a question mark, not an error."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
