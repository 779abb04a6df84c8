"""Signals, sent to real runs at every moment: the first saves, the second ends."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def slow_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's bigger sister: a step takes a moment in which a signal can come."""
    import torch
    from transformers import AutoConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("slow") / "model"
    shutil.copytree(tiny_model, folder)
    settings = AutoConfig.from_pretrained(str(folder))
    settings.update(
        {
            "hidden_size": 384,
            "intermediate_size": 768,
            "num_hidden_layers": 6,
            "head_dim": 96,
        }
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        LlamaForCausalLM(settings).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(slow_model: Path, rows: Path, tmp_path: Path, recipe_text: str) -> Path:
    """A workspace with a recipe, a model and rows."""
    work = tmp_path / "work"
    (work / ".config").mkdir(parents=True)
    (work / ".config" / "llamahome.toml").write_text("")
    (work / "recipe.toml").write_text(recipe_text)
    (work / "model").symlink_to(slow_model)
    (work / "rows.jsonl").write_bytes(rows.read_bytes() * 20)
    return work


# What is going on when the signal comes, the event that tells of it, and what makes it last.
MOMENTS = {
    "fetch": ('"phase": "fetch"', ()),
    "prepare": ('"stage": "prepare", "status": "started"', ()),
    "load": ('"phase": "load model"', ()),
    "evaluate": ('"phase": "train"', ("evaluate.split=0.5",)),
    "sample": ('"t": "eval"', ("evaluate.split=0.1", 'sample.prompts=["a","b","c"]')),
    "train": ('"t": "train"', ()),
    "publish": ('"t": "waits.publish"', ("train.steps=1", "adapter.use=lora")),
}
WAITS = """
    import time
    from llamahome_core import Stage, Trained, hookimpl

    @hookimpl
    def llamahome_stages():
        yield Stage(name="hold", summary="", run="lh_waits:hold", after=("train",))
        yield Stage(name="last", summary="", run="lh_waits:last", after=("publish",))

    def wait(context, moment):
        context.events.emit(f"waits.{moment}")
        end = time.monotonic() + 60
        while not context.stop.requested and time.monotonic() < end:
            time.sleep(0.01)

    def hold(context):
        context.put(Trained, Held(context, context.get(Trained)))

    def last(context):
        wait(context, "after")

    class Held:
        def __init__(self, context, trained):
            self.context, self.trained = context, trained

        def __getattr__(self, name):
            return getattr(self.trained, name)

        def save_adapter(self, folder):
            wait(self.context, "publish")
            return self.trained.save_adapter(folder)
"""


@pytest.fixture
def waiting(install, tmp_path: Path) -> dict[str, str]:
    """Variables with which a plugin is found that waits for the signal where work is short."""
    found: dict[str, str] = install(tmp_path / "site", "waits", WAITS)
    return found


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_first_signal_stops_cleanly_whatever_is_going_on(
    moment: str, folder: Path, start, waiting: dict[str, str]
) -> None:
    """Exit 130 after a save, the command that goes on is printed, and it does go on."""
    event, changes = MOMENTS[moment]
    words = [word for change in changes for word in ("--set", change)]
    started = start("run", "recipe.toml", *words, cwd=folder, env=waiting)
    started.wait_for(event)

    started.process.send_signal(signal.SIGINT)
    code, out, err = started.end()

    assert (code, out) == (130, ""), err
    assert "llamahome run --resume bot-1" in err
    assert json.loads((folder / "runs/bot-1/status.json").read_bytes())["state"] == "stopped"
    assert "Traceback" not in err


def test_a_signal_when_the_work_is_done_stops_nothing(
    folder: Path, start, waiting: dict[str, str]
) -> None:
    """The version is out: exit 0, and it is said what became of the signal."""
    # Whole weights alone: the wait in the middle of publishing is not reached.
    words = ["--set", "train.steps=1", "--set", "publish.adapter=false"]
    started = start("run", "recipe.toml", *words, cwd=folder, env=waiting)
    started.wait_for('"t": "waits.after"')

    started.process.send_signal(signal.SIGINT)
    code, out, err = started.end()

    assert (code, out) == (0, "bot:v1\n"), err
    assert "the signal came when the work was done" in err
    assert json.loads((folder / "runs/bot-1/status.json").read_bytes())["state"] == "finished"


def test_a_run_that_sigterm_stopped_goes_on_to_its_end(folder: Path, start, llamahome) -> None:
    started = start("run", "recipe.toml", "--set", "train.steps=6", cwd=folder)
    started.wait_for('"t": "train"')

    started.process.terminate()
    code, _, err = started.end()
    done = llamahome("run", "--resume", cwd=folder)

    assert code == 143, err
    assert (done.returncode, done.stdout) == (0, "bot:v1\n"), done.stderr


def test_a_terminal_that_closes_stops_the_run_cleanly(folder: Path, start) -> None:
    """It says so more than once: by itself, and through the shell."""
    started = start("run", "recipe.toml", cwd=folder)
    started.wait_for('"t": "train"')

    started.process.send_signal(signal.SIGHUP)
    started.wait_for('"t": "stopping"')
    started.process.send_signal(signal.SIGHUP)
    code, _, err = started.end()

    assert code == 129, err
    assert json.loads((folder / "runs/bot-1/status.json").read_bytes())["state"] == "stopped"
    assert list((folder / "runs/bot-1/checkpoints").glob("step-*"))


def test_under_nohup_a_terminal_that_closes_changes_nothing(folder: Path, start) -> None:
    words = ["run", "recipe.toml", "--set", "train.steps=4"]
    started = start(*words, cwd=folder, before=["nohup"])
    started.wait_for('"t": "train"')

    started.process.send_signal(signal.SIGHUP)
    code, out, err = started.end()

    assert (code, out) == (0, "bot:v1\n"), err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_stops_at_once_and_leaves_nothing_half_written(
    number: signal.Signals, folder: Path, start, llamahome
) -> None:
    started = start("run", "recipe.toml", "--set", "batch.tokens=8192", cwd=folder)
    started.wait_for('"phase": "train"')
    started.process.send_signal(number)
    started.wait_for('"t": "stopping"')

    started.process.send_signal(number)
    code, _, _ = started.end()

    assert code == -number
    listed = llamahome("runs", "--json", cwd=folder)
    assert [run["state"] for run in json.loads(listed.stdout)["runs"]] == ["lost"]
    for checkpoint in (folder / "runs/bot-1").glob("checkpoints/step-*"):
        assert (checkpoint / "MANIFEST.json").exists()
