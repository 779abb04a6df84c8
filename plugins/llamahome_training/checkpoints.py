"""Checkpoints: the whole state of training at a step, complete or not there at all.

safetensors and JSON only. A checkpoint is written beside its place, hashed, synced and renamed;
the newest one whose manifest verifies is the one that a run goes on from.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import torch
from attrs import frozen

from llamahome_core import (
    Context,
    IntegrityError,
    ModelFolder,
    RunError,
    StorageError,
    Trainer,
    files,
    live_events,
    records,
)

FORMAT = 1
TENSORS, STATE = "state.safetensors", "state.json"
_NAME = re.compile(r"step-\d{9,}")


@frozen(kw_only=True)
class Position:
    """How far training is.

    Attributes:
        step: Finished optimizer steps.
        tokens: Tokens processed.
        trained_tokens: Tokens that the loss counted.
        first_evaluation: Held-out loss before training.
        best_evaluation: Lowest held-out loss.
        last_evaluation: Newest held-out loss.
        evaluated: Step at which the held-out loss was last measured to its end.
        sampled: Step at which all prompts were last answered.
        skipped: Steps in a row, up to this one, whose gradient was not finite.
    """

    step: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    first_evaluation: float | None = None
    best_evaluation: float | None = None
    last_evaluation: float | None = None
    evaluated: int | None = None
    sampled: int | None = None
    skipped: int = 0


@frozen(kw_only=True)
class State:
    """What of a checkpoint is no tensor.

    Attributes:
        format: Version of this form.
        position: How far training is.
        trainer: What the trainer needs besides its tensors.
        identity: What it belongs to: data, seed, model.
    """

    format: int
    position: Position
    trainer: dict[str, Any]
    identity: dict[str, Any]


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of *step* lies; names sort by step."""
    return run / "checkpoints" / f"step-{step:09d}"


def existing(run: Path) -> list[Path]:
    """The checkpoints of a run, the newest first, by step and never by time.

    Raises:
        RunError: Their folder cannot be read.
    """
    folder = run / "checkpoints"
    try:
        found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(
            f"cannot read {folder}: {error.strerror or error}", code="R604", hint=_again(run)
        ) from error
    return sorted(found, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _again(run: Path) -> str:
    """What to do without checkpoints."""
    recipe = run / "resolved.toml"
    return f"put them back, or start a new run of the same recipe: llamahome run {recipe}"


def _last_saved(run: Path) -> int:
    """The step of the newest checkpoint that the run wrote down; 0 if it never saved."""
    events = live_events(run / "events.jsonl")
    steps = [event.get("step") for event in events if event["t"] == "checkpoint"]
    return max((step for step in steps if isinstance(step, int)), default=0)


def _random_state(device: Any) -> dict[str, torch.Tensor]:
    states = {"random/torch": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        states["random/cuda"] = torch.cuda.get_rng_state(device)
    return states


def _identity(context: Context, data_digest: str) -> dict[str, Any]:
    """What a checkpoint belongs to, by content: a name may mean another model by now."""
    model = context.get(ModelFolder).digest
    return {"data": data_digest, "seed": context.recipe.seed, "model": model}


def save(context: Context, trainer: Trainer, position: Position, data: str, reason: str) -> None:
    """Write a checkpoint, unless this step has one, and prune old ones.

    Raises:
        StorageError: The disk failed or is full; older checkpoints are untouched.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    directory = _directory(context)
    target = folder_of(directory, position.step)
    if target.exists():
        return
    started = time.monotonic()
    state = State(
        format=FORMAT,
        position=position,
        trainer=trainer.state(),
        identity=_identity(context, data),
    )
    with files.new_folder(target, lambda: {"step": position.step}) as folder:
        tensors = {k: v.contiguous() for k, v in trainer.tensors().items()} | _random_state(
            trainer.device
        )
        try:
            save_file(tensors, folder / TENSORS)
        except SafetensorError as error:  # its writer has errors of its own, for a full disk too
            raise StorageError(f"cannot write {target}: {error}") from error
        files.write_json(folder / STATE, records.dump(state))
    prune(context, keep=context.recipe.checkpoint.keep_last)
    seconds = round(time.monotonic() - started, 3)
    context.events.emit(
        "checkpoint", step=position.step, path=str(target), seconds=seconds, reason=reason
    )


def prune(context: Context, *, keep: int) -> None:
    """Remove the oldest checkpoints; never fewer than two remain, for one may be damaged."""
    for path in existing(_directory(context))[max(keep, 2) :]:
        files.discard(path)


def sweep(context: Context) -> None:
    """Remove what a save left that was killed.

    Raises:
        StorageError: It cannot be removed.
    """
    files.sweep(_directory(context) / "checkpoints")


def restore(context: Context, trainer: Trainer, data: str) -> Position:
    """Load the newest intact checkpoint and return where it stands.

    Raises:
        RunError: The run saved checkpoints, and none is there and intact; or it belongs to other
            data.
    """
    run = _directory(context)
    found, last = existing(run), _last_saved(run)
    damaged: dict[Path, str] = {}
    for path in found:
        try:
            files.verify_folder(path)
        except IntegrityError as error:
            damaged[path] = error.message
            context.warn(f"skipped a checkpoint: {error.message}")
            continue
        position = _load(context, trainer, path, data)
        if _step(found[0]) < last:
            context.warn(f"the checkpoint of step {last} is gone; an older one has to do")
        # Kept, it would stand where this run saves next, and count as one of those to keep.
        for other in damaged:
            files.discard(other)
        return position
    if found:
        raise RunError(
            f"none of the checkpoints is intact: {'; '.join(damaged.values())}",
            code="R604",
            hint=_again(run),
        )
    if last:
        raise RunError(
            f"the run saved a checkpoint at step {last}, and {run / 'checkpoints'} has none",
            code="R604",
            hint=_again(run),
        )
    context.warn("the run had no checkpoint yet: it starts from its first step")
    return Position()


def _load(context: Context, trainer: Trainer, path: Path, data: str) -> Position:
    from safetensors.torch import load_file

    plain = json.loads((path / STATE).read_bytes())
    if plain.get("format") != FORMAT:
        raise RunError(f"{path} has format {plain.get('format')}; this LlamaHome reads {FORMAT}")
    state = records.load(State, plain, path / STATE)
    expected = _identity(context, data)
    if state.identity != expected:
        changed = [key for key in expected if state.identity.get(key) != expected[key]]
        raise RunError(
            f"{path} belongs to another {' and '.join(changed)}: the data may have changed since",
            hint="start a new run of the same recipe",
        )
    tensors = load_file(path / TENSORS)
    trainer.restore(tensors, state.trainer)
    torch.set_rng_state(tensors["random/torch"])
    if "random/cuda" in tensors and torch.device(trainer.device).type == "cuda":
        torch.cuda.set_rng_state(tensors["random/cuda"], trainer.device)
    return state.position


def _directory(context: Context) -> Path:
    if context.directory is None:
        raise RunError("training needs a run: use Kernel.run")
    return context.directory
