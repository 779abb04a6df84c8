"""A run's events: one JSON line each, appended by the run, read by everybody else.

The file is the truth; the terminal, TensorBoard and the studio are viewers of it. A reader's
cursor is a byte offset, and a torn last line is not there yet.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from attrs import define, field

from llamahome_core.files import LineWriter, is_held
from llamahome_core.secrets import redact

SCHEMA = "llamahome.event/1"

Listener = Callable[[dict[str, Any]], object]
"""Is given each event as it is in the file."""


class Emitter(Protocol):
    """Takes events."""

    def emit(self, kind: str, **fields: Any) -> None:
        """Record that something of *kind* happened."""


def _finite(value: Any, name: str, bad: list[str]) -> Any:
    """JSON has no NaN: such a value becomes null, however deep, and its name goes to *bad*.

    A text that holds a secret loses it.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, float) and not math.isfinite(value):
        bad.append(name)
        return None
    if isinstance(value, dict):
        return {k: _finite(v, f"{name}.{k}" if name else str(k), bad) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, f"{name}.{index}", bad) for index, item in enumerate(value)]
    return value


def encode(kind: str, fields: dict[str, Any]) -> str:
    """One event as a line of JSON, with the schema, the time (UTC, ISO 8601) and the kind.

    These win over fields of the same name.
    """
    bad: list[str] = []
    values = _finite(fields, "", bad)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    head: dict[str, Any] = {"schema": SCHEMA, "time": now, "t": kind}
    event = head | values | ({"nonfinite": bad} if bad else {}) | head
    return json.dumps(event, ensure_ascii=False, allow_nan=False, default=_text)


def _text(value: object) -> str:
    return redact(str(value))


@define
class EventLog:
    """Appends events to ``events.jsonl``; 20 µs each, durable at :meth:`sync`.

    Attributes:
        path: The file.
        listener: Called with each event once it is written.
        after: Called after each event; it may emit others, and must be quick.
    """

    path: Path
    listener: Listener | None = None
    after: Callable[[], None] | None = None
    _writer: LineWriter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._writer = LineWriter(self.path)

    def emit(self, kind: str, **fields: Any) -> None:
        """Append an event.

        Args:
            kind: A word of the kernel (``train``) or of a plugin (``myplugin.word``).
            **fields: JSON values; NaN and infinity become null, named in ``nonfinite``.

        Raises:
            StorageError: The disk failed or is full.
        """
        line = encode(kind, fields)
        self._writer.write(line)
        if self.listener is not None:
            self.listener(json.loads(line))  # its own copy, and what a reader of the file has
        if self.after is not None:
            self.after()

    def sync(self) -> None:
        """Make the events so far durable."""
        self._writer.sync()

    def close(self) -> None:
        """Sync and close."""
        self._writer.close()


class NoEvents:
    """Swallows events: for work outside a run, such as a plan."""

    def emit(self, kind: str, **fields: Any) -> None:
        """Do nothing."""


def read_events(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole events from byte *offset* on, each with the offset behind it.

    A line that is no event is passed over: a power cut may leave zeros between two lines, and
    the rest must stay readable.

    Yields:
        ``(offset, event)``; the last offset yielded is where to go on later.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            if (event := _decode(line)) is not None:
                yield offset, event


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("t"), str) else None


def follow_events(
    path: Path,
    offset: int = 0,
    *,
    stop: Callable[[], bool] | None = None,
    poll: float = 0.1,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The events as they come, until the run ends: for another thread or another process.

    Ends behind an ``end`` event that is the last, or when no living process has the run any more:
    then that of a run that was killed is missing.

    Args:
        path: ``events.jsonl`` in the folder of a run.
        offset: Byte offset to begin at, as yielded before.
        stop: Asked before each wait; true ends the following.
        poll: Seconds between two looks at the file.

    Yields:
        ``(offset, event)``, as :func:`read_events` does.
    """
    ended, at = False, offset
    while True:
        # Asked before reading: all that a run wrote before it went is read.
        gone = not is_held(path.parent / ".lock")
        if path.exists():
            for at, event in read_events(path, at):  # noqa: B020  # where to go on
                ended = event["t"] == "end"
                yield at, event
        if ended or gone or (stop is not None and stop()):
            return
        time.sleep(poll)


def live_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events without those that a resumed run took back: ``rewind`` drops later steps."""
    kept: list[dict[str, Any]] = []
    for _, event in read_events(path):
        if event["t"] == "rewind":
            kept = [e for e in kept if _step(e) <= _step(event)]
        kept.append(event)
    yield from kept


def _step(event: dict[str, Any]) -> float:
    step = event.get("step")
    return step if isinstance(step, int | float) else 0
