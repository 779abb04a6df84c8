"""What embedding costs: importing, a kernel, a listener, and the event loop beside a training."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from typing import Any

import pytest

from llamahome_core import EventLog, Kernel, run_async

FIRST = """
import time
started = time.process_time()
from llamahome_core import Kernel
Kernel(environ={})
print(time.process_time() - started)
"""


def test_a_first_kernel_costs_a_quarter_of_a_second():
    """With the import, and that of every declaring plugin; the best of five processes."""
    command = [sys.executable, "-c", FIRST]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(5)]

    assert min(float(run.stdout) for run in runs) < 0.25


def test_another_kernel_costs_a_fortieth_of_a_second(workspace):
    """A service may make one for each request."""
    seconds = []
    for _ in range(20):
        started = time.process_time()
        Kernel(workspace=workspace, environ={})
        seconds.append(time.process_time() - started)

    assert statistics.median(seconds) < 0.025


def test_a_listener_adds_less_than_a_tenth_of_a_millisecond_to_an_event(tmp_path):
    told: list[dict[str, Any]] = []
    logs = [EventLog(tmp_path / "a.jsonl"), EventLog(tmp_path / "b.jsonl", told.append)]
    fields = dict.fromkeys(("loss", "lr", "grad_norm", "tok_s", "step_s", "eta_s"), 1.2345)
    medians = []
    for log in logs:
        seconds = []
        for step in range(2000):
            started = time.process_time()
            log.emit("train", step=step, **fields)
            seconds.append(time.process_time() - started)
        medians.append(statistics.median(seconds))
        log.close()

    assert len(told) == 2000
    assert medians[1] - medians[0] < 100e-6


@pytest.mark.slow
def test_the_event_loop_is_not_held_up_for_a_tenth_of_a_second_while_a_run_trains(kernel, recipe):
    """The best of three: another process can hold the loop up as well.

    Only from its first step: libraries that are imported for the first time may take longer.
    """
    recipe["train"] = {"steps": 60}

    async def longest() -> float:
        gaps: list[float] = []
        training = False

        def listen(event: dict[str, Any]) -> None:
            nonlocal training
            training = event["t"] in {"train", "eval", "checkpoint"}

        async def beat() -> None:
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                if training:
                    gaps.append(now - last)
                last = now

        task = asyncio.create_task(beat())
        outcome = await run_async(kernel.run, recipe, on_event=listen)
        task.cancel()
        assert outcome.status == "finished"
        assert len(gaps) > 20
        return max(gaps)

    found = [asyncio.run(longest()) for _ in range(3)]

    assert min(found) < 0.1, found
