"""The examples work: recipes, settings, the embedding program, the plugin."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from llamahome_core import Kernel, Workspace


@pytest.mark.slow
def test_an_example_recipe_runs(example_recipe, kernel, tiny_model):
    """From the file as it is, with a tiny model in place of its own."""
    outcome = kernel.run(
        example_recipe,
        parameters={
            "model": {"from": str(tiny_model)},
            "train": {"steps": 4},
            "batch": {"tokens": 512} if "rows" not in example_recipe.read_text() else {},
        },
    )

    assert outcome.error is None
    assert outcome.status == "finished"
    assert outcome.metrics["steps"] == 4


def test_the_example_recipes_mean_what_their_comments_say(root, kernel):
    """Each is planned with its own model: names, files and settings are right."""
    plans = {p.stem: kernel.plan(p) for p in (root / "examples" / "recipes").glob("*.toml")}

    assert plans["sft-lora"].recipe.publish.tags == ("latest", "trial")
    assert plans["pretrain-full"].recipe.chosen["objective"].name == "pretrain"
    assert plans["evaluate-split"].recipe.batch.rows == 4
    for plan in plans.values():
        assert all(selection.config.path.is_file() for selection in plan.recipe.data)


@pytest.mark.parametrize(("profile", "offline"), [(None, False), ("offline", True)])
def test_the_example_settings_are_read(root, tmp_path, profile, offline):
    """Three formats, the catalogue, and the environment that LLAMAHOME_ENV names."""
    shutil.copytree(root / "examples" / "workspace", tmp_path / "library")
    environ = {"LLAMAHOME_ENV": profile} if profile else {}
    workspace = Workspace.find(tmp_path / "library", environ)
    kernel = Kernel(workspace=workspace, environ=environ, user_file=tmp_path / "none.toml")
    rows = [{"use": "jsonl", "path": str(root / "examples" / "data" / "train.jsonl")}]

    recipe = kernel.plan({"model": {"from": "small"}, "data": rows}).recipe

    assert recipe.train.clip == 0.5
    assert recipe.chosen["optimizer"].config.weight_decay == 0.01
    assert recipe.evaluate.split == 0.1
    assert recipe.models["small"].source == "hub:HuggingFaceTB/SmolLM2-135M-Instruct"
    assert recipe.network.offline is offline


@pytest.mark.slow
def test_the_embedding_example_runs(root, sandbox):
    """The program prints how the run ended and where the weights are."""
    script = root / "examples" / "embedding" / "embed.py"

    printed = sandbox.run(f"{sys.executable} {script} recipe.toml 2", "embed.py")

    assert "finished" in printed
    assert re.search(r"recipe:v1 \S+/merged$", printed, re.MULTILINE)


def test_the_embedding_example_refuses_a_wrong_recipe(root, sandbox):
    """With the error's message and its exit code."""
    (sandbox.folder / "recipe.toml").write_text("[model]\nfrom = 3\n")
    script = root / "examples" / "embedding" / "embed.py"

    printed = sandbox.run(f"{sys.executable} {script} recipe.toml", "embed.py", code=2)

    assert "there is no [[data]] (and 1 more problem)" in printed


# A cell at a time, as a notebook runs them: in a running loop, with an output that is no file.
NOTEBOOK = """
import asyncio, io, re, signal, sys
signal.signal(signal.SIGINT, lambda *_: None)
handler = signal.getsignal(signal.SIGINT)
cells = re.split(r"^# %%.*$", sys.stdin.read(), flags=re.M)

async def work():
    names, real = {"__name__": "__main__"}, sys.stdout
    sys.stdout = io.StringIO()
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
    sys.stdout, printed = real, sys.stdout.getvalue()
    assert signal.getsignal(signal.SIGINT) is handler
    print(printed)

asyncio.run(work())
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cells", "script"])
def test_the_notebook_runs(root, sandbox, how):
    """From top to bottom as a script, and cell by cell as in Jupyter; it ends with an answer."""
    notebook = root / "examples" / "embedding" / "notebook.py"
    (sandbox.folder / "cells.py").write_text(NOTEBOOK)
    cells = f"{sys.executable} cells.py < {notebook}"

    printed = sandbox.run(
        cells if how == "cells" else f"{sys.executable} {notebook}", "notebook.py"
    )

    told = [line for line in printed.splitlines() if re.match(r"run |step |held |lowest ", line)]
    assert told[0] == "run notebook-1"
    assert [line.partition(":")[0] for line in told[1:-1]] == [
        "held out",
        *(f"step {n} of 4" for n in (1, 2, 3, 4)),
        "held out",
    ]
    assert re.fullmatch(r"lowest loss at step \d of 4", told[-1])
    assert "finished notebook:v1" in printed
    assert re.search(r"^answer: ", printed, re.MULTILINE)


def test_the_tutorial_shows_the_files_of_the_example(root, docs):
    """What the reader of first-plugin.md writes is examples/llamahome-shout, all of it."""
    page = root / "docs" / "tutorials" / "first-plugin.md"
    example = root / "examples" / "llamahome-shout"
    shown = {b.title: b.text for b in docs.blocks(page) if (b.title or "").startswith("llamahome-")}
    written = {
        f"llamahome-shout/{path.relative_to(example)}": path.read_text(encoding="utf-8")
        for path in example.rglob("*")
        if path.is_file() and path.suffix in {".py", ".toml"}
    }

    assert shown == written


@pytest.mark.slow
def test_a_plugin_is_built_installed_and_used(root, sandbox):
    """The wheel of the example, installed by pip into a folder of its own, is found by `use`."""
    shutil.copytree(root / "examples" / "llamahome-shout", sandbox.folder / "llamahome-shout")
    (sandbox.folder / "words.txt").write_text("mind the step\n\ntea is at four\n" * 3)
    (sandbox.folder / "shout.toml").write_text(
        '[model]\nfrom = "smollm2-135m-instruct"\n[[data]]\nuse = "shout"\npath = "words.txt"\n'
        'marks = 2\n[objective]\nuse = "pretrain"\n[train]\nsteps = 2\n'
    )
    pip = f"{sys.executable} -m pip"
    sandbox.run(f"{pip} wheel -q --no-deps --no-build-isolation -w wheels ./llamahome-shout", "pip")
    (wheel,) = (sandbox.folder / "wheels").glob("*.whl")
    sandbox.run(f"{pip} install -q --no-deps --target $SITE {wheel}", "pip")

    listed = json.loads(sandbox.run("llamahome plugins --json", "plugins"))
    printed = sandbox.run("llamahome run shout.toml", "run")

    (shout,) = [plugin for plugin in listed["plugins"] if plugin["name"] == "shout"]
    assert (shout["status"], shout["origin"]) == ("active", "llamahome-shout 0.1.0")
    assert "rows=6" in printed
    assert printed.splitlines()[-1] == "shout:v1"


def test_a_mistake_in_the_settings_of_a_plugin_is_shown_with_its_place(root):
    """A third party's settings are checked as strictly as ours."""
    example = root / "examples" / "llamahome-shout"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from llamahome_core import Kernel\n"
        "import llamahome_shout.plugin as shout\n"
        "rows = [{'use': 'shout', 'path': 'x', 'mark': 1}]\n"
        "Kernel(extra=[shout]).plan({'model': {'from': 'x'}, 'data': rows})\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, example], capture_output=True, text=True, check=False
    )

    assert "unknown key `mark`" in done.stderr
    assert "marks" in done.stderr
