"""Whole runs of the tiny model: they learn, publish, stop, resume bit for bit."""

from __future__ import annotations

import json
import re
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from llamahome_core import (
    Kernel,
    RunError,
    RunLockedError,
    Stop,
    hookimpl,
    live_events,
    read_events,
)


def events(directory: Path, kind: str | None = None) -> list[dict[str, Any]]:
    found = [event for _, event in read_events(directory / "events.jsonl")]
    return [event for event in found if kind in {None, event["t"]}]


def only_run(kernel: Kernel) -> Path:
    (directory,) = [p for p in kernel.workspace.runs.iterdir() if p.is_dir()]
    return directory


def weights(outcome: Any) -> dict[str, torch.Tensor]:
    return load_file(outcome.version.files["merged"] / "model.safetensors")


def _active(name: str, module: Any) -> Any:
    from llamahome_core.discovery import Plugin

    return Plugin(name=name, origin="test", status="active", module=module)


def test_a_run_learns_publishes_and_leaves_a_record(kernel, recipe):
    """From plain tables to a published version; the folder holds all that made it."""
    recipe["evaluate"] = {"split": 0.2, "every": 3}
    recipe["sample"] = {"prompts": ["What is 1?"], "max_tokens": 4}
    recipe["train"] = {"steps": 30}

    outcome = kernel.run(recipe)

    assert outcome.error is None
    assert outcome.version.label == "tiny:v1"
    assert outcome.metrics["evaluate_loss"] < 0.9 * outcome.metrics["evaluate_loss_before"]
    run = only_run(kernel)
    assert run.name == "tiny-1"
    losses = [event["loss"] for event in events(run, "train")]
    assert len(losses) == 30
    assert losses[-1] < losses[0]
    assert [e["step"] for e in events(run, "sample")] == [0, 30]
    assert [e["step"] for e in events(run, "eval")] == [0, *range(3, 31, 3)]
    assert events(run, "end")[0]["status"] == "finished"
    for name in ("resolved.toml", "origins.json", "environment.json", "log/run.log"):
        assert (run / name).stat().st_size > 0


def test_the_resolved_recipe_runs_again_to_the_same_bits(kernel, recipe):
    """Whatever the settings are by then: a resolved recipe takes nothing from them."""
    first = kernel.run(recipe)
    (kernel.workspace.config / "training_config.yaml").write_text("train: {clip: 0.001}\n")
    resolved = only_run(kernel) / "resolved.toml"

    second = kernel.run(resolved)

    assert tomllib.loads(resolved.read_text())["train"]["steps"] == 6
    assert second.version.label == "tiny:v2"
    assert weights(first).keys() == weights(second).keys()
    assert all(torch.equal(weights(first)[name], w) for name, w in weights(second).items())


class StopAfter:
    """A plugin of the test: asks to stop when a step is reached, as a signal would."""

    def __init__(self, step: int, stop: Stop) -> None:
        self.step, self.stop = step, stop

    @hookimpl
    def llamahome_run_started(self, run: Any) -> None:
        emit = run.events.emit

        def watched(kind: str, **fields: Any) -> None:
            emit(kind, **fields)
            if kind == "train" and fields["step"] == self.step:
                self.stop.request(signal.SIGTERM)

        run.context.events = type("Watched", (), {"emit": staticmethod(watched)})()


def stopped_and_resumed(kernel: Kernel, recipe: dict[str, Any], step: int) -> Any:
    stop = Stop()
    stopper = StopAfter(step, stop)
    kernel.plugins.manager.register(stopper, "stopper")
    kernel.plugins.all.append(_active("stopper", stopper))
    outcome = kernel.run(recipe, stop=stop)
    kernel.plugins.manager.unregister(stopper)
    assert outcome.status == "stopped"
    return kernel.resume("@last")


@pytest.mark.parametrize("adapter", ["full", "lora"])
@pytest.mark.parametrize("step", [1, 4])
def test_a_stopped_run_resumes_bit_for_bit(kernel, recipe, adapter, step):
    """The weights of a run stopped by a signal and resumed equal those of one that was not."""
    recipe["adapter"] = {"use": adapter}
    recipe["batch"] = {"rows": 5, "accumulate": 2}
    straight = kernel.run(recipe)

    resumed = stopped_and_resumed(kernel, recipe | {"name": "broken"}, step)

    assert resumed.error is None
    assert weights(straight).keys() == weights(resumed).keys()
    assert all(torch.equal(weights(straight)[name], w) for name, w in weights(resumed).items())


def test_dropout_resumes_bit_for_bit_too(kernel, recipe):
    """The random state is part of a checkpoint."""
    recipe["adapter"] = {"use": "lora", "dropout": 0.3}
    straight = kernel.run(recipe)

    resumed = stopped_and_resumed(kernel, recipe | {"name": "broken"}, 3)

    assert all(torch.equal(weights(straight)[name], w) for name, w in weights(resumed).items())


def test_a_resumed_run_tells_one_story(kernel, recipe):
    """Its events are those of one run: every step once, and a word about the stop between."""
    stopped_and_resumed(kernel, recipe, 2)

    run = only_run(kernel)
    live = [e["step"] for e in live_events(run / "events.jsonl") if e["t"] == "train"]

    assert live == [1, 2, 3, 4, 5, 6]
    assert [e["signal"] for e in events(run, "stopping")] == [signal.SIGTERM]
    assert [e["status"] for e in events(run, "end")] == ["stopped", "finished"]
    assert events(run, "end")[0]["next"] == ["llamahome run --resume tiny-1"]


