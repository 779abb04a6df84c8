"""LlamaHome's side: the recipe run by the kernel, monitors and publishing off.

With ``--batches`` it trains nothing: it writes what each step holds, for the other sides.
"""

from __future__ import annotations

import argparse
import json
import resource
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from llamahome_core import Kernel, PreparedData, StepData, Workspace, live_events


def main() -> None:
    """Print what happened as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batches", type=Path)
    arguments = parser.parse_args()
    recipe = json.loads(arguments.recipe.read_bytes())
    kernel = Kernel(
        workspace=Workspace(arguments.folder), environ={}, user_file=arguments.folder / "none.toml"
    )
    if arguments.batches:
        arguments.batches.write_text(json.dumps(batches(kernel, recipe)))
    else:
        print(json.dumps(run(kernel, recipe)))


def batches(kernel: Kernel, recipe: dict[str, Any]) -> list[list[dict[str, list[Any]]]]:
    """For each step its documents: ``ids``, and ``labels`` with -100 where nothing is learned."""
    plan = kernel.plan(recipe)
    context = kernel.context(plan)
    for _, stage in kernel.catalog.stages():
        if stage.name in {"fetch", "prepare"}:
            stage.run.load()(context)
    steps = context.get(PreparedData).training(seed=plan.recipe.seed)
    return [documents(steps.step(index)) for index in range(recipe["train"]["steps"])]


def documents(step: StepData) -> list[dict[str, list[Any]]]:
    """The documents of *step*, one by one."""
    found = []
    for micro in step.micro_batches:
        labels = [-100] * micro.num_tokens
        for predictor, target in zip(
            micro.predictors.tolist(), micro.targets.tolist(), strict=True
        ):
            labels[predictor + 1] = target
        ids, edges = micro.ids.tolist(), micro.boundaries.tolist()
        for start, end in pairwise(edges):
            found.append({"ids": ids[start:end], "labels": labels[start:end]})
    return found


def run(kernel: Kernel, recipe: dict[str, Any]) -> dict[str, Any]:
    """Train; the seconds are those from the start of the first step to the end of the last."""
    outcome = kernel.run(recipe)
    if outcome.error is not None:
        raise outcome.error
    (directory,) = (path for path in kernel.workspace.runs.iterdir() if path.is_dir())
    events = list(live_events(directory / "events.jsonl"))
    steps = [event for event in events if event["t"] == "train"]
    (started,) = (e["time"] for e in events if e["t"] == "phase" and e["phase"] == "train")
    ended = datetime.fromisoformat(steps[-1]["time"])
    return {
        "losses": [event["loss"] for event in steps],
        "step_seconds": [event["step_s"] for event in steps],
        "seconds": (ended - datetime.fromisoformat(started)).total_seconds(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    main()
