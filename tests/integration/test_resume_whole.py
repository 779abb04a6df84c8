"""What a resumed run must not lose or take for granted: each claim once did not hold."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from llamahome_core import Component, Kernel, Outcome, Stop, hookimpl, read_events
from llamahome_core.discovery import from_object


class StopWhen:
    """A plugin of the test: asks to stop at an event, as a signal would."""

    def __init__(self, stop: Stop, when: Callable[[str, dict[str, Any]], bool]) -> None:
        self.stop, self.when = stop, when

    @hookimpl
    def llamahome_run_started(self, run: Any) -> None:
        emit = run.events.emit

        def watched(kind: str, **fields: Any) -> None:
            emit(kind, **fields)
            if self.when(kind, fields):
                self.stop.request(signal.SIGTERM)

        run.context.events = type("Watched", (), {"emit": staticmethod(watched)})()


@pytest.fixture
def stopped(kernel: Kernel) -> Callable[..., Outcome]:
    """Runs a recipe, or goes on, until an event, and leaves the kernel as it was."""

    def run(recipe: dict[str, Any] | None, when: Callable[[str, dict[str, Any]], bool]) -> Outcome:
        stop = Stop()
        plugin = from_object(StopWhen(stop, when), "stop-when")
        kernel.plugins.add(plugin)
        if recipe is None:
            outcome = kernel.resume("@last", stop=stop)
        else:
            outcome = kernel.run(recipe, stop=stop)
        kernel.plugins.manager.unregister(plugin.module)
        kernel.plugins.all.remove(plugin)
        assert outcome.status == "stopped", outcome.error
        return outcome

    return run


def after(step: int) -> Callable[[str, dict[str, Any]], bool]:
    return lambda kind, fields: kind == "train" and fields["step"] == step


def events(kernel: Kernel, kind: str) -> list[dict[str, Any]]:
    (run,) = kernel.workspace.runs.iterdir()
    return [e for _, e in read_events(run / "events.jsonl") if e["t"] == kind]


def test_another_model_under_the_same_name_is_not_resumed(
    kernel, recipe, stopped, tiny_model, tmp_path
):
    """An adapter's checkpoint holds no base weights: they are known by content, not by name."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    recipe |= {"model": {"from": str(model)}, "adapter": {"use": "lora"}}
    stopped(recipe, after(2))
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] + 1
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})

    outcome = kernel.resume("@last")

    assert outcome.status == "failed"
    assert "another model" in str(outcome.error)


def test_a_damaged_checkpoint_is_replaced_and_never_kept_for_an_intact_one(kernel, recipe, stopped):
    """After resuming from the older one, the damaged step is saved again, and is intact."""
    from llamahome_core import files

    recipe["checkpoint"] = {"every": 2}
    stopped(recipe, after(4))
    (run,) = kernel.workspace.runs.iterdir()
    damaged = run / "checkpoints" / "step-000000004"
    (damaged / "state.json").write_text("{}")

    assert kernel.resume("@last").error is None

    assert [
        files.verify_folder(path).metadata["step"] for path in sorted(damaged.parent.iterdir())
    ] == [4, 6]


def remove(checkpoints: Path) -> None:
    shutil.rmtree(checkpoints)


def empty(checkpoints: Path) -> None:
    shutil.rmtree(checkpoints)
    checkpoints.mkdir()


def rename_each(checkpoints: Path) -> None:
    for path in checkpoints.iterdir():
        path.rename(path.with_name(f"old-{path.name}"))


def replace_by_file(checkpoints: Path) -> None:
    shutil.rmtree(checkpoints)
    checkpoints.write_text("")


def make_unreadable(checkpoints: Path) -> None:
    shutil.rmtree(checkpoints)
    checkpoints.symlink_to(checkpoints)


def damage_each(checkpoints: Path) -> None:
    for path in checkpoints.iterdir():
        (path / "state.json").unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (remove, r"the run saved a checkpoint at step 4, and \S+/checkpoints has none"),
        (empty, r"the run saved a checkpoint at step 4, and \S+/checkpoints has none"),
        (rename_each, r"the run saved a checkpoint at step 4, and \S+/checkpoints has none"),
        (replace_by_file, r"cannot read \S+/checkpoints: Not a directory"),
        (make_unreadable, r"cannot read \S+/checkpoints: Too many levels of symbolic links"),
        (damage_each, r"none of the checkpoints is intact: \S+/state\.json is missing"),
    ],
)
def test_checkpoints_that_are_gone_are_never_a_silent_fresh_start(
    kernel, recipe, stopped, harm, message
):
    """The events name them: without one, or without a word, the run does not begin anew."""
    stopped(recipe, after(4))
    (run,) = kernel.workspace.runs.iterdir()
    harm(run / "checkpoints")

    outcome = kernel.resume("@last")

    assert outcome.status == "failed"
    assert outcome.error.code == "R604"
    assert re.match(message, outcome.error.message)
    assert f"put them back, or start a new run of the same recipe: llamahome run {run}" in str(
        outcome.error.hint
    )
    assert events(kernel, "rewind") == []
    assert [e["step"] for e in events(kernel, "train")] == [1, 2, 3, 4]


