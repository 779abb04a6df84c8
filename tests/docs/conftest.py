"""What the tests of the documentation share: its pages, their blocks, and a place to try them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, frozen

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Start of a command -> why it cannot run in a test, and what covers it instead.
CANNOT_RUN = {
    "python3 -m venv": "it makes an environment and downloads torch; .ci/run and tox run it",
    "export PIP_EXTRA_INDEX_URL=": "it chooses an index of pip; CI sets it",
    "pip install '.[": "it downloads torch; `tox run -e pkg` installs the package that is built",
}

# What a page shows -> what is run instead: the same command, cut short or offline.
INSTEAD = {
    r"^python3 -m venv .*&& llamahome run quickstart$": "llamahome run quickstart",
    r"^llamahome run (?!--resume)(\S+)": r"llamahome run \1 --set sample.max_tokens=4",
    r"^(llamahome run quickstart .*)": r"\1 --set train.steps=2",
    r"^pip install (\./\S+)": r"pip install -q --no-deps --no-build-isolation --target $SITE \1",
}


@frozen
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    info: dict[str, str]
    text: str

    @property
    def title(self) -> str | None:
        """The file that the block is, if the page says so."""
        return self.info.get("title")

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def exit_code(self) -> int:
        """What the last command exits with; 0 if the page does not say."""
        return int(self.info.get("exit", 0))

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each command, with the lines that the page shows below it."""
        if self.language == "bash":
            joined = self.text.replace("\\\n", " ")
            lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
            yield from ((line, []) for line in lines)
            return
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = re.sub(r"\\\n", " ", part).partition("\n")
            yield command, shown.splitlines()


def pages() -> list[Path]:
    """README and the pages of docs/, without the results that trials write."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(p for p in found if "results" not in p.parts)]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of *page*, in order."""
    text, found = page.read_text(encoding="utf-8"), []
    for match in FENCE.finditer(text):
        info = dict(word.split("=", 1) for word in shlex.split(match[2]) if "=" in word)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[1], info, match[3]))
    return found


def in_a_test(command: str) -> str | None:
    """What to run for *command*; None if it cannot run in a test."""
    for pattern, instead in INSTEAD.items():
        command = re.sub(pattern, instead, command)
    return None if command.startswith(tuple(CANNOT_RUN)) else command


# Page -> what tests its blocks in another way.
TESTED_ELSEWHERE = {
    "hooks.md": "test_reference.py runs the example of each hook in a kernel",
}


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def docs() -> Any:
    """The pages and what is known of them, for tests, which cannot import this file."""
    return SimpleNamespace(pages=pages, blocks=blocks, cannot_run=CANNOT_RUN, in_a_test=in_a_test)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each page, each that is followed, each recipe of examples/."""
    if "page" in metafunc.fixturenames:
        chosen = pages()
        metafunc.parametrize("page", chosen, ids=[str(p.relative_to(ROOT)) for p in chosen])
    if "followed" in metafunc.fixturenames:
        chosen = [
            p for p in pages() if p.name not in TESTED_ELSEWHERE and any(map(acts, blocks(p)))
        ]
        metafunc.parametrize("followed", chosen, ids=[str(p.relative_to(ROOT)) for p in chosen])
    if "example_recipe" in metafunc.fixturenames:
        found = sorted((ROOT / "examples" / "recipes").glob("*.toml"))
        metafunc.parametrize("example_recipe", found, ids=[p.stem for p in found])


def acts(block: Block) -> bool:
    """Whether a reader does something with *block*."""
    return block.title is not None or block.language in {"bash", "console", "python", "toml"}


@define
class Sandbox:
    """A folder, a workspace and an environment in which a page is followed step by step."""

    folder: Path
    environ: dict[str, str]
    kernel: Any
    base: dict[str, Any]

    def follow(self, block: Block) -> None:
        """Do what a reader does with *block*."""
        if block.title:
            self._write(block)
        if block.language in {"console", "bash"}:
            self._type(block)
        elif block.language == "python" and not block.title:
            self.run(f"{shlex.quote(sys.executable)} -c {shlex.quote(block.text)}", block.where)
        elif block.language == "toml":
            self._check(block)

    def run(self, command: str, where: str, code: int = 0) -> str:
        """Run *command* in the folder; returns what it printed."""
        done = subprocess.run(
            ["/usr/bin/env", "bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{where}: {command}\n{done.stdout}"
        return done.stdout

    def _write(self, block: Block) -> None:
        path = self.folder / str(block.title)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def _type(self, block: Block) -> None:
        commands = list(block.commands())
        for number, (command, shown) in enumerate(commands, 1):
            runnable = in_a_test(command)
            if runnable is None:
                continue
            last = number == len(commands)
            printed = self.run(runnable, block.where, block.exit_code if last else 0)
            if shown:
                assert matches(shown, printed), f"{block.where}: {command} prints\n{printed}"

    def _check(self, block: Block) -> None:
        """Settings must be readable, a recipe must be one, and a part must fit into one."""
        tables = tomllib.loads(block.text)
        if block.title and ".config" in block.title:
            self.run("llamahome check", block.where)
        elif block.title and "model" in tables:
            self.run(f"llamahome check {block.title}", block.where, block.exit_code)
        elif not block.title:
            self.kernel.plan(self.base | tables)


def matches(shown: list[str], printed: str) -> bool:
    """Whether a page shows what was printed.

    ``...`` stands for anything, and alone on its line for any lines; the width of gaps is free.
    """
    pattern = ""
    for line in shown:
        if line.strip() in {"...", "…"}:
            pattern += r"(?:.*\n)*?"
            continue
        parts = [re.escape(part) for part in re.split(r"\.\.\.|…", line.rstrip())]
        pattern += re.sub(r"(?:\\ )+", " +", ".*?".join(parts)) + r" *\n"
    text = printed if printed.endswith("\n") else printed + "\n"
    return re.fullmatch(pattern, text) is not None


@pytest.fixture
def sandbox(tmp_path: Path, tiny_model: Path, kernel: Any, recipe: dict[str, Any]) -> Sandbox:
    """A folder with rows and a recipe; the name of the quickstart's model means a tiny one."""
    folder, settings = tmp_path / "project", tmp_path / "settings" / "llamahome"
    folder.mkdir()
    settings.mkdir(parents=True)
    source = json.dumps(str(tiny_model))
    (settings / "config.toml").write_text(
        f"[models.smollm2-135m-instruct]\nsource = {source}\n[resources]\nthreads = 1\n"
    )
    shutil.copy(ROOT / "examples" / "data" / "train.jsonl", folder / "train.jsonl")
    shutil.copy(ROOT / "examples" / "data" / "text.jsonl", folder / "text.jsonl")
    (folder / "recipe.toml").write_text(
        '[model]\nfrom = "smollm2-135m-instruct"\n\n[[data]]\nuse = "jsonl"\n'
        'path = "train.jsonl"\n\n[train]\nsteps = 2\n\n[evaluate]\nsplit = 0.2\n'
    )
    before = [path for path in [os.environ.get("PYTHONPATH")] if path]
    mine = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "settings"),
        "LLAMAHOME_HOME": str(tmp_path / "home"),
        "SITE": str(tmp_path / "site"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *before]),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "HF_HUB_OFFLINE": "1",
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LLAMAHOME_")}
    base = recipe | {"model": {"from": str(tiny_model)}}
    return Sandbox(folder, kept | mine, kernel, base)
