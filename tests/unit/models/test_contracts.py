"""The built-in model sources and the models service keep to what all of their kind keep to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import Context, ModelReference, Models, ModelSource, Registry
from llamahome_core.testing import ModelsContract, ModelSourceContract
from llamahome_models.config import HubConfig, PathConfig, RegistryConfig
from llamahome_models.hub import HubSource
from llamahome_models.sources import PathSource, RegistrySource


def reference(source: str, location: str) -> ModelReference:
    return ModelReference(source=source, location=location, name="tiny")


class TestPath(ModelSourceContract):
    """A folder that lies here."""

    @pytest.fixture
    def source(self, context: Context) -> ModelSource:
        return PathSource(PathConfig(), context)

    @pytest.fixture
    def reference(self, tiny_model: Path) -> ModelReference:
        return reference("path", str(tiny_model))

    @pytest.fixture
    def missing(self, tmp_path: Path) -> ModelReference:
        return reference("path", str(tmp_path / "nowhere"))


class TestRegistry(ModelSourceContract):
    """A version that was published."""

    @pytest.fixture
    def source(self, context: Context, tiny_model: Path) -> ModelSource:
        context.get(Registry).publish("bot", {"merged": tiny_model})
        context.get(Registry).publish("part", {"adapter": tiny_model})
        return RegistrySource(RegistryConfig(), context)

    @pytest.fixture
    def reference(self) -> ModelReference:
        return reference("registry", "bot:v1")

    @pytest.fixture
    def missing(self) -> ModelReference:
        return reference("registry", "part:v1")


class TestHub(ModelSourceContract):
    """A repository of a hub, through the real client."""

    @pytest.fixture
    def source(self, online: Any, hub: Any) -> ModelSource:
        return HubSource(HubConfig(endpoint=hub.address), online())

    @pytest.fixture
    def reference(self) -> ModelReference:
        return reference("hub", "acme/tiny")

    @pytest.fixture
    def missing(self) -> ModelReference:
        return reference("hub", "acme/nothing")


class TestModels(ModelsContract):
    """The service, with a catalogue of one model."""

    @pytest.fixture
    def models(self, make_context: Any, tiny_model: Path, tmp_path: Path) -> Models:
        copy = shutil.copytree(tiny_model, tmp_path / "copy")
        models: Models = make_context(models={"near": {"source": str(copy)}}).get(Models)
        return models

    @pytest.fixture
    def name(self) -> str:
        return "near"