def test_a_run_that_never_saved_starts_from_its_first_step_with_a_word(kernel, recipe, stopped):
    """It was ended before its first checkpoint: nothing is lost that was promised."""
    straight = kernel.run(recipe)
    shutil.rmtree(kernel.workspace.runs / "tiny-1")
    outcome = stopped(recipe, lambda _, fields: fields.get("phase") == "train")
    assert "stopped after step 0 of 6: there is nothing to save yet" in str(outcome.error)

    resumed = kernel.resume("@last")

    assert resumed.metrics == straight.metrics
    texts = [e["text"] for e in events(kernel, "warning")]
    assert "the run had no checkpoint yet: it starts from its first step" in texts


def test_an_older_checkpoint_does_where_the_newest_is_gone_and_copies_count_for_nothing(
    kernel, recipe, stopped
):
    """Told once; what was taken back is not missed the next time."""
    recipe["checkpoint"] = {"every": 2}
    straight = kernel.run(recipe)
    shutil.rmtree(kernel.workspace.runs / "tiny-1")
    stopped(recipe, after(4))
    (run,) = kernel.workspace.runs.iterdir()
    folder = run / "checkpoints"
    (folder / "step-000000004").rename(folder / "step-000000004.bak")
    (folder / ".step-000000004.tmp-1").mkdir()

    stopped(None, lambda kind, _: kind == "rewind")
    resumed = kernel.resume("@last")

    assert resumed.metrics == straight.metrics
    assert [e["step"] for e in events(kernel, "rewind")] == [2, 2]
    texts = [e["text"] for e in events(kernel, "warning")]
    assert [text for text in texts if not text.startswith("plugin stop-when: ")] == [
        "the checkpoint of step 4 is gone; an older one has to do"
    ]
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["step-000000004", "step-000000004.bak", "step-000000006"]


@pytest.mark.parametrize("step", [3, 6])
def test_an_evaluation_that_a_stop_cut_short_is_made_on_resuming(kernel, recipe, stopped, step):
    """In the middle and at the end: the figures are those of a run that nobody stopped."""
    recipe["evaluate"] = {"split": 0.3, "every": 3}
    straight = kernel.run(recipe)
    shutil.rmtree(kernel.workspace.runs / "tiny-1")

    stopped(recipe, after(step))
    resumed = kernel.resume("@last")

    assert resumed.metrics == straight.metrics
    assert sorted({e["step"] for e in events(kernel, "eval")}) == [0, 3, 6]


def test_no_step_is_missing_from_the_records_of_a_resumed_run(kernel, recipe, stopped):
    """Records of several steps are written before a checkpoint, whole or not."""
    recipe["train"] = {"steps": 7, "log_every": 3}

    stopped(recipe, lambda kind, fields: kind == "train" and fields["step"] == 3)
    kernel.resume("@last")

    assert [e["step"] for e in events(kernel, "train")] == [3, 6, 7]


class Counting(torch.optim.SGD):
    """An optimizer that keeps plain numbers: of each parameter and of its groups."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["seen"] = group.get("seen", 0) + 1
            for parameter in group["params"]:
                kept = self.state[parameter]
                kept["count"] = kept.get("count", 0) + 1
                parameter.grad.mul_(1 / kept["count"] + group["seen"])
        return super().step(closure)


class CountingOptimizer:
    """The component of it."""

    learning_rate, elementwise = 1e-3, True

    def __init__(self, config: Any, context: Any) -> None:
        del config, context

    def build(self, named_parameters: Any) -> Any:
        return Counting([p for _, p in named_parameters if p.requires_grad], lr=1e-3)


class Plugin:
    """Declares it as a third party would."""

    @hookimpl
    def llamahome_optimizers(self) -> Any:
        yield Component(name="counting", summary="Counts.", factory="pathlib:Path")


def test_an_optimizer_that_keeps_plain_numbers_resumes_bit_for_bit(
    kernel, recipe, stopped, monkeypatch
):
    """Its numbers are in the checkpoint like its tensors."""
    from llamahome_core import components

    load = components.Ref.load
    monkeypatch.setattr(
        components.Ref,
        "load",
        lambda self: CountingOptimizer if self.path == "pathlib:Path" else load(self),
    )
    kernel.plugins.add(from_object(Plugin(), "counting"))
    recipe["optimizer"] = {"use": "counting"}
    straight = kernel.run(recipe)
    shutil.rmtree(kernel.workspace.runs / "tiny-1")

    stopped(recipe, after(3))
    resumed = kernel.resume("@last")

    assert resumed.error is None
    left, right = (
        load_file(Path(o.version.files["merged"]) / "model.safetensors")
        for o in (straight, resumed)
    )
    assert all(torch.equal(left[name], right[name]) for name in left)
