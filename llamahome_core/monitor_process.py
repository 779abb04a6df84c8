"""The process that one monitor lives in; see :mod:`llamahome_core.monitoring`."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from llamahome_core.components import Ref
from llamahome_core.secrets import covering, redact, reveal
from llamahome_core.terminal import flush

DISABLED = 3
"""Exit code of a monitor that failed too often."""
DONE = 4
"""Exit code of a monitor that read to the end: 0 is what code of its own may exit with."""
EVENTS = "events.jsonl"
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
"""What is ignored here: the run tells of them in its events."""

_FAILURES = 3  # in a row, before a monitor is disabled
_POLL = 0.1  # seconds between two looks at the file
_ORPHAN = 60.0  # seconds that a monitor may go on after its run has gone
_LOGGED = 100  # tracebacks kept of one monitor: a log must not grow as fast as the events
_LOG_SIZE = 2**20  # bytes of a monitor's log, in all sessions of a run
_NOTED = 2**13  # characters of one note; a log is cut to what leaves room for some
_NICENESS = 10


@frozen(kw_only=True)
class MonitorContext:
    """What a monitor's factory is given instead of a run's context.

    Attributes:
        directory: The run's folder.
        number: Which of the run's monitors of its name it is, from 1: for files of its own.
    """

    directory: Path
    number: int = 1


@define
class Tail:
    """Reads the whole lines that were appended to a file since the last time.

    Attributes:
        path: The file; it need not be there yet.
        offset: Bytes read so far: up to and including a newline.
    """

    path: Path
    offset: int = 0

    def lines(self) -> Iterator[bytes]:
        """The new lines; a last one without its newline is not there yet."""
        try:
            if self.path.stat().st_size <= self.offset:
                return
        except FileNotFoundError:
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                yield line


@define
class _Follower:
    """Feeds the events of a run to one monitor and counts its failures."""

    monitor: Any
    tail: Tail
    session: int
    log: Path
    name: str = "the monitor"
    _process: int = field(init=False, factory=os.getpid)
    _in_a_row: int = field(init=False, default=0)
    _failures: int = field(init=False, default=0)

    def follow(self, gone: threading.Event, run: int) -> int:
        """Go on until the run ends or is gone; the exit code."""
        tick = getattr(self.monitor, "tick", None)
        over = False
        while not over and self._in_a_row < _FAILURES:
            # Asked before reading: all that a run wrote before it went is read.
            over = gone.is_set() or os.getppid() != run
            over = self._feed() or over
            if tick is not None and not over and self._in_a_row < _FAILURES:
                self._guard(tick)
            if not over:
                gone.wait(_POLL)
        disabled = self._in_a_row >= _FAILURES
        closed = self._guard(self.monitor.close)
        if disabled:
            return DISABLED
        return DONE if closed else 1

    def _feed(self) -> bool:
        """Hand over the new events; whether this session's ``end`` was among them."""
        for line in self.tail.lines():
            event = _parse(line)
            if event is None:
                self._failed(f"not an event, at byte {self.tail.offset - len(line)}: {line!r:.200}")
                continue
            if self._guard(self.monitor.handle, event):
                self._in_a_row = 0
            if self._in_a_row >= _FAILURES:
                return False
            if event.get("t") == "end" and self.tail.offset > self.session:
                return True
        return False

    def _guard(self, call: Callable[..., Any], *arguments: Any) -> bool:
        try:
            call(*arguments)
        except (Exception, SystemExit):  # noqa: BLE001  # whatever it raises harms it alone
            self._in_a_row += 1
            self._failed(_traceback(self.name))
            return False
        finally:
            if os.getpid() != self._process:  # a copy: it would follow, and copy itself, as well
                os._exit(0)
        return True

    def _failed(self, text: str) -> None:
        self._failures += 1
        if self._failures <= _LOGGED:
            _note(self.log, text)


def _parse(line: bytes) -> Mapping[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _traceback(name: str) -> str:
    import traceback  # most monitors never need it

    return f"{name} failed\n{traceback.format_exc()}"


def _note(log: Path, text: str) -> None:
    """Append to the log, if that is possible at all."""
    from datetime import UTC, datetime

    with suppress(OSError), log.open("a", encoding="utf-8", errors="backslashreplace") as file:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(f"{now} {redact(text.rstrip())[-_NOTED:]}\n")


def _limit(log: Path | None) -> None:
    """Cut a log that is too long, and let what is printed from then on go nowhere."""
    with suppress(OSError):
        if log is None or log.stat().st_size <= _LOG_SIZE:
            return
        os.truncate(log, _LOG_SIZE - 8 * _NOTED)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nowhere, number)
        os.close(nowhere)
        _note(log, "this log was cut here: the monitor prints too much")


def _read_order() -> tuple[dict[str, Any], bool]:
    """What to build, and whether the run is over already."""
    data = b""
    while b"\n" not in data:
        chunk = os.read(0, 65536)
        if not chunk:
            raise EOFError("the run went away before it said what to do")
        data += chunk
    line, _, rest = data.partition(b"\n")
    return json.loads(line), bool(rest)


def _watch(gone: threading.Event, log: Path | None) -> None:
    """Notice that the pipe was closed; a monitor that hangs must not outlive its run for long.

    Args:
        gone: Set when the run wants no more.
        log: Where what the monitor prints goes, to be kept small; None if it is a terminal.
    """
    end: float | None = None
    while end is None or time.monotonic() < end:
        if end is not None:
            time.sleep(_POLL)
        elif select.select([0], [], [], _POLL)[0]:
            gone.set()
            end = time.monotonic() + _ORPHAN
        _limit(log)
    os._exit(DISABLED)


def _build(order: Mapping[str, Any]) -> Any:
    from llamahome_core.config import ConfigError, structure

    config, problems = structure(order["settings"], Ref(order["config"]).load())
    if problems:
        raise ConfigError(problems)
    config = reveal(config, order["secrets"].__getitem__)
    context = MonitorContext(directory=Path(order["directory"]), number=order["number"])
    monitor = Ref(order["factory"]).load()(config, context)
    if missing := [name for name in ("handle", "close") if not hasattr(monitor, name)]:
        raise TypeError(f"{monitor!r:.200} is no Monitor: it lacks {', '.join(missing)}")
    return monitor


def _main() -> int:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.nice(_NICENESS)
    order, over = _read_order()
    gone = threading.Event()
    if over:
        gone.set()
    log = Path(order["log"])
    printed = None if order["terminal"] else log
    threading.Thread(target=_watch, args=[gone, printed], daemon=True).start()
    for name in () if order["terminal"] else ("stdout", "stderr"):
        setattr(sys, name, covering(getattr(sys, name)))
    try:
        monitor = _build(order)
    except (Exception, SystemExit):  # noqa: BLE001  # told in the log
        _note(log, _traceback(order["name"]))
        return DISABLED
    start = 0 if getattr(monitor, "whole_run", False) else order["offset"]
    tail = Tail(Path(order["directory"]) / EVENTS, start)
    code = _Follower(monitor, tail, order["offset"], log, order["name"]).follow(gone, order["run"])
    _limit(printed)
    for stream in (sys.stdout, sys.stderr):
        flush(stream)
    return code


if __name__ == "__main__":
    sys.exit(_main())
