"""What must stay cheap beside a step: an event, the data of a step, checking and planning."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from llamahome_core import Batch
from llamahome_core.events import EventLog
from llamahome_data.arrays import Documents, DocumentWriter
from llamahome_data.steps import TrainingSteps

ATTEMPTS = 5


def cost(act: Callable[[int], Any], *, times: int) -> float:
    """Seconds on the processor that *act* takes: the best of some medians, as of a quiet moment."""
    medians = []
    for attempt in range(ATTEMPTS):
        seconds = []
        for number in range(attempt * times, (attempt + 1) * times):
            started = time.process_time()
            act(number)
            seconds.append(time.process_time() - started)
        medians.append(statistics.median(seconds))
    return min(medians)


def test_an_event_costs_less_than_a_tenth_of_a_millisecond(tmp_path):
    """A whole training record, written to the file that viewers follow."""
    log = EventLog(tmp_path / "events.jsonl")
    fields = dict.fromkeys(("loss", "lr", "grad_norm", "tok_s", "step_s", "eta_s"), 1.2345)
    fields |= dict.fromkeys(("steps", "tokens", "tokens_trained", "memory", "memory_peak"), 10**9)

    seconds = cost(lambda step: log.emit("train", step=step, **fields), times=500)
    log.close()

    assert seconds < 100e-6


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Two thousand documents of 20 to 1,024 tokens, mapped from disk."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("documents") / "documents.safetensors"
    with DocumentWriter(path) as writer:
        for row in range(2000):
            length = int(generator.integers(20, 1025))
            trained = np.arange(length) > 0
            writer.add(np.zeros(length, np.int64), trained, 0, row)
    return Documents.open(path, ["rows.jsonl"])


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_data_of_a_step_of_4096_tokens_is_there_in_a_millisecond(documents, accumulate):
    """Whichever step is asked for, in whichever order: a hundred of one epoch, shuffled."""
    steps = TrainingSteps(documents, Batch(tokens=4096, accumulate=accumulate), seed=1)
    order = np.random.default_rng(1).permutation(steps.per_epoch)
    steps.step(0)

    seconds = cost(lambda number: steps.step(int(order[number % len(order)])), times=100)

    assert seconds < 1e-3


def test_a_recipe_is_read_and_checked_in_a_twentieth_of_a_second(kernel, recipe):
    """All layers, every value validated; the plugins are loaded, as they are from the second on."""
    kernel.plan(recipe)

    assert cost(lambda _: kernel.plan(recipe), times=10) < 0.05


@pytest.mark.slow
def test_a_plan_of_data_that_is_prepared_takes_a_quarter_of_a_second(kernel, recipe):
    """What ``llamahome plan`` asks of every stage: the tokenizer is read, and no weight."""

    def plan(_: int) -> None:
        context = kernel.context(kernel.plan(recipe))
        for _, stage in kernel.catalog.stages():
            if stage.plan is not None:
                stage.plan.load()(context)

    plan(0)

    assert cost(plan, times=5) < 0.25
