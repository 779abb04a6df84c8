"""The data source `shout` keeps to what LlamaHome asks of it."""

from __future__ import annotations

import pytest

from llamahome_core.testing import DataSourceContract, check_plugin
from llamahome_shout.config import ShoutConfig
from llamahome_shout.source import ShoutSource


def make_source(path, text):
    """The source over a file with *text*; it has no use for a context."""
    path.write_text(text, encoding="utf-8")
    return ShoutSource(ShoutConfig(path=path), None)


class TestShout(DataSourceContract):
    """All that is asked of every data source."""

    @pytest.fixture
    def source(self, tmp_path):
        """Two rows."""
        return make_source(tmp_path / "words.txt", "the kettle is on\n\nmind the step\n")

    @pytest.fixture
    def changed(self, tmp_path):
        """The same but for a letter."""
        return make_source(tmp_path / "others.txt", "the kettle is on\n\nmind the stop\n")


def test_it_shouts(tmp_path):
    """In capitals, with the number of the line."""
    (row,) = make_source(tmp_path / "words.txt", "\nmind the step\n").rows()

    assert row.value == {"text": "MIND THE STEP!"}
    assert row.number == 2


def test_nothing_is_wrong_with_the_plugin():
    """Hooks, records, settings, and what they name."""
    assert check_plugin("shout") == []


def test_a_model_learns_from_it(kernel, recipe, tmp_path):
    """A whole run, with a tiny model."""
    path = tmp_path / "words.txt"
    path.write_text("mind the step\n" * 20, encoding="utf-8")
    recipe["data"] = [{"use": "shout", "path": str(path)}]
    recipe["objective"] = {"use": "pretrain"}

    assert kernel("shout", builtins=True).run(recipe).status == "finished"
