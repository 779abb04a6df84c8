"""TRL's side: SFTTrainer with its defaults but fp32, the same rows in the same order, no report."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer


class Clock(TrainerCallback):
    """Times training alone: from the start of the first step to the end of the last."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self.marks.append(time.perf_counter())

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step is over."""
        self.marks.append(time.perf_counter())


def main() -> None:
    """Print what happened as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("batches", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--clip", type=float, required=True)
    parser.add_argument("--packing", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(arguments, folder)))


def run(arguments: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Train on the rows of the batches, already tokens, one epoch in their order."""
    steps = json.loads(arguments.batches.read_bytes())
    rows = [row for step in steps for row in step]
    data = Dataset.from_dict(
        {
            "input_ids": [row["ids"] for row in rows],
            "completion_mask": [[int(label >= 0) for label in row["labels"]] for row in rows],
        }
    )
    longest, size = 512, len(steps[0])
    if arguments.packing:
        # Rows of 512 tokens, as many as hold what a step of the others holds.
        size = max(1, round(sum(len(row["ids"]) for row in rows) / len(steps) / longest))
    settings = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=size,
        num_train_epochs=1,
        learning_rate=arguments.rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=arguments.clip,
        train_sampling_strategy="sequential",
        packing=arguments.packing,
        max_length=longest,
        completion_only_loss=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
    )
    clock = Clock()
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32),
        args=settings,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(arguments.model),
        callbacks=[clock],
    )
    trainer.train()
    marks = clock.marks
    return {
        "version": trl.__version__,
        "losses": [log["loss"] for log in trainer.state.log_history if "loss" in log],
        "step_seconds": [end - start for start, end in pairwise(marks)],
        "seconds": marks[-1] - marks[0],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    main()
