"""A hundred wrong recipes and settings: each is refused with its place and its remedy."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import ConfigError, Kernel, Workspace

_CORPUS = runpy.run_path(str(Path(__file__).with_name("wrong_recipes.py")))
CASES, BASES = _CORPUS["CASES"], _CORPUS["BASES"]
HEAVY = ("torch", "transformers", "numpy", "peft", "rich", "safetensors", "tokenizers")
MARKER = ".config/llamahome.toml"


def everything(folder: Path) -> dict[str, bytes | None]:
    """All paths below *folder*, with what the files hold."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture
def absent(tmp_path: Path) -> Kernel:
    """A kernel whose workspace does not exist yet, deaf to this machine's settings."""
    from llamahome_core.discovery import Policy

    return Kernel(
        policy=Policy(strict=True),
        workspace=Workspace(tmp_path / "absent"),
        environ={},
        user_file=tmp_path / "no-user-file.toml",
    )


def problem_of(error: ConfigError) -> Any:
    """The only problem of *error*."""
    assert len(error.problems) == 1, [p.message for p in error.problems]
    return error.problems[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_wrong_recipe_is_refused_with_its_place_and_its_remedy(
    case: Any, absent: Kernel, tmp_path: Path
) -> None:
    path = tmp_path / f"recipe.{case.suffix}"
    path.write_text(case.text, encoding="utf-8")
    before = everything(tmp_path)

    with pytest.raises(ConfigError) as caught:
        absent.plan(path)

    problem = problem_of(caught.value)
    assert caught.value.exit_code == 2
    assert (problem.code, problem.span.line, problem.span.column) == (case.code, *case.place)
    assert case.words in f"{problem.message} {problem.advice}"
    assert everything(tmp_path) == before


def test_the_corpus_has_a_hundred_recipes_and_thirty_of_each_format() -> None:
    assert len({case.text for case in CASES}) == len(CASES) >= 100
    for suffix in BASES:
        assert sum(case.suffix == suffix for case in CASES) >= 30


WRONG_BYTES = {
    "utf-16.toml": ("seed = 1\n".encode("utf-16"), "C109", "UTF-8"),
    "latin.yaml": ("name: \xe9t\xe9\n".encode("latin-1"), "C109", "UTF-8"),
    "nul.json": (b'{"seed": \x00}', "C109", "byte 0x00 at offset 9"),
    "empty.json": (b"", "C107", "{"),
    "recipe.txt": (b"seed = 1\n", "C109", ".toml, .yaml or .json"),
}


@pytest.mark.parametrize("name", WRONG_BYTES)
def test_a_file_in_a_wrong_encoding_or_format_says_what_is_read(
    name: str, absent: Kernel, tmp_path: Path
) -> None:
    raw, code, words = WRONG_BYTES[name]
    (tmp_path / name).write_bytes(raw)

    with pytest.raises(ConfigError) as caught:
        absent.plan(tmp_path / name)

    problem = problem_of(caught.value)
    assert (problem.code, caught.value.exit_code) == (code, 2)
    assert words in f"{problem.message} {problem.advice}"


# File of the workspace, its text with the mark, and what must be said.
SETTINGS = [
    (MARKER, "[train]\n⟦stpes = 3\n", "C101", "did you mean `steps`?"),
    (MARKER, "seed = ⟦'7'\n", "C102", "remove the quotes: seed = 7"),
    (MARKER, "[network]\noffline = ⟦1\n", "C102", "true or false"),
    (MARKER, "[plugins]\n⟦blocked = ['x']\n", "C101", "did you mean `locked`?"),
    (MARKER, "seed = ⟦\n", "C107", "a value is missing"),
    (MARKER, "[optimizer]\nuse = ⟦'adma'\n", "C106", "did you mean 'adamw'?"),
    (MARKER, "[⟦tarin]\n", "C101", "did you mean `train`"),
    (".config/training_config.yaml", "train:\n  ⟦stpes: 3\n", "C101", "`steps`"),
    (".config/training_config.yaml", "train:\n⟦\tsteps: 3\n", "C107", "spaces, not tabs"),
    (".config/training_config.yaml", "batch: {tokens: ⟦'64'}\n", "C102", "tokens: 64"),
    (".config/models.json", '{"bot": {⟦"souce_": "hub:a/b", "source": "x"}}', "C101", "`source`"),
    (".config/models.json", '{⟦"bot": {"licence": "MIT"}}', "C103", "`source` is missing"),
    (".config/models.json", '{"bot": ⟦"hub:a/b"}', "C102", "must be a table"),
    (".config/models.json", '{"b": {"source": "x", "checksum": ⟦"abc"}}', "C104", "sha256"),
    (".config/models.json", '{"bot": {"source": "hub:a/b"}⟦,}', "C107", "remove the comma"),
    (".config/models.json", '{"b": {"source": "x"},\n ⟦"b": {"source": "y"}}', "C108", "twice"),
    (".config/dev.toml", "[train]\n⟦setps = 3\n", "C101", "did you mean `steps`?"),
    (".env", "LLAMAHOME_TRAIN__⟦STPES=3\n", "C101", "did you mean"),
    (".env", "LLAMAHOME_TRAIN__STEPS=⟦three\n", "C102", "must be a whole number"),
    (".env", "LLAMAHOME_SEED=1\n⟦LLAMAHOME_SEED=2\n", "C108", "first on line 1"),
    (".env", "LLAMAHOME_SEED=⟦'1\n", "C107", "closing"),
]


@pytest.mark.parametrize(("name", "marked", "code", "words"), SETTINGS)
def test_each_wrong_setting_of_the_workspace_is_refused_at_its_line(
    name: str, marked: str, code: str, words: str, workspace: Workspace, tmp_path: Path
) -> None:
    path = workspace.root / name
    path.write_text(marked.replace("⟦", ""), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(BASES["toml"], encoding="utf-8")
    before = everything(tmp_path)
    environ = {"LLAMAHOME_ENV": "dev"} if path.stem == "dev" else {}

    with pytest.raises(ConfigError) as caught:
        Kernel(workspace=workspace, environ=environ, user_file=tmp_path / "none.toml").plan(
            tmp_path / "recipe.toml"
        )

    problem = problem_of(caught.value)
    lead = marked[: marked.index("⟦")]
    assert (problem.code, caught.value.exit_code) == (code, 2)
    assert problem.origin.path == path
    assert problem.span.line == lead.count("\n") + 1
    if name != ".env":  # there, the whole name is marked
        assert problem.span.column == len(lead) - (lead.rfind("\n") + 1) + 1
    assert words in f"{problem.message} {problem.advice}"
    assert everything(tmp_path) == before


VARIABLES = [
    ("LLAMAHOME_TRAIN__STPES", "3", "C101", "did you mean `steps`?"),
    ("LLAMAHOME_TRIAN__STEPS", "3", "C101", "did you mean"),
    ("LLAMAHOME_SEED", "x", "C102", "must be a whole number"),
    ("LLAMAHOME_TRAIN__STEPS", "1.5", "C102", "must be a whole number"),
    ("LLAMAHOME_OPTIMIZER__USE", "adam", "C106", "did you mean 'adamw'?"),
    ("LLAMAHOME_NETWORK__OFFLINE", "perhaps", "C102", "true or false"),
]


@pytest.mark.parametrize(("name", "value", "code", "words"), VARIABLES)
def test_each_wrong_environment_variable_is_refused_by_its_name(
    name: str, value: str, code: str, words: str, absent: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(BASES["toml"], encoding="utf-8")
    absent.environ = {name: value}

    with pytest.raises(ConfigError) as caught:
        absent.plan(tmp_path / "recipe.toml")

    problem = problem_of(caught.value)
    assert (problem.code, caught.value.exit_code) == (code, 2)
    assert name in str(problem.place)
    assert words in f"{problem.message} {problem.advice}"


ASSIGNMENTS = [
    ("train.stpes=3", "C101", "did you mean `steps`?"),
    ("train.steps=many", "C102", "must be a whole number"),
    ("train.steps", "C111", "write --set train.steps=VALUE"),
    ("=3", "C111", "key"),
    ("train=3", "C102", "must be a table"),
    ("optimizer.use=sgd", "C106", "installed: adamw"),
    ("data.5.path=x", "C111", "has no element 5"),
    ("data.0.path=", "C111", "write --set data.0.path=VALUE"),
    ("batch.overlong=cut", "C105", '"drop"'),
    ("train.clip=-1", "C104", "at least 0"),
]


@pytest.mark.parametrize(("text", "code", "words"), ASSIGNMENTS)
def test_each_wrong_assignment_is_refused_as_it_was_typed(
    text: str, code: str, words: str, absent: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(BASES["toml"], encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        absent.plan(tmp_path / "recipe.toml", assignments=[text])

    problem = problem_of(caught.value)
    assert (problem.code, caught.value.exit_code) == (code, 2)
    assert f"--set {text}" in str(problem.place)
    assert words in f"{problem.message} {problem.advice}"


RUN_ALL = """
import contextlib, io, json, sys
from llamahome_core.cli import main

told = {}
for name in sys.argv[1:]:
    errors, results = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(results):
        try:
            main(["run", name])
        except SystemExit as ended:
            told[name] = [ended.code, results.getvalue(), errors.getvalue()]
print(json.dumps({"told": told, "modules": sorted(sys.modules)}))
"""


def test_run_refuses_all_of_them_and_writes_and_imports_nothing(tmp_path: Path) -> None:
    """One process, `llamahome run` for each: exit 2, the place on stderr, no workspace made."""
    folder, home = tmp_path / "recipes", tmp_path / "home"
    folder.mkdir()
    for number, case in enumerate(CASES):
        (folder / f"{number}.{case.suffix}").write_text(case.text, encoding="utf-8")
    before = everything(tmp_path)
    names = [f"{number}.{case.suffix}" for number, case in enumerate(CASES)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMAHOME_", "COV"))}

    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, *names],
        cwd=folder,
        env={**kept, "LLAMAHOME_HOME": str(home), "XDG_CONFIG_HOME": str(tmp_path / "user")},
        capture_output=True,
        text=True,
        check=True,
    )

    found = json.loads(done.stdout)
    for name, case in zip(names, CASES, strict=True):
        code, result, errors = found["told"][name]
        line, column = case.place
        assert (code, result) == (2, "")
        assert f"error[{case.code}]" in errors
        assert f"{name}:{line}:{column}" in errors
        assert "nothing was loaded" in errors
    assert not home.exists()
    assert everything(tmp_path) == before
    assert not {module.partition(".")[0] for module in found["modules"]} & set(HEAVY)
