"""Kills runs of the tiny model at random moments and resumes them until they are done.

    python kills.py MODEL ROWS FOLDER TRIALS SEED

This process imports torch once and forks for each attempt, so that an attempt costs a tenth of a
second instead of several. It prints one line of JSON for each trial, and one for the sum.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from llamahome_core import Kernel, Registry, Workspace, files, read_events
from llamahome_core.run import describe

MOST_ATTEMPTS = 200
MOST_SECONDS = 120.0
PATIENCE = 50
"""Kills after which the window is twice as wide."""
WINDOW = 0.8
"""A kill comes within this share of the time of a whole run: most runs meet several."""
MODULES = [
    "llamahome_data.prepare",
    "llamahome_models.publish",
    "llamahome_training.adapters",
    "llamahome_training.evaluation",
    "llamahome_training.objectives",
    "llamahome_training.optimizers",
    "llamahome_training.stage",
    "llamahome_training.trainer",
    "peft",
    "transformers.models.llama.modeling_llama",
]


def recipe(model: Path, rows: Path) -> dict[str, Any]:
    """Dropout, accumulation, evaluation, and a checkpoint each step: much to get wrong."""
    return {
        "name": "killed",
        "seed": 3,
        "model": {"from": str(model)},
        "data": [{"use": "jsonl", "path": str(rows)}],
        "batch": {"rows": 5, "accumulate": 2},
        "adapter": {"use": "lora", "rank": 4, "dropout": 0.2},
        "optimizer": {"use": "adamw", "learning_rate": 1e-2},
        "train": {"steps": 12},
        "evaluate": {"split": 0.2, "every": 5},
        "checkpoint": {"every": 1},
    }


def kernel(folder: Path) -> Kernel:
    """A kernel in *folder*, deaf to this machine's settings."""
    return Kernel(workspace=Workspace(folder), environ={}, user_file=folder / "none.toml")


def attempt(folder: Path, plain: dict[str, Any]) -> int:
    """In the child: start the run, or go on with it; 0 if it finished."""
    runs = folder / "runs"
    begun = sorted(runs.glob("killed-*/resolved.toml")) if runs.is_dir() else []
    one = kernel(folder)
    if begun and describe(begun[-1].parent).state == "finished":
        return 0  # the last kill came after the run's end and before its process's
    outcome = one.resume(begun[-1].parent.name) if begun else one.run(plain)
    if outcome.error is not None:
        raise outcome.error
    return 0


def fork(folder: Path, plain: dict[str, Any], log: Path) -> int:
    """A child that makes one attempt, its output appended to *log*; returns its process id."""
    if child := os.fork():
        return child
    status = 70
    try:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        status = attempt(folder, plain)
    except BaseException:  # noqa: BLE001  # a child must never return into the parent's code
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def wait(child: int, seconds: float) -> int | None:
    """The exit status of *child*, or None if it was killed after *seconds*."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if code == -signal.SIGKILL else code


def where(folder: Path) -> str:
    """What the killed run was doing, by its last event."""
    logs = sorted(folder.glob("runs/killed-*/events.jsonl"))
    events = [event for _, event in read_events(logs[-1])] if logs else []
    if not events:
        return "before its first event"
    last = events[-1]
    return str(last["phase"] if last["t"] == "phase" else last.get("stage", last["t"]))


def result(folder: Path) -> tuple[dict[str, torch.Tensor], int]:
    """The newest version's weights, each file checked against its hash, and how many there are."""
    versions = kernel(folder).context().get(Registry).versions("killed")
    newest = versions[-1]
    weights: dict[str, torch.Tensor] = {}
    for part, path in newest.files.items():
        for file in sorted(path.glob("*.safetensors")):
            found = load_file(file)
            weights |= {f"{part}/{name}": tensor for name, tensor in found.items()}
    return weights, len(versions)


def trial(folder: Path, plain: dict[str, Any], chance: random.Random, length: float) -> Any:
    """Kill and resume until the run is done; returns where it was killed.

    Raises:
        RuntimeError: An attempt failed by itself, or the run never ended.
    """
    places: Counter[str] = Counter()
    log = folder / "attempts.log"
    for number in range(MOST_ATTEMPTS):
        # A machine that got slower since `length` was measured would never let the run end.
        window = length * (1 + number / PATIENCE)
        status = wait(fork(folder, plain, log), chance.uniform(0.0, window))
        if status == 0:
            return places
        if status is not None:
            text = log.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"an attempt ended by itself with {status}:\n{text[-3000:]}")
        places[where(folder)] += 1
    raise RuntimeError(f"not done after {MOST_ATTEMPTS} attempts: {dict(places)}")


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Whether both hold the same tensors, bit for bit."""
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def straight(folder: Path, plain: dict[str, Any]) -> tuple[dict[str, torch.Tensor], float]:
    """Weights of a run that nothing interrupts, and its seconds.

    Raises:
        RuntimeError: It failed.
    """
    folder.mkdir()
    started = time.monotonic()
    if wait(fork(folder, plain, folder / "attempts.log"), MOST_SECONDS) != 0:
        raise RuntimeError((folder / "attempts.log").read_text(encoding="utf-8"))
    return result(folder)[0], time.monotonic() - started


def prepare() -> None:
    """Import what an attempt needs, and start no thread: a fork copies only the one that forks."""
    import importlib

    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in MODULES:
        importlib.import_module(name)


def say(found: dict[str, Any]) -> None:
    """Print *found* as a line of JSON."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the trials."""
    model, rows, folder = map(Path, sys.argv[1:4])
    trials, seed = map(int, sys.argv[4:6])
    prepare()
    plain = recipe(model, rows)
    straight(folder / "first", plain)  # what is slow once is not part of a run's length
    expected, length = straight(folder / "straight", plain)
    started, total = time.monotonic(), Counter[str]()
    equal, versions = 0, 0
    for number in range(trials):
        place = folder / f"trial-{number}"
        place.mkdir()
        places = trial(place, plain, random.Random(f"{seed}/{number}"), WINDOW * length)
        weights, count = result(place)
        good = same(weights, expected)
        equal, versions, total = equal + good, versions + (count > 1), total + places
        say({"trial": number, "kills": places, "equal": good, "versions": count})
        files.discard(place)
    summary: dict[str, Any] = {
        "seed": seed,
        "trials": trials,
        "equal": equal,
        "published_twice": versions,
    }
    summary |= {"kills": total.total(), "places": total, "run_seconds": round(length, 3)}
    say(summary | {"seconds": round(time.monotonic() - started, 1)})


if __name__ == "__main__":
    main()
