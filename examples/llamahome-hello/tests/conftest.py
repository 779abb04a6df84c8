"""Asks for LlamaHome's testing kit."""

from __future__ import annotations

import pytest

pytest_plugins = "llamahome_core.testing"


@pytest.fixture
def context(kernel):
    """What components are given outside a run: a workspace of the test's own."""
    return kernel("hello", builtins=True).context()


@pytest.fixture
def phrases(tmp_path):
    """Writes a phrasebook."""

    def write(text, name="phrases.txt"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
