"""The loss curve of a run is that of a plain padded loop on the same rows."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from llamahome_core import read_events

ARMS = Path(__file__).parent.parent.parent / "benchmarks" / "arms"
STEPS = 24


@pytest.mark.parametrize("accumulate", [1, 3])
def test_losses_equal_those_of_a_padded_loop_at_every_step(kernel, recipe, tiny_model, accumulate):
    """Padding, an attention mask, labels of -100, transformers' own loss: within 1e-4, relative."""
    from transformers import AutoModelForCausalLM

    recipe |= {
        "batch": {"rows": 5, "accumulate": accumulate},
        "train": {"steps": STEPS, "clip": 1.0},
        "optimizer": {"use": "adamw", "learning_rate": 1e-3},
        "schedule": {"use": "constant"},
        "publish": {"enabled": False},
    }
    steps = runpy.run_path(str(ARMS / "run_llamahome.py"))["batches"](kernel, recipe)
    train = runpy.run_path(str(ARMS / "run_padded.py"))["train"]
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)

    outcome = kernel.run(recipe)

    expected = train(plain, steps, rate=1e-3, clip=1.0)["losses"]
    (run,) = (path for path in kernel.workspace.runs.iterdir() if path.is_dir())
    events = [event for _, event in read_events(run / "events.jsonl") if event["t"] == "train"]
    assert outcome.error is None
    assert expected[-1] < 0.9 * expected[0], "it learns, so that equal curves say something"
    assert [event["loss"] for event in events] == pytest.approx(expected, rel=1e-4)
