"""Writes a run's events as TensorBoard event files, with TensorBoard's own writer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from llamahome_core import MonitorContext
from llamahome_monitors.config import TensorboardConfig
from llamahome_monitors.format import clean
from llamahome_monitors.state import seconds_of

_FLUSH = 5  # seconds

_TAGS: dict[str, dict[str, str]] = {
    "train": {
        "loss": "train/loss",
        "lr": "train/lr",
        "grad_norm": "train/grad_norm",
        "epoch": "train/epoch",
        "tokens": "train/tokens",
        "tokens_trained": "train/tokens_trained",
        "tok_s": "perf/tok_s",
        "step_s": "perf/step_s",
        "memory": "mem/now",
        "memory_peak": "mem/peak",
    },
    "eval": {"loss": "eval/loss", "ppl": "eval/ppl"},
    "checkpoint": {"seconds": "perf/checkpoint_s"},
}


class TensorboardMonitor:
    """One event file for each session of a run, written from the run's first event on.

    A resumed run's file starts with a session log of step 0, which makes TensorBoard forget the
    files before it: so no point is missing and none is there twice, whatever became of the
    monitor of the session before.
    """

    whole_run = True

    def __init__(self, config: TensorboardConfig, context: MonitorContext) -> None:
        number = f"-{context.number}" if context.number > 1 else ""
        folder: Path = config.folder or context.directory / f"tensorboard{number}"
        self._writer = EventFileWriter(str(folder), flush_secs=_FLUSH)
        self._prompts: dict[str, int] = {}
        self._write(0, 0.0, session_log=SessionLog(status=SessionLog.START))

    def handle(self, event: Mapping[str, Any]) -> None:
        """Write what *event* says as scalars or text."""
        step, time = int(event.get("step") or 0), seconds_of(event.get("time")) or 0.0
        kind = str(event.get("t"))
        if kind == "rewind":
            # TensorBoard drops what it has of this step and later ones.
            self._write(step + 1, time, session_log=SessionLog(status=SessionLog.START))
        values = list(self._texts(event) if kind == "sample" else _scalars(kind, event))
        if values:
            self._write(step, time, summary=Summary(value=values))

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _write(self, step: int, time: float, **what: Any) -> None:
        self._writer.add_event(Event(step=step, wall_time=time, **what))

    def _texts(self, event: Mapping[str, Any]) -> Iterator[Summary.Value]:
        prompt, answer = clean(event.get("prompt")), clean(event.get("answer"))
        number = self._prompts.setdefault(prompt, len(self._prompts) + 1)
        # Indented text is code in Markdown: shown as it is.
        text = f"    {prompt}\n\n    {answer}".encode()
        yield Summary.Value(
            tag=f"samples/{number}",
            metadata=create_summary_metadata(display_name=prompt[:80], description=""),
            tensor=TensorProto(dtype=DT_STRING, string_val=[text]),
        )


def _scalars(kind: str, event: Mapping[str, Any]) -> Iterator[Summary.Value]:
    for name, tag in _TAGS.get(kind, {}).items():
        value = event.get(name)
        if isinstance(value, int | float):
            yield Summary.Value(tag=tag, simple_value=value)
