"""The figures of training: what a ``train`` event says, and how long a step took."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
from attrs import define, field

from llamahome_core import Context


@define
class Recorder:
    """Collects the steps of one log interval and writes one event for them.

    Evaluation, samples and checkpoints are outside a step and so outside its time.
    """

    context: Context
    total: int
    _steps: list[dict[str, Any]] = field(init=False, factory=list)
    # Kept: making one reads more files than asking it does.
    _process: psutil.Process = field(init=False, factory=psutil.Process)
    _seconds: float = 0.0
    _done: int = 0

    def flush(self) -> None:
        """Write what there is of the interval: a pause or a checkpoint comes."""
        if self._steps:
            self._write_event()

    @contextlib.contextmanager
    def step(self) -> Iterator[dict[str, Any]]:
        """Time one step; fill in the record."""
        started = time.perf_counter()
        record: dict[str, Any] = {}
        yield record
        record["step_s"] = time.perf_counter() - started
        self._steps.append(record)

    def write(self) -> None:
        """Write an event if the interval is full."""
        if len(self._steps) >= self.context.recipe.train.log_every:
            self.flush()

    def _write_event(self) -> None:
        records, self._steps = self._steps, []
        seconds = sum(r["step_s"] for r in records)
        tokens = sum(r["num_tokens"] for r in records)
        targets = sum(r["num_targets"] for r in records)
        self._seconds, self._done = self._seconds + seconds, self._done + len(records)
        last = records[-1]
        left = self.total - last["step"]
        self.context.events.emit(
            "train",
            step=last["step"],
            steps=self.total,
            epoch=round(last["epoch"], 4),
            loss=sum(r["loss"] * r["num_targets"] for r in records) / max(targets, 1),
            lr=last["lr"],
            grad_norm=last["grad_norm"],
            applied=all(r["applied"] for r in records),
            tok_s=round(tokens / seconds, 1),
            tokens=last["tokens"],
            tokens_trained=last["tokens_trained"],
            step_s=round(seconds / len(records), 4),
            eta_s=round(left * self._seconds / self._done, 1),
            memory=self._process.memory_info().rss,
            memory_peak=peak(),
        )


def peak() -> int:
    """The most bytes that it ever had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
