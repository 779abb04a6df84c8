"""What the kernel costs: steps of a run against the same loop called bare, in turns."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import conversations
import torch
from attrs import frozen
from interleaved import Comparison, Pace, compare
from report import spread, table

from llamahome_core.testing import tiny

TARGET = 1.02


@frozen(kw_only=True)
class Case:
    """A model and how it is trained.

    Attributes:
        name: For the table.
        shape: Of the random Llama; None for the real model.
        tokens: Most tokens of a step.
        adapter: The recipe's adapter.
        pace: How the two take turns.
        binding: Whether the target holds for it.
    """

    name: str
    shape: dict[str, int] | None
    tokens: int
    adapter: str
    pace: Pace
    binding: bool = True


SMALL = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
}
CASES = [
    Case(
        name="tiny: 2 layers of 32, full, 160 tokens",
        shape={},
        tokens=160,
        adapter="full",
        pace=Pace(warmup=20, blocks=400),
        binding=False,
    ),
    Case(
        name="small: 4 layers of 256, full, 512 tokens",
        shape=SMALL,
        tokens=512,
        adapter="full",
        pace=Pace(warmup=5, blocks=200),
    ),
    Case(
        name="SmolLM2-135M, LoRA, 1,024 tokens",
        shape=None,
        tokens=1024,
        adapter="lora",
        pace=Pace(warmup=2, blocks=24),
    ),
]


def recipe(case: Case, folder: Path, model: Path, wheel: Path) -> dict[str, Any]:
    """The recipe of *case*, with its files in *folder*.

    Args:
        case: What to train.
        folder: An empty folder.
        model: The real model's folder.
        wheel: The corpus.
    """
    if case.shape is None:
        data = conversations.write(wheel, folder / "rows.jsonl")
    else:
        model, data = folder / "model", folder / "rows.jsonl"
        tiny.save_model(model, **case.shape)
        data.write_text("".join(f"{json.dumps(row)}\n" for row in tiny.conversations()))
    return {
        "name": "kernel-cost",
        "seed": 3,
        "model": {"from": str(model)},
        "data": [{"use": "jsonl", "path": str(data)}],
        "batch": {"tokens": case.tokens},
        "adapter": {"use": case.adapter},
        "optimizer": {"use": "adamw", "learning_rate": 1e-4},
        "schedule": {"use": "constant"},
    }


def line(case: Case, found: Comparison) -> list[str]:
    """A line of the table."""
    return [
        case.name,
        f"{found.step_seconds('bare') * 1e3:.1f} ms",
        str(found.pace.blocks * found.pace.block),
        spread(found.ratios("wall")),
        spread(found.ratios("cpu")),
        f"{found.difference:.1e}",
        ("yes" if found.ratio("wall") <= TARGET else "**no**") if case.binding else "no target",
    ]


def measure(model: Path, wheel: Path, folder: Path, *, short: bool = False) -> str:
    """Measure each case and return the chapter of the report.

    Args:
        model: The real model's folder.
        wheel: The corpus.
        folder: An empty folder.
        short: A few blocks of each, to see that it works.
    """
    lines = []
    for number, case in enumerate(CASES):
        pace = Pace(warmup=1, blocks=4) if short else case.pace
        place = folder / str(number)
        (place / "home").mkdir(parents=True)
        found = compare(recipe(case, place, model, wheel), place / "home", pace)
        lines.append(line(case, found))
        print("  ".join(lines[-1]), flush=True)
    head = [
        "model",
        "bare step",
        "steps",
        "ratio, wall",
        "ratio, processor",
        "losses differ",
        "met",
    ]
    return "\n\n".join(["## What the kernel costs", _explanation(), table(head, lines)])


def _explanation() -> str:
    return (
        "A step of a run through the kernel (the loop, its events, data from disk; no monitors) "
        "over a step of the same loop with nothing around it, its data in memory. Both have the "
        "same weights; they take turns, step by step, in one process, on the same documents. "
        f"Medians, with quartiles in brackets; {torch.get_num_threads()} threads. The target is "
        f"{TARGET} by the clock, on an otherwise idle machine. The tiny model shows the cost "
        "itself: its step takes milliseconds."
    )


def main() -> None:
    """Measure alone: ``python kernel_cost.py MODEL WHEEL FOLDER [--short]``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder of the real model")
    parser.add_argument("wheel", type=Path, help="wheel of chatterbot-corpus")
    parser.add_argument("folder", type=Path, help="an empty folder")
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it works")
    arguments = parser.parse_args()
    print(measure(arguments.model, arguments.wheel, arguments.folder, short=arguments.short))


if __name__ == "__main__":
    main()
