"""Whole runs in which a part fails: it is named, and what can be rescued is."""

from __future__ import annotations

import os
import re
import signal
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from llamahome_core import StorageError, hookimpl, read_events
from llamahome_core.cli.run import _change, exit_code
from llamahome_core.discovery import Plugin


def events(directory: Path, kind: str) -> list[dict[str, Any]]:
    return [event for _, event in read_events(directory / "events.jsonl") if event["t"] == kind]


def weights(outcome: Any) -> dict[str, torch.Tensor]:
    return load_file(outcome.version.files["merged"] / "model.safetensors")


@pytest.mark.parametrize("factor", ["0.5", None, float("nan"), float("inf")])
def test_a_schedule_that_gives_no_finite_number_is_named(kernel, recipe, monkeypatch, factor):
    """Component, plugin and distribution: nobody has to read a traceback."""
    monkeypatch.setattr("llamahome_training.schedules.Cosine.factor", lambda *_: factor)

    outcome = kernel.run(recipe)

    assert outcome.status == "failed"
    assert re.search(
        rf"schedule 'cosine' of plugin training \(llamahome \S+\) gave {factor!r} for step 0 of 6",
        str(outcome.error),
    )


@pytest.mark.parametrize("error", [SystemExit(0), KeyError("lost"), GeneratorExit()])
@pytest.mark.parametrize(
    ("stage", "where"),
    [
        ("'train' of plugin training", "llamahome_training.stage._train"),
        ("'publish' of plugin models", "llamahome_models.publish._write"),
    ],
)
def test_a_stage_that_raises_anything_fails_the_run_and_is_named(  # each is one thing
    kernel, recipe, monkeypatch, error: BaseException, stage: str, where: str
):
    """No end in silence; the report has the traceback, and the exit code is 1."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(where, fails)

    outcome = kernel.run(recipe)

    (end,) = events(kernel.workspace.runs / "tiny-1", "end")
    assert (outcome.status, end["status"]) == ("failed", "failed")
    assert exit_code(outcome) == 1
    assert re.match(
        rf"stage {stage} \(llamahome \S+\) failed: {type(error).__name__}", end["error"]
    )
    assert "in fails" in Path(end["report"]).read_text()


def test_a_run_that_cannot_publish_is_rescued_with_another_name(kernel, recipe, monkeypatch):
    """The weights are those of a run that had the name at once; the change is recorded."""

    def fails(*_: object) -> None:
        raise StorageError("the name is taken")

    usual = weights(kernel.run(recipe | {"name": "other"}))
    with monkeypatch.context() as patch:
        patch.setattr("llamahome_models.publish._write", fails)
        assert kernel.run(recipe).status == "failed"
    _change(kernel, "tiny-1", ("publish.name=rescued", 'publish.tags=["best"]'))

    outcome = kernel.resume("tiny-1")

    directory = kernel.workspace.runs / "tiny-1"
    assert outcome.version.label == "rescued:v1"
    assert outcome.version.tags == ("best",)
    rescued = weights(outcome)
    assert all(torch.equal(rescued[name], usual[name]) for name in usual)
    assert [e["step"] for e in events(directory, "train")] == [1, 2, 3, 4, 5, 6]
    assert tomllib.loads((directory / "resolved.toml").read_text())["publish"]["name"] == "rescued"
    (note,) = events(directory, "note")
    assert note["changed"] == ["publish.name", "publish.tags"]


class KillsMonitors:
    """A plugin of the test: the monitors die when the run starts."""

    @hookimpl
    def llamahome_run_started(self, run: Any) -> None:
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
        for child in children.split():
            os.kill(int(child), signal.SIGKILL)


def test_a_monitor_that_dies_is_told_at_once_and_changes_nothing(kernel, recipe, monkeypatch):
    """One warning before the run ends, with the plugin and its distribution."""
    usual = weights(kernel.run(recipe))
    monkeypatch.setattr("llamahome_core.monitoring._LOOK", 0.0)
    killer = KillsMonitors()
    kernel.plugins.manager.register(killer, "killer")
    kernel.plugins.all.append(Plugin(name="killer", origin="test", status="active", module=killer))

    outcome = kernel.run(recipe | {"monitor": [{"use": "tensorboard"}]})

    found = [event for _, event in read_events(kernel.workspace.runs / "tiny-2" / "events.jsonl")]
    (told,) = [event for event in found if event["t"] == "warning"]
    assert found.index(told) < [event["t"] for event in found].index("train")
    assert re.match(r"monitor 'tensorboard' of .* was killed by SIGKILL", told["text"])
    assert (told["monitor"], told["plugin"]) == ("tensorboard", "monitors")
    assert told["distribution"].startswith("llamahome ")
    assert all(torch.equal(weights(outcome)[name], usual[name]) for name in usual)
