"""Learning rates equal their closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llamahome_core import Schedule
from llamahome_core.testing import ScheduleContract
from llamahome_training.config import ConstantConfig, CosineConfig, LinearConfig
from llamahome_training.schedules import Constant, Cosine, Linear, warmup_steps


@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("made", "config"), [(Constant, ConstantConfig), (Linear, LinearConfig), (Cosine, CosineConfig)]
)
class TestContract(ScheduleContract):
    """Each keeps to what every schedule keeps to, with any warm-up."""

    @pytest.fixture
    def schedule(self, made: Any, config: Any, warmup: float) -> Schedule:
        schedule: Schedule = made(config(warmup=warmup))
        return schedule


def test_the_warm_up_rises_evenly_and_never_takes_every_step():
    """Ten percent of twenty steps is two; a share of one leaves a step at the peak."""
    schedule = Constant(ConstantConfig(warmup=0.1))

    assert [schedule.factor(step, 20) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert warmup_steps(1.0, 7) == 6
    assert warmup_steps(0.5, 1) == 0


def test_linear_goes_straight_to_its_minimum():
    """From one at the first step after the warm-up to just above the minimum at the last."""
    schedule = Linear(LinearConfig(warmup=0.0, minimum=0.2))

    assert [schedule.factor(s, 4) for s in range(5)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


def test_cosine_follows_half_a_cosine():
    """The closed form, after the warm-up."""
    schedule = Cosine(CosineConfig(warmup=0.2, minimum=0.1))

    factors = [schedule.factor(step, 10) for step in range(10)]

    assert factors[:2] == pytest.approx([1 / 3, 2 / 3])
    for step in range(2, 10):
        expected = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - 2) / 8))
        assert factors[step] == pytest.approx(expected)
