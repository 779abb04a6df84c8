"""The view for terminals: a few lines that change, and above them what stays."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from attrs import define, field
from rich.console import Console
from rich.text import Text

from llamahome_monitors import format as fmt
from llamahome_monitors.format import Symbols
from llamahome_monitors.frame import Frame
from llamahome_monitors.region import Region
from llamahome_monitors.state import RunState
from llamahome_monitors.words import evaluation, fit, label

_PAUSE = 0.25  # seconds between two pictures
_IDLE = 1.0  # the same while no event comes: only ages and what is left change
_SHORT = 0.5  # a stage that took less is not worth a line


def console_for(stream: TextIO, *, color: bool) -> Console:
    """Rich's console on *stream*, with the sixteen colours that follow the user's theme."""
    return Console(
        file=stream,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        width=10_000,  # lines are fitted before they come here
    )


@define
class LiveView:
    """Draws at most four times a second, and only when there is something new.

    Attributes:
        stream: The terminal.
        state: The run so far, the shown event included.
        symbols: What the terminal can show.
        color: Whether to colour.
        verbosity: From 1 on, phases, evaluations and checkpoints leave a line too.
    """

    stream: TextIO
    state: RunState
    symbols: Symbols
    color: bool = True
    verbosity: int = 0
    _region: Region = field(init=False)
    _console: Console = field(init=False)
    _stay: list[Text] = field(init=False, factory=list)
    _fresh: bool = field(init=False, default=False)
    _drawn: float = field(init=False, default=0.0)
    _size: tuple[int, int] = field(init=False, default=(0, 0))
    _stale: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._console = console_for(self.stream, color=self.color)
        self._region = Region(self.stream, self._render)

    def show(self, event: Mapping[str, Any]) -> None:
        """Remember that there is something new, and what of it shall stay."""
        self._fresh = True
        if (line := self._lasting(event)) is not None:
            self._stay.append(line)

    def continued(self, *_: object) -> None:
        """The handler of SIGCONT: meanwhile the shell has written over the picture."""
        self._fresh = self._stale = True

    def tick(self) -> None:
        """Draw, if it is time."""
        since, size = time.monotonic() - self._drawn, self._region.size()
        waiting = not (self._fresh or size != self._size)
        if since < (_IDLE if waiting else _PAUSE) or not self.state.run:
            return
        smaller = any(now < before for now, before in zip(size, self._size, strict=True))
        if (self._stale or smaller) and self._region.in_front():
            self._region.clear()
        self._stale = False
        self._keep(size[0])
        frame = Frame(
            state=self.state, width=size[0], height=size[1], now=time.time(), symbols=self.symbols
        )
        lines = frame.lines()
        self._region.draw(lines, [line.cell_len for line in lines])
        self._fresh, self._drawn, self._size = False, time.monotonic(), size

    def close(self) -> None:
        """Take the picture away; what stays remains."""
        self._stay.append(Text())
        self._keep(self._region.size()[0])

    def _keep(self, width: int) -> None:
        if self._stay:
            self._region.above([fit(line, width, self.symbols) for line in self._stay])
            self._stay.clear()

    def _render(self, lines: Sequence[object]) -> list[str]:
        rendered = []
        for line in lines:
            with self._console.capture() as capture:
                self._console.print(line, end="", soft_wrap=True)
            rendered.append(capture.get())
        return rendered

    # --- What stays ----------------------------------------------------------------------------

    def _lasting(self, event: Mapping[str, Any]) -> Text | None:
        kind = event.get("t")
        if kind == "warning" and self.state.warnings.get(str(event.get("text"))) == 1:
            line = Text().append(f"  {self.symbols.warning} ", "yellow")
            return line.append(fmt.clean(event.get("text")))
        if kind == "note":
            return Text("    ").append(fmt.clean(event.get("text")), "dim")
        if kind == "stage" and event.get("status") == "finished":
            return self._stage(event)
        return self._detail(event) if self.verbosity > 0 else None

    def _stage(self, event: Mapping[str, Any]) -> Text | None:
        took = event.get("seconds") or 0.0
        if took < _SHORT and self.verbosity < 1:
            return None
        line = Text().append(f"  {self.symbols.good} ", "green")
        line.append(fmt.clean(event.get("stage")))
        data = self.state.data
        if data.get("tokens") and data["stage"] == event.get("stage"):
            tokens = fmt.short(data["tokens"], self.symbols)
            documents = fmt.count(data.get("documents") or data.get("rows") or 0, self.symbols)
            line.append(f"  {documents} documents, {tokens} tokens", "dim")
        return line.append(f"  {fmt.seconds(took)}", "dim")

    def _detail(self, event: Mapping[str, Any]) -> Text | None:
        kind, dim = event.get("t"), "dim"
        if kind == "eval":
            return label("eval").append(evaluation(event), dim)
        if kind == "checkpoint":
            return label("saved").append(f"step {event.get('step')}", dim)
        if kind == "phase":
            return label("phase").append(fmt.clean(event.get("phase")), dim)
        return None
