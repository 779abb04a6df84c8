"""The made-up runs of ``replay.py``, for all tests here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_PATH = Path(__file__).with_name("replay.py")


@pytest.fixture(scope="session")
def replay() -> ModuleType:
    """The module ``replay.py``, which is a script too."""
    spec = importlib.util.spec_from_file_location("llamahome_test_replay", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def finished(replay: ModuleType) -> list[dict[str, Any]]:
    """The events of a run that went well."""
    events: list[dict[str, Any]] = replay.finished()
    return events
