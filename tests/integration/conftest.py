"""The command as a real process: its environment, a recipe for it, plugins installed beside it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def _environment(**more: str) -> dict[str, str]:
    theirs = ("LLAMAHOME_", "NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(theirs)}
    return kept | {"XDG_CONFIG_HOME": "/nonexistent", "OMP_NUM_THREADS": "1"} | more


def _llamahome(*words: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    settings: dict[str, Any] = {"env": _environment(), "stderr": subprocess.PIPE}
    settings |= {"stdout": subprocess.PIPE, "text": True} | more
    return subprocess.run([*COMMAND, *words], cwd=cwd, check=False, **settings)


def _install(folder: Path, name: str, code: str) -> dict[str, str]:
    metadata = folder / f"lh_{name}-1.0.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lh-{name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[llamahome]\n{name} = lh_{name}\n")
    (folder / f"lh_{name}.py").write_text(textwrap.dedent(code))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return _environment(PYTHONPATH=path)


class Started:
    """A command that is going on, with the events of its run."""

    def __init__(self, *words: str, cwd: Path, env: dict[str, str], before: list[str]) -> None:
        self.runs = cwd / "runs"
        self.process = subprocess.Popen(
            [*before, *COMMAND, *words],
            cwd=cwd,
            env=env,
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


@pytest.fixture(scope="session")
def recipe_text() -> str:
    """A recipe of 40 steps over ``./model`` and ``rows.jsonl``."""
    return RECIPE


@pytest.fixture(scope="session")
def environment() -> Callable[..., dict[str, str]]:
    """This process's variables, without settings of LlamaHome and of the terminal."""
    return _environment


@pytest.fixture(scope="session")
def llamahome() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command to its end."""
    return _llamahome


@pytest.fixture(scope="session")
def install() -> Callable[[Path, str, str], dict[str, str]]:
    """Installs a plugin of one module in a folder; returns variables with which it is found."""
    return _install


@pytest.fixture
def start() -> Callable[..., Started]:
    """Starts the command."""

    def make(*words: str, cwd: Path, **more: Any) -> Started:
        return Started(*words, cwd=cwd, **{"env": _environment(), "before": []} | more)

    return make


@pytest.fixture(scope="session")
def with_acme() -> Callable[..., Any]:
    """Makes a kernel with the built-in plugins and that of ``acme.py``, over a folder."""
    from llamahome_core import Kernel, Workspace
    from llamahome_core.discovery import discover, from_object

    path = Path(__file__).with_name("acme.py")
    spec = importlib.util.spec_from_file_location("acme_of_the_tests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where attrs resolves the types of its settings
    spec.loader.exec_module(module)

    def make(folder: Path, **more: Any) -> Kernel:
        own = [plugin for plugin in discover() if plugin.origin.startswith("llamahome ")]
        return Kernel(
            [*own, from_object(module.Acme())],
            workspace=Workspace(folder),
            user_file=folder / "user" / "config.toml",
            **{"environ": {}} | more,
        )

    return make
