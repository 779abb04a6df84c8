"""The reference: a plain loop over padded rows with transformers' own model and loss."""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

Row = dict[str, list[int]]


def pad(rows: list[Row]) -> dict[str, torch.Tensor]:
    """Rows padded on the right: ids, attention mask and labels ``[rows, longest]``."""
    longest = max(len(row["ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, row in enumerate(rows):
        length = len(row["ids"])
        ids[place, :length] = torch.tensor(row["ids"])
        labels[place, :length] = torch.tensor(row["labels"])
        mask[place, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def train(model: Any, steps: list[list[Row]], *, rate: float, clip: float) -> dict[str, Any]:
    """One optimizer step for each of *steps*; the loss is the mean over its trained tokens."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0, fused=True)
    losses, seconds, started = [], [], time.perf_counter()
    for rows in steps:
        begun = time.perf_counter()
        batch = pad(rows)
        trained = sum(label != -100 for row in rows for label in row["labels"])  # noqa: PLR2004  # torch's ignored label
        loss = model(**batch, num_items_in_batch=trained, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begun)
    return {
        "losses": losses,
        "step_seconds": seconds,
        "seconds": time.perf_counter() - started,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main() -> None:
    """Print what happened as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("batches", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--clip", type=float, required=True)
    arguments = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    steps = json.loads(arguments.batches.read_bytes())
    print(json.dumps(train(model, steps, rate=arguments.rate, clip=arguments.clip)))


if __name__ == "__main__":
    main()
