"""All parts together, as a user has them: the recipe of the package, and the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llamahome_core import read_events

RECIPE = Path(__file__).parents[1] / "recipe.toml"


@pytest.fixture
def llamahome(tmp_path):
    """Runs the command, in a process and a workspace of its own."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("LLAMAHOME_")}
    mine |= {"LLAMAHOME_HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "user")}

    def run(*words):
        command = [sys.executable, "-m", "llamahome_core", *map(str, words)]
        done = subprocess.run(
            command, cwd=tmp_path, env=mine, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_recipe_runs_and_every_part_has_its_say(llamahome, tiny_model, tmp_path):
    """A loss that falls, a diary, an archive that answers; the model is a tiny one."""
    settings = ["--set", f"model.from={tiny_model}", "--set", "optimizer.learning_rate=0.01"]

    label = llamahome("run", RECIPE, *settings)
    plan = llamahome("plan", RECIPE, *settings)

    for part in ("phrasebook", "polite", "smooth", "lion", "diary", "attic"):
        assert f" {part} " in plan
    assert label == "hello:v1\n"
    (run,) = (tmp_path / "home" / "runs").iterdir()
    events = [event for _, event in read_events(run / "events.jsonl")]
    of = {event["t"]: event for event in events}
    assert of["data"]["rows"] == 16
    assert of["data"]["transforms"] == [
        {"use": "polite", "changed": 15, "dropped": {"shouting": 1}}
    ]
    losses = [event["loss"] for event in events if event["t"] == "train"]
    assert losses[-1] < losses[0]
    diary = (run / "diary.md").read_text(encoding="utf-8")
    assert "- 16 phrases were read from " in diary
    assert "**hello:v1**" in diary
    (archive, *_) = (tmp_path / "home").rglob("content.zip")
    assert archive.parent.name.startswith("hello")

    # The store is chosen in the recipe; a command outside a run takes it from the settings.
    llamahome("config", "set", "--user", "store.use", "attic")
    assert llamahome("generate", "hello:v1", "--prompt", "How are you?", "--max-tokens", "3")
