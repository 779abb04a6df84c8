"""A store in a folder of the test's own, and a folder to put into it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llamahome_core import Workspace
from llamahome_stores.config import LocalConfig
from llamahome_stores.local import LocalStore


@pytest.fixture
def store(tmp_path) -> LocalStore:
    context: Any = SimpleNamespace(workspace=Workspace(tmp_path))
    return LocalStore(LocalConfig(root=tmp_path / "store"), context)


@pytest.fixture
def folder(tmp_path) -> Path:
    path: Path = tmp_path / "model"
    (path / "deep").mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "deep" / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    return path
