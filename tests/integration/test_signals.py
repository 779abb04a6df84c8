"""Ctrl-C and SIGTERM, sent to real runs at every moment: the first saves, the second ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


COMMAND = [sys.executable, "-m", "llamahome_core"]


RECIPE = """
name = "bot"
seed = 3
[model]
from = "./model"
[[data]]
use = "jsonl"
path = "rows.jsonl"
[batch]
tokens = 512
[train]
steps = 40
[optimizer]
learning_rate = 1e-3
"""


def environment(**more: str) -> dict[str, str]:
    """This process's, without settings of LlamaHome and of the terminal."""
    theirs = ("LLAMAHOME_", "NO_COLOR", "FORCE_COLOR")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(theirs)}
    return kept | {"XDG_CONFIG_HOME": "/nonexistent", "OMP_NUM_THREADS": "1"} | more


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
def folder(slow_model: Path, rows: Path, tmp_path: Path) -> Path:
    """A workspace with a recipe, a model and rows."""
    work = tmp_path / "work"
    (work / ".config").mkdir(parents=True)
    (work / ".config" / "llamahome.toml").write_text("")
    (work / "recipe.toml").write_text(RECIPE)
    (work / "model").symlink_to(slow_model)
    (work / "rows.jsonl").write_bytes(rows.read_bytes() * 20)
    return work


class Started:
    """A command that is going on, with the events of its run."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self.runs = cwd / "runs"
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=cwd,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Wait until the events hold *text*."""
        deadline = time.monotonic() + seconds
        while not any(text in path.read_text() for path in self.runs.glob("*/events.jsonl")):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


MOMENTS = {
    "fetch": ('"phase": "fetch"', ()),
    "prepare": ('"stage": "prepare", "status": "started"', ()),
    "load": ('"phase": "load model"', ()),
    "evaluate": ('"phase": "train"', ("evaluate.split=0.5",)),
    "sample": ('"t": "eval"', ("evaluate.split=0.1", 'sample.prompts=["a","b","c"]')),
    "train": ('"t": "train"', ()),
    "publish": ('"stage": "publish", "status": "started"', ("train.steps=1",)),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_first_signal_stops_cleanly_whatever_is_going_on(moment: str, folder: Path) -> None:
    """Exit 130 after a save, the command that goes on is printed, and it does go on."""
    event, changes = MOMENTS[moment]
    words = [word for change in changes for word in ("--set", change)]
    started = Started("run", "recipe.toml", *words, cwd=folder)
    started.wait_for(event)

    started.process.send_signal(signal.SIGINT)
    code, out, err = started.end()

    assert (code, out) == (130, ""), err
    assert "llamahome run --resume bot-1" in err
    assert json.loads((folder / "runs/bot-1/status.json").read_bytes())["state"] == "stopped"
    assert "Traceback" not in err


def test_a_run_that_sigterm_stopped_goes_on_to_its_end(folder: Path) -> None:
    started = Started("run", "recipe.toml", "--set", "train.steps=6", cwd=folder)
    started.wait_for('"t": "train"')

    started.process.terminate()
    code, _, err = started.end()
    done = subprocess.run(
        [*COMMAND, "run", "--resume"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert code == 143, err
    assert (done.returncode, done.stdout) == (0, "bot:v1\n"), done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_stops_at_once_and_leaves_nothing_half_written(
    number: signal.Signals, folder: Path
) -> None:
    started = Started("run", "recipe.toml", "--set", "batch.tokens=8192", cwd=folder)
    started.wait_for('"phase": "train"')
    started.process.send_signal(number)
    started.wait_for('"t": "stopping"')

    asked = time.monotonic()
    started.process.send_signal(number)
    started.process.wait(timeout=30)
    seconds = time.monotonic() - asked
    code, _, _ = started.end()

    assert code == -number
    assert seconds < 1
    listed = subprocess.run(
        [*COMMAND, "runs", "--json"], cwd=folder, env=environment(), capture_output=True, check=True
    )
    assert [run["state"] for run in json.loads(listed.stdout)["runs"]] == ["lost"]
    for checkpoint in (folder / "runs/bot-1").glob("checkpoints/step-*"):
        assert (checkpoint / "MANIFEST.json").exists()
