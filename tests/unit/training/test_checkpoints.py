"""A checkpoint is what a trainer gave, or an error that says why not; a full disk harms none."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from llamahome_core import (
    Context,
    EventLog,
    IntegrityError,
    ModelFolder,
    Recipe,
    RunError,
    StorageError,
    TrainingError,
    Workspace,
    files,
)
from llamahome_training import checkpoints
from llamahome_training.checkpoints import Position
from llamahome_training.config import AdamWConfig, TorchTrainerConfig
from llamahome_training.optimizers import AdamW
from llamahome_training.trainer import TorchTrainer


@pytest.fixture
def trainer() -> TorchTrainer:
    """Of one linear layer, after one step."""
    made = TorchTrainer(TorchTrainerConfig(device="cpu"))
    module = made.setup(lambda: torch.nn.Linear(8, 8), AdamW(AdamWConfig()).build)
    made.backward(module(torch.ones(8)).sum())
    assert made.step(learning_rate=0.1, clip=None).applied
    return made


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Of a run that has saved nothing yet."""
    run = tmp_path / "run"
    run.mkdir()
    catalog: Any = None
    made = Context(
        recipe=Recipe(name="test", model="tiny"),
        workspace=Workspace(tmp_path),
        catalog=catalog,
        directory=run,
        events=EventLog(run / "events.jsonl"),
    )
    made.put(ModelFolder, ModelFolder(path=tmp_path, digest="sha256:0", name="tiny"))
    return made


def save(context: Context, trainer: TorchTrainer, step: int) -> None:
    checkpoints.save(context, trainer, Position(step=step), "data", "schedule")


def found(context: Context) -> list[str]:
    assert context.directory
    return sorted(path.name for path in (context.directory / "checkpoints").iterdir())


def test_what_is_saved_is_restored_into_the_same_tensors(context, trainer):
    """Weights, moments and numbers of steps; a tensor at another place could round otherwise."""
    save(context, trainer, 1)
    (weight, *_) = trainer.module.parameters()
    before, place = {k: v.clone() for k, v in trainer.tensors().items()}, weight.data_ptr()
    with torch.no_grad():
        for tensor in trainer.tensors().values():
            tensor.zero_()

    assert checkpoints.restore(context, trainer, "data") == Position(step=1)
    assert all(torch.equal(before[name], value) for name, value in trainer.tensors().items())
    assert weight.data_ptr() == place


def test_a_full_disk_is_a_storage_error_and_leaves_the_older_checkpoints(context, trainer):
    """A real limit of the kernel: the writer of safetensors has errors of its own."""
    save(context, trainer, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write \S+step-000000002: .*too large"):
            save(context, trainer, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert found(context) == ["step-000000001"]
    assert checkpoints.restore(context, trainer, "data").step == 1


def test_old_ones_are_pruned_by_step_and_never_below_two(context, trainer):
    """Of copies and other things in the folder nothing is taken away."""
    save(context, trainer, 1)
    assert context.directory
    (context.directory / "checkpoints" / "step-000000000.bak").mkdir()
    for step in (2, 999_999_999, 1_000_000_000):
        save(context, trainer, step)
    checkpoints.prune(context, keep=0)

    assert found(context) == ["step-000000000.bak", "step-1000000000", "step-999999999"]
    assert checkpoints.restore(context, trainer, "data").step == 1_000_000_000


def rewrite(context: Context, **changes: Any) -> None:
    """Make the state of the only checkpoint say something else, with a manifest that fits."""
    assert context.directory
    path = checkpoints.folder_of(context.directory, 1)
    state = json.loads((path / checkpoints.STATE).read_bytes()) | changes
    copy = path.with_name("copy")
    with files.new_folder(copy, lambda: {"step": 1}) as folder:
        files.copy_folder(path, folder)
        files.write_json(folder / checkpoints.STATE, state)
    files.discard(path)
    copy.rename(path)


def test_a_checkpoint_of_another_format_is_refused_with_both_numbers(context, trainer):
    """Of a later LlamaHome, for instance."""
    save(context, trainer, 1)
    rewrite(context, format=7)
    with pytest.raises(RunError, match=r"step-000000001 has format 7; this LlamaHome reads 1"):
        checkpoints.restore(context, trainer, "data")


def test_a_state_that_does_not_fit_is_damage(context, trainer):
    """Nothing is guessed."""
    save(context, trainer, 1)
    rewrite(context, position={"step": "1"})
    with pytest.raises(IntegrityError, match=r"state\.json is damaged: '1' is no int"):
        checkpoints.restore(context, trainer, "data")


@pytest.mark.parametrize(
    ("data", "model", "seed", "words"),
    [
        ("other", "sha256:0", 0, "another data: "),
        ("data", "sha256:1", 0, "another model: "),
        ("other", "sha256:0", 1, "another data and seed: "),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(  # each parameter is one cause
    context, trainer, data, model, seed, words
):
    """Data and model are known by content."""
    save(context, trainer, 1)
    object.__setattr__(context.recipe, "seed", seed)
    folder = context.get(ModelFolder)
    context.put(ModelFolder, ModelFolder(path=folder.path, digest=model, name=folder.name))
    with pytest.raises(RunError, match=rf"belongs to {words}"):
        checkpoints.restore(context, trainer, data)


def test_without_a_run_there_is_nowhere_to_save(context, trainer):
    """An embedding program that calls a stage itself is told what to call."""
    context.directory = None
    with pytest.raises(RunError, match=r"use Kernel\.run"):
        save(context, trainer, 1)


def test_what_an_optimizer_keeps_and_json_cannot_hold_is_refused(context, trainer):
    """When it is saved: a checkpoint that could not be restored is none."""
    (weight, *_) = trainer.module.parameters()
    trainer.optimizer.state[weight]["history"] = {1, 2}
    with pytest.raises(TrainingError, match=r"a checkpoint cannot hold: .*set"):
        save(context, trainer, 1)
    trainer.optimizer.state[weight]["history"] = float("nan")
    with pytest.raises(TrainingError, match="a checkpoint cannot hold"):
        save(context, trainer, 1)
