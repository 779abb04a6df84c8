"""The kernel's cost, as a share of a step."""

from __future__ import annotations

import pytest
import torch

ATTEMPTS = 4
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
    """Single steps in turns, the same losses; the best of four medians, by time on the processor.

    Other programs make a median larger and hardly ever smaller, so the best tells the most.
    """
    recipe |= {
        "model": {"from": str(small_model)},
        "batch": {"tokens": 256},
        "optimizer": {"use": "adamw", "learning_rate": 1e-3},
    }
    recipe["schedule"] = {"use": "constant"}
    ratios: list[float] = []
    while len(ratios) < ATTEMPTS and not (ratios and min(ratios) <= MOST):
        folder = tmp_path / str(len(ratios))
        folder.mkdir()
        found = interleaved.compare(recipe, folder, interleaved.Pace(warmup=5, blocks=100))
        assert found.difference < 1e-6, "both did the same work"
        ratios.append(found.ratio("cpu"))

    assert min(ratios) <= MOST, f"ratios of {len(ratios)} attempts: {ratios}"
