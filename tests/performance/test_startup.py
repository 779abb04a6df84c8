"""What a command costs before it does anything: CPU time, and what it imports."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

BUDGET = 0.30
"""Seconds of CPU, user and system, of one command."""

HEAVY = {
    "boto3",
    "deepspeed",
    "fastapi",
    "gguf",
    "huggingface_hub",
    "numpy",
    "peft",
    "psutil",
    "rich",
    "safetensors",
    "tensorboard",
    "tokenizers",
    "torch",
    "transformers",
}

# Written at exit, so that nothing imported on the way out is missed.
WATCHED = """
import atexit, json, os, sys
def tell():
    with open(os.environ["MODULES_FILE"], "w") as file:
        json.dump(sorted(sys.modules), file)
atexit.register(tell)
from llamahome_core.cli import main, program
main(sys.argv[1:]) if sys.argv[1:] else program()
"""

RECIPE = """
[model]
from = "./model"
[[data]]
use = "jsonl"
path = "rows.jsonl"
[adapter]
use = "lora"
[[monitor]]
use = "tensorboard"
"""

COMMANDS = [
    ["--help"],
    ["--version"],
    ["plugins"],
    ["check", "recipe.toml"],
    ["check", "quickstart"],
    ["show", "adapter", "lora"],
    ["config", "show", "--all"],
    ["runs", "list"],
    ["schema"],
    ["explain", "C101"],
]
TIMED = COMMANDS[:5]


def environment(tmp_path: Path) -> dict[str, str]:
    """This process's, without settings and without the tracing of coverage, which costs time."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMAHOME_", "COV"))}
    return kept | {
        "LLAMAHOME_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "user"),
        "MODULES_FILE": str(tmp_path / "modules.json"),
    }


def start(command: list[str], tmp_path: Path, **more: str) -> None:
    """Run ``llamahome`` to its end, in a folder with a recipe."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    subprocess.run(
        [sys.executable, "-c", WATCHED, *command],
        cwd=tmp_path,
        env=environment(tmp_path) | more,
        capture_output=True,
        check=True,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_light_command_imports_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    """No library of a plugin, and of each plugin only what declares."""
    start(command, tmp_path)

    modules = json.loads((tmp_path / "modules.json").read_text())

    assert not {module.partition(".")[0] for module in modules} & HEAVY
    plugins = [m for m in modules if m.startswith("llamahome_") and "_core" not in m]
    assert {m for m in plugins if not m.endswith((".plugin", ".config")) and "." in m} == set()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("command", TIMED, ids=" ".join)
def test_a_light_command_costs_at_most_three_tenths_of_a_second(
    command: list[str], tmp_path: Path
) -> None:
    assert best(command, tmp_path) <= BUDGET


@pytest.mark.parametrize("line", ["llamahome ", "llamahome run --set ", "llamahome runs show "])
def test_an_answer_at_tab_costs_as_little(line: str, tmp_path: Path) -> None:
    """Somebody waits for it, with a hand on the key."""
    asked = {"_LLAMAHOME_COMPLETE": "zsh_complete", "COMP_WORDS": line, "COMP_CWORD": "9"}

    assert best([], tmp_path, **asked) <= BUDGET


def best(command: list[str], tmp_path: Path, **more: str) -> float:
    """The best of five: another process can make a command slower, and never faster."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start(command, tmp_path, **more)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_costs_no_more_where_plugins_are_compared_with_a_lock(tmp_path: Path) -> None:
    """The files of a third party's plugin, two hundred of them, are hashed before its import."""
    site = tmp_path / "site"
    package, metadata = site / "lh_many", site / "lh_many-1.0.dist-info"
    package.mkdir(parents=True)
    metadata.mkdir()
    for number in range(200):
        (package / f"m{number}.py").write_text("x = 1\n" * 1000)
    (package / "__init__.py").write_text("from llamahome_core import hookimpl\n")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lh-many\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[llamahome]\nmany = lh_many\n")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    start(["plugins", "lock"], tmp_path, PYTHONPATH=path)
    start(["--locked", "plugins"], tmp_path, PYTHONPATH=path)
    assert "lh_many" in json.loads((tmp_path / "modules.json").read_text())

    assert best(["--help"], tmp_path, PYTHONPATH=path, LLAMAHOME_LOCKED="1") <= BUDGET
