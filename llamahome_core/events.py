"""A run's events: one JSON line each, appended by the run, read by everybody else.

The file is the truth; the terminal, TensorBoard and the studio are viewers of it. A reader's
cursor is a byte offset, and a torn last line is not there yet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from attrs import define, field

from llamahome_core.files import LineWriter

SCHEMA = "llamahome.event/1"


class Emitter(Protocol):
    """Takes events."""

    def emit(self, kind: str, **fields: Any) -> None:
        """Record that something of *kind* happened."""


def _finite(fields: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """JSON has no NaN: such values become null and are named in ``nonfinite``."""
    bad = [k for k, v in fields.items() if isinstance(v, float) and not math.isfinite(v)]
    return {k: None if k in bad else v for k, v in fields.items()}, bad


def encode(kind: str, fields: dict[str, Any]) -> str:
    """One event as a line of JSON, with the schema, the time (UTC, ISO 8601) and the kind."""
    values, bad = _finite(fields)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    event: dict[str, Any] = {"schema": SCHEMA, "time": now}
    event |= {"t": kind, **values} | ({"nonfinite": bad} if bad else {})
    return json.dumps(event, ensure_ascii=False, allow_nan=False, default=str)


@define
class EventLog:
    """Appends events to ``events.jsonl``; 20 µs each, durable at :meth:`sync`."""

    path: Path
    _writer: LineWriter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._writer = LineWriter(self.path)

    def emit(self, kind: str, **fields: Any) -> None:
        """Append an event.

        Args:
            kind: A word of the kernel (``train``) or of a plugin (``myplugin.word``).
            **fields: JSON values; NaN and infinity become null, named in ``nonfinite``.
        """
        self._writer.write(encode(kind, fields))

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

    Yields:
        ``(offset, event)``; the last offset yielded is where to go on later.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield offset, json.loads(line)


def live_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events without those that a resumed run took back: ``rewind`` drops later steps."""
    kept: list[dict[str, Any]] = []
    for _, event in read_events(path):
        if event["t"] == "rewind":
            kept = [e for e in kept if e.get("step", 0) <= event["step"]]
        kept.append(event)
    yield from kept
