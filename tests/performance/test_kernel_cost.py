"""The kernel's cost, as a share of a step."""

from __future__ import annotations

import statistics

import pytest
import torch

ROUNDS = 4
MOST = 1.02


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("one_thread")
def test_a_step_through_the_kernel_costs_at_most_two_percent_more_than_the_bare_loop(
    interleaved, recipe, small_model, tmp_path
):
    """Single steps in turns, the same losses; the median of all pairs, by time on the processor.

    A noisy machine gets more pairs, up to 400, and not the best of several medians.
    """
    recipe |= {
        "model": {"from": str(small_model)},
        "batch": {"tokens": 256},
        "optimizer": {"use": "adamw", "learning_rate": 1e-3},
    }
    recipe["schedule"] = {"use": "constant"}
    ratios: list[float] = []
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = interleaved.compare(recipe, folder, interleaved.Pace(warmup=5, blocks=100))
        assert found.difference < 1e-6, "both did the same work"
        ratios += found.ratios("cpu")
        if statistics.median(ratios) <= MOST:
            break

    assert statistics.median(ratios) <= MOST, f"{len(ratios)} pairs"
