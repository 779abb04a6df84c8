"""Budgets that gate every change: small, seeded; a busy machine raises no alarm."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from llamahome_core.testing.tiny import save_model

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def interleaved() -> Iterator[ModuleType]:
    """``benchmarks/interleaved.py``: the test and the benchmark measure in the same way."""
    path = ROOT / "benchmarks" / "interleaved.py"
    spec = importlib.util.spec_from_file_location("interleaved", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["interleaved"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["interleaved"]


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose step takes some tens of milliseconds: small, but no toy."""
    folder = tmp_path_factory.mktemp("small") / "model"
    save_model(
        folder,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
    )
    return folder
