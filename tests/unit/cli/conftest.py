"""A command line over a kernel of the test's own, in this process."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from llamahome_core import Kernel, hookimpl
from llamahome_core.cli import main
from llamahome_core.cli.main import State
from llamahome_core.discovery import Policy, discover, from_object


@define
class Result:
    """How a command ended.

    Attributes:
        code: Its exit code.
        out: What it printed to stdout.
        err: What it printed to stderr.
    """

    code: int
    out: str
    err: str


@pytest.fixture
def cli(kernel: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run ``llamahome`` with words, as the entry point does, over the fixture's kernel."""

    def run(*words: str, over: Any = None) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words), state=State(make=lambda _policy: over or kernel))
        out, err = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Result(code, out, err)

    return run


def _plugin(name: str, **hooks: Any) -> types.ModuleType:
    """A plugin made of functions."""
    module = types.ModuleType(name)
    for hook, function in hooks.items():
        setattr(module, hook, hookimpl(function))
    return module


def _over(kernel: Kernel, *modules: types.ModuleType, **more: Any) -> Kernel:
    """A kernel with plugins besides the built-in ones."""
    own = [p for p in discover() if p.origin.startswith("llamahome ")]
    return Kernel(
        [*own, *(from_object(module) for module in modules)],
        policy=more.pop("policy", Policy()),
        workspace=kernel.workspace,
        environ=more.pop("environ", {}),
        user_file=kernel.user_file,
    )


def _write_run(kernel: Kernel, name: str, state: str, *events: dict[str, Any]) -> Path:
    """The folder of a run, as a run leaves it."""
    directory = kernel.workspace.runs / name
    (directory / "log").mkdir(parents=True)
    (directory / "status.json").write_text(json.dumps({"state": state}))
    head = {"schema": "llamahome.event/1", "time": "2026-01-02T03:04:05.678+00:00"}
    lines = [json.dumps(head | event) + "\n" for event in events]
    (directory / "events.jsonl").write_text("".join(lines))
    (directory / "resolved.toml").write_text("")
    (directory / "log" / "run.log").write_text('{"event": "hello", "x": 1}\nplain words\n[1]\n')
    return directory


@pytest.fixture
def plugin() -> Callable[..., types.ModuleType]:
    """Makes a plugin of functions."""
    return _plugin


@pytest.fixture
def over() -> Callable[..., Kernel]:
    """Makes a kernel with more plugins than the fixture's."""
    return _over


@pytest.fixture
def write_run() -> Callable[..., Path]:
    """Makes the folder of a run."""
    return _write_run


@pytest.fixture
def written(tmp_path: Path, recipe: dict[str, Any]) -> Path:
    """The recipe of the tiny model, as a file."""
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    return path
