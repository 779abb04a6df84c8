"""What the tests of the project's shape read: its root, its settings, its sources."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen


@frozen
class Source:
    """One Python file of the code."""

    name: str
    """Its path in the checkout, with slashes."""
    text: str
    """Its content."""
    tree: ast.Module
    """Its syntax tree."""


def read_source(root: Path, path: Path) -> Source:
    """The file at *path*, parsed."""
    text = path.read_text(encoding="utf-8")
    return Source(path.relative_to(root).as_posix(), text, ast.parse(text, str(path)))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def settings(root: Path) -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def plugin_folders(root: Path) -> list[Path]:
    """The folder of each built-in plugin, whether or not it is registered."""
    return sorted(path for path in (root / "plugins").iterdir() if any(path.glob("*.py")))


@pytest.fixture(scope="session")
def packages(plugin_folders: list[Path]) -> list[str]:
    """The names of the packages that the wheel holds, sorted."""
    return sorted(["llamahome_core", *(folder.name for folder in plugin_folders)])


@pytest.fixture(scope="session")
def sources(root: Path) -> list[Source]:
    """The files of the kernel and of the built-in plugins."""
    paths = [*(root / "llamahome_core").rglob("*.py"), *(root / "plugins").rglob("*.py")]
    return [read_source(root, path) for path in sorted(paths)]
