"""Runs each monitor in a process of its own, where it can neither slow a run nor break it.

The run starts ``python -m llamahome_core.monitor_process`` for each monitor, tells it in one line
of JSON what to build, and keeps the pipe open: when it closes, the run has gone or wants no more.
The child follows ``events.jsonl`` by byte offset; nothing ever flows back to the run.

Besides the methods of :class:`~llamahome_core.Monitor`, a monitor may have two things:

``tick()``
    Called about ten times a second, after the new events, if any. For what changes with time.
``whole_run = True``
    It is given the run from its first event, not from where this session resumed.

A settings class with ``terminal: ClassVar[bool] = True`` says that its monitor writes to the
terminal; the output of all others goes to their log file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from attrs import define, field

from llamahome_core.components import Ref
from llamahome_core.monitor_process import DISABLED, DONE, EVENTS, SIGNALS
from llamahome_core.secrets import read_secret, redact, references
from llamahome_core.terminal import RESULTS

_LOOK = 1.0  # seconds between two looks at the processes
_PIPE = 60_000  # bytes that a pipe surely takes without a reader


class Log(Protocol):
    """A logger of structlog or of the standard library."""

    def warning(self, event: str, /) -> Any:
        """Log *event*."""


@define
class _Child:
    """A monitor's process and the pipe that tells it that its run is there."""

    name: str
    selection: Any
    owner: str
    log: Path
    process: subprocess.Popen[bytes]
    pipe: IO[bytes]
    terminal: bool
    told: bool = False

    def let_go(self) -> None:
        """Say that no more events come. A byte, because a fork of the run may hold the pipe."""
        with suppress(OSError):
            self.pipe.write(b".")
        with suppress(OSError):
            self.pipe.close()

    def reap(self, deadline: float) -> str | None:
        """Wait until *deadline*, then kill; what to tell the user, if anything."""
        try:
            code = self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return "did not end in time and was stopped"
        return self.trouble(code)

    @staticmethod
    def trouble(code: int | None) -> str | None:
        """What the exit *code* of a process says; None of one that goes on or did its work."""
        if code is None or code == DONE:
            return None
        if code == DISABLED:
            return "was disabled after an error"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def told_of(self, trouble: str) -> str:
        """The monitor, whose it is, and its *trouble*, for people."""
        return f"monitor {self.name!r}{self.owner} {trouble}; see {self.log}"

    def kill(self) -> None:
        """Leave nothing behind."""
        with suppress(ProcessLookupError, PermissionError):  # what it started goes with it
            if not self.terminal:
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.pipe.close()


@define
class Monitors:
    """The monitors of one run; whatever they do, no method here raises or waits for long.

    Attributes:
        selections: The monitors that the recipe chose.
        directory: The run's folder, which holds ``events.jsonl`` and ``log/``.
        log: Told of monitors that failed.
        offset: Where the events of this session start, in bytes; if it is not given, where the
            file ends when the monitors start.
        secret: Finds the secret that a reference in their settings names.
        hidden: Variables that their processes do not have: those that hold the run's secrets.
    """

    selections: Sequence[Any]
    directory: Path
    log: Log
    offset: int | None = None
    secret: Callable[[str], str] = lambda name: read_secret(name, os.environ.get)
    hidden: Collection[str] = ()
    _children: list[_Child] = field(init=False, factory=list)
    _looked: float = field(init=False, default=0.0)

    def start(self) -> None:
        """Start a process for each monitor; one that cannot start is a warning."""
        seen: Counter[str] = Counter()
        if self.offset is None:
            events = self.directory / EVENTS
            self.offset = events.stat().st_size if events.exists() else 0
        for selection in self.selections:
            short = selection.name.rpartition(":")[2]
            seen[short] += 1
            number = seen[short]
            name = selection.name if number == 1 else f"{selection.name}-{number}"
            try:
                self._children.append(self._spawn(name, selection, number))
            except Exception as error:  # noqa: BLE001  # a monitor never stops a run
                message = f"monitor {name!r}{_of(selection)} could not be started: {error}"
                self.log.warning(message)

    def died(self) -> Iterator[tuple[Any, str]]:
        """The selection of each monitor that died since the last call, and what became of it.

        It looks at most once a second: the run asks at each event.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        for child in self._children:
            if not child.told and (trouble := child.trouble(child.process.poll())):
                child.told = True
                yield child.selection, child.told_of(trouble)

    def close(self, timeout: float = 10.0) -> None:
        """Let the monitors read to the end and wait for them; kill those that take longer.

        Args:
            timeout: Seconds for all of them together.
        """
        deadline = time.monotonic() + timeout
        children, self._children = self._children, []
        try:
            for child in children:
                child.let_go()
            for child in children:
                if (trouble := child.reap(deadline)) and not child.told:
                    self.log.warning(child.told_of(trouble))
        finally:
            for child in children:
                child.kill()
                _cover(child.log)

    def _spawn(self, name: str, selection: Any, number: int) -> _Child:
        from llamahome_core.config import unstructure

        order = {
            "name": f"monitor {name!r}{_of(selection)}",
            "factory": selection.component.factory.path,
            "config": _path_of(type(selection.config)),
            "settings": unstructure(selection.config),
            # Only a pipe holds them: no argument, no variable of the process, no file.
            "secrets": {name: self.secret(name) for name in references(selection.config)},
            "directory": str(self.directory),
            "number": number,
            "log": str(self.directory / "log" / f"monitor-{name}.log"),
            "offset": self.offset,
            "run": os.getpid(),
            "terminal": getattr(selection.config, "terminal", False),
        }
        line = json.dumps(order).encode() + b"\n"
        if len(line) > _PIPE:
            raise ValueError(f"its settings take {len(line)} bytes; {_PIPE} is the most")
        Ref(order["config"])
        process = _popen(Path(order["log"]), self.hidden, terminal=order["terminal"])
        assert process.stdin is not None  # noqa: S101  # it was started with one
        with suppress(BrokenPipeError):  # it has died already: close() tells
            process.stdin.write(line)
        log, terminal = Path(order["log"]), order["terminal"]
        return _Child(name, selection, _of(selection), log, process, process.stdin, terminal)


def _of(selection: Any) -> str:
    """Whose it is, for messages."""
    return f" of plugin {selection.plugin!r} ({selection.origin or 'unknown'})"


def _cover(log: Path) -> None:
    """Take out of a monitor's log what it printed of its secrets."""
    with suppress(OSError):
        text = log.read_text(encoding="utf-8", errors="surrogateescape")
        if (covered := redact(text)) != text:
            log.write_text(covered, encoding="utf-8", errors="surrogateescape")


def _path_of(thing: type) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _popen(log: Path, hidden: Collection[str], *, terminal: bool) -> subprocess.Popen[bytes]:
    """Start a child with the signals of the terminal blocked, until it ignores them by itself."""
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109  # text, not a Path
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with nullcontext() if terminal else log.open("ab") as output:
            return subprocess.Popen(
                # -P: the working directory is searched only where this process searches it.
                [sys.executable, "-P", "-m", "llamahome_core.monitor_process"],
                stdin=subprocess.PIPE,
                stdout=RESULTS.get() if terminal else output,
                stderr=output,
                bufsize=0,
                env={k: v for k, v in os.environ.items() if k not in hidden} | {"PYTHONPATH": path},
                start_new_session=not terminal,
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