def test_a_damaged_checkpoint_is_skipped_aloud_and_the_one_before_it_resumes(kernel, recipe):
    """One flipped byte in the newest: the run goes on from the older one, to the same bits."""
    straight = kernel.run(recipe)
    recipe |= {"name": "broken", "checkpoint": {"every": 1, "keep_last": 3}}
    stop = Stop()
    kernel.plugins.all.append(_active("stopper", stopper := StopAfter(4, stop)))
    kernel.plugins.manager.register(stopper, "stopper")
    kernel.run(recipe, stop=stop)
    kernel.plugins.manager.unregister(stopper)
    run = kernel.workspace.runs / "broken-1"
    newest = max((run / "checkpoints").glob("step-*")) / "state.safetensors"
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(data)

    resumed = kernel.resume("broken-1")

    assert "hash differs" in events(run, "warning")[-1]["text"]
    assert events(run, "rewind")[0]["step"] == 3
    assert all(torch.equal(weights(straight)[name], w) for name, w in weights(resumed).items())


def test_checkpoints_of_which_none_is_intact_end_the_run(kernel, recipe):
    """Never a silent fresh start."""
    stop = Stop()
    kernel.plugins.all.append(_active("stopper", stopper := StopAfter(2, stop)))
    kernel.plugins.manager.register(stopper, "stopper")
    kernel.run(recipe, stop=stop)
    kernel.plugins.manager.unregister(stopper)
    for manifest in only_run(kernel).glob("checkpoints/*/MANIFEST.json"):
        manifest.write_text("{}")

    outcome = kernel.resume("@last")

    assert outcome.status == "failed"
    assert outcome.error.code == "R604"


def test_changed_data_is_not_resumed(kernel, recipe, rows):
    """A checkpoint knows its data; other data is an error that says so."""
    stop = Stop()
    kernel.plugins.all.append(_active("stopper", stopper := StopAfter(2, stop)))
    kernel.plugins.manager.register(stopper, "stopper")
    kernel.run(recipe, stop=stop)
    kernel.plugins.manager.unregister(stopper)
    rows.write_text(rows.read_text().replace("What is 1?", "What is I?"))

    outcome = kernel.resume("@last")

    assert "belongs to another data" in str(outcome.error)


def test_a_finished_run_is_not_resumed(kernel, recipe):
    """The error says how to run the same recipe again."""
    kernel.run(recipe)

    with pytest.raises(RunError, match=r"is finished[\s\S]*resolved.toml"):
        kernel.resume("tiny-1")


def test_two_processes_cannot_work_on_one_run(kernel, recipe):
    """The second is refused with the first one's process and host."""
    from llamahome_core import files

    stop = Stop()
    stop.request()
    kernel.run(recipe, stop=stop)
    with (
        files.lock(only_run(kernel) / ".lock"),
        pytest.raises(RunLockedError, match="process"),
    ):
        kernel.resume("tiny-1")


def test_a_gradient_that_is_not_finite_skips_the_step_and_three_in_a_row_end_the_run(
    kernel, recipe
):
    """An absurd learning rate: the weights stay finite, the warnings name the rows."""
    recipe["optimizer"]["learning_rate"] = 1e38
    recipe["train"] = {"steps": 20, "clip": 0}

    outcome = kernel.run(recipe)

    assert outcome.status == "failed"
    assert "not finite in 3 steps in a row" in str(outcome.error)
    (first, *_) = events(only_run(kernel), "warning")
    named = re.search(r"look at \S*train\.jsonl \(\[\[data\]\] 1\) rows? ([\d, ]+)$", first["text"])
    assert named
    assert {int(row) for row in named[1].split(", ")} < set(range(1, 25))


def test_pretraining_learns_plain_text(kernel, recipe, tmp_path):
    """Rows of text, every token but the first."""
    path = tmp_path / "text.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"row {i} of plain text"}) + "\n" for i in range(9))
    )
    recipe |= {"objective": {"use": "pretrain"}, "data": [{"use": "jsonl", "path": str(path)}]}

    outcome = kernel.run(recipe)

    assert outcome.error is None
    (data,) = events(only_run(kernel), "data")
    assert data["trained_tokens"] == data["tokens"] - data["documents"]


def test_published_weights_load_in_plain_transformers_and_peft_and_agree(
    kernel, recipe, tiny_model
):
    """Merged and adapter-on-base give the same logits, in this process without LlamaHome's part."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    recipe["adapter"] = {"use": "lora", "rank": 4}

    version = kernel.run(recipe).version

    merged = AutoModelForCausalLM.from_pretrained(version.files["merged"])
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    untrained = base(torch.arange(20)[None]).logits
    adapted = PeftModel.from_pretrained(base, version.files["adapter"])
    ids = torch.arange(20)[None]
    with torch.no_grad():
        left, right = merged(ids).logits, adapted(ids).logits
    assert merged.config._attn_implementation == "sdpa"
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)
    assert (left - untrained).abs().max() > 1e-2


def test_a_run_killed_after_publishing_publishes_no_second_version(kernel, recipe):
    """What it published counts, though it did not live to write that down."""
    first = kernel.run(recipe)
    run = only_run(kernel)
    (run / "status.json").unlink()  # as a kill between the two leaves it

    again = kernel.resume("tiny-1")

    assert again.version == first.version
    assert [e["label"] for e in events(run, "published")] == ["tiny:v1", "tiny:v1"]
