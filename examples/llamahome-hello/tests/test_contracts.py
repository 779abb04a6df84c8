"""Each part keeps to what LlamaHome asks of every part of its kind."""

from __future__ import annotations

import pytest

from llamahome_core import MonitorContext
from llamahome_core.testing import (
    DataSourceContract,
    MonitorContract,
    ObjectiveContract,
    OptimizerContract,
    StoreContract,
    TransformContract,
    check_plugin,
)
from llamahome_hello.config import (
    AtticConfig,
    DiaryConfig,
    LionConfig,
    PhrasebookConfig,
    PoliteConfig,
    SmoothConfig,
)
from llamahome_hello.monitor import Diary
from llamahome_hello.objective import Smooth
from llamahome_hello.optimizer import Lion
from llamahome_hello.source import Phrasebook
from llamahome_hello.store import Attic
from llamahome_hello.transform import Polite


def test_nothing_is_wrong_with_what_is_declared():
    """Hooks, records, settings, and what they name."""
    assert check_plugin("hello") == []


class TestPhrasebook(DataSourceContract):
    """The data source."""

    @pytest.fixture
    def source(self, phrases, context):
        """Two rows."""
        return Phrasebook(PhrasebookConfig(path=phrases("a = b\n# no\n\nc = d\n")), context)

    @pytest.fixture
    def changed(self, phrases, context):
        """The same but for a letter."""
        path = phrases("a = b\n# no\n\nc = e\n", "others.txt")
        return Phrasebook(PhrasebookConfig(path=path), context)


class TestPolite(TransformContract):
    """The transform."""

    @pytest.fixture
    def make_transform(self, context):
        """With its default greeting."""
        return lambda: Polite(PoliteConfig(), context)


class TestSmooth(ObjectiveContract):
    """The objective."""

    @pytest.fixture
    def objective(self, context):
        """With a good deal of smoothing."""
        return Smooth(SmoothConfig(smoothing=0.2), context)


class TestLion(OptimizerContract):
    """The optimizer."""

    @pytest.fixture
    def optimizer(self, context):
        """With some weight decay."""
        return Lion(LionConfig(learning_rate=1e-3, weight_decay=0.1), context)


class TestAttic(StoreContract):
    """The store."""

    @pytest.fixture
    def open_store(self, context):
        """The same place each time."""
        return lambda: Attic(AtticConfig(), context)


class TestDiary(MonitorContract):
    """The monitor."""

    @pytest.fixture
    def monitor(self, tmp_path):
        """In a folder that stands for a run's."""
        return Diary(DiaryConfig(), MonitorContext(directory=tmp_path))
