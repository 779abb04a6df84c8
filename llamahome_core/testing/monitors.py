"""Contract of monitors, and the events of a made-up run to feed them with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llamahome_core import Monitor

_RUN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("run", {"name": "a-1", "status": "started", "recipe": "a", "model": "m", "pid": 1}),
    ("stage", {"stage": "fetch", "status": "started"}),
    ("phase", {"phase": "fetching the model"}),
    ("progress", {"phase": "fetching the model", "done": 1, "total": None}),
    ("progress", {"phase": "fetching the model", "done": 10, "total": 10}),
    ("stage", {"stage": "fetch", "status": "finished", "seconds": 0.5}),
    ("data.format", {"source": "a.jsonl", "format": "messages"}),
    ("data", {"rows": 2, "documents": 2, "tokens": 9, "trained_tokens": 4, "dropped": {}}),
    ("parameters", {"total": 100, "trained": 10, "device": "cpu", "precision": "fp32"}),
    ("eval", {"step": 0, "loss": 2.0, "ppl": 7.4, "tokens": 4, "best": True}),
    ("sample", {"step": 0, "prompt": "Hi?", "answer": "\x1b[2J né 你好"}),
    ("train", {"step": 1, "steps": 2, "epoch": 0.5, "loss": 2.0, "lr": 0.1, "grad_norm": 1.0}),
    ("train", {"step": 2, "steps": 2, "loss": None, "grad_norm": None, "nonfinite": ["loss"]}),
    ("warning", {"text": "mind the step"}),
    ("checkpoint", {"step": 2, "path": "checkpoints/2", "seconds": 0.1, "reason": "end"}),
    ("rewind", {"step": 1}),
    ("stopping", {"signal": "SIGINT"}),
    ("published", {"label": "a:v1", "tags": [], "digest": "sha256:0", "parts": {}, "size": 1}),
    ("end", {"status": "finished", "seconds": 1.0, "metrics": {"loss": 2.0}, "next": []}),
)


def events() -> Iterator[dict[str, Any]]:
    """The events of a run, one of each kind at least, as ``events.jsonl`` has them."""
    for number, (kind, fields) in enumerate(_RUN):
        time = f"2026-01-02T03:04:{number:02}.000+00:00"
        yield {"schema": "llamahome.event/1", "time": time, "t": kind, **fields}


class MonitorContract:
    """What every monitor keeps to: give the fixture ``monitor``, a new one.

    Its factory gets ``MonitorContext(directory=tmp_path)``.
    """

    @pytest.fixture
    def monitor(self) -> Monitor:
        """The monitor; the author's part."""
        raise NotImplementedError("give a fixture `monitor`")

    def test_it_takes_every_event_of_a_run(self, monitor: Monitor) -> None:
        """And changes none of them: they are handed to nobody else, but may be kept."""
        for event in events():
            before = json.dumps(event)
            monitor.handle(event)
            assert json.dumps(event) == before
        monitor.close()

    def test_it_passes_over_what_it_does_not_know(self, monitor: Monitor) -> None:
        """Kinds of plugins and of later versions come; fields may be missing, and new."""
        for event in events():
            head = {key: event[key] for key in ("schema", "time", "t")}
            for other in (head, event | {"new": {"deep": [1]}}, event | {"t": "acme.note"}):
                monitor.handle(other)
        monitor.handle({"t": "acme.note", "schema": "llamahome.event/1", "time": ""})
        monitor.close()

    def test_it_can_be_closed_before_anything_happened(self, monitor: Monitor) -> None:
        """A run may end at once."""
        monitor.close()

    def test_it_may_be_asked_to_tick_at_any_time(self, monitor: Monitor) -> None:
        """If it wants to be: before the first event, between events, after the last."""
        tick = getattr(monitor, "tick", lambda: None)
        tick()
        for event in events():
            monitor.handle(event)
            tick()
        monitor.close()
