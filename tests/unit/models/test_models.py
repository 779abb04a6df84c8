"""A name becomes a verified folder: located, fetched once, kept whole, refused if unsafe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import (
    ModelError,
    ModelNotFoundError,
    Models,
    Registry,
    UnsafeModelError,
)
from llamahome_models import layout


def no_progress(done: int, total: int | None) -> None:
    del done, total


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


# --- Names -------------------------------------------------------------------------------------


def test_names_are_looked_up_in_order(make_context, copy, tmp_path):
    """Source, catalogue, version, path: the first that fits is what is meant."""
    entry = {"source": "hub:acme/tiny", "revision": "v2", "licence": "MIT"}
    context = make_context(models={"copy": entry, "near": {"source": str(copy)}})
    models = context.get(Models)
    found = models.locate("hub:acme/tiny@main")
    assert (found.source, found.location, found.revision) == ("hub", "acme/tiny", "main")
    assert models.locate("hub:acme/tiny").revision is None
    catalogued = models.locate("copy")
    assert (catalogued.source, catalogued.revision, catalogued.licence) == ("hub", "v2", "MIT")
    assert catalogued.name == "copy"
    assert models.locate("near").location == str(copy)
    assert models.locate("./copy").location == str(tmp_path / "copy")
    assert models.locate("path:copy").location == "copy"


def test_a_folder_does_not_hide_a_published_version_of_its_name(context, copy, tmp_path):
    """A bare name is a version before it is a path; with a slash it can only be a path."""
    models = context.get(Models)
    assert models.locate("copy").source == "path"
    context.get(Registry).publish("copy", {"merged": copy})
    assert models.locate("copy").location == "copy:v1"
    assert models.locate("./copy").source == "path"
    assert models.locate(str(tmp_path / "copy")).source == "path"


def test_a_published_version_is_found_by_label_tag_and_name(context, copy):
    """The reference names the number, so that a tag that moves later changes nothing."""
    context.get(Registry).publish("bot", {"merged": copy}, tags=["latest"])
    context.get(Registry).publish("bot", {"merged": copy}, metadata={"licence": "MIT"})
    models = context.get(Models)
    assert models.locate("bot").location == "bot:v1"
    assert models.locate("bot:latest").location == "bot:v1"
    assert models.locate("bot:v2").location == "bot:v2"
    assert models.locate("bot:v2").licence == "MIT"
    folder = models.fetch("bot", no_progress)
    assert folder.name == "bot:v1"
    assert folder.digest == layout.digest(copy)
    assert models.cached("bot") == folder


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tinny", "did you mean tiny?"),
        ("bott", "did you mean bot"),
        ("acme/tiny", "did you mean hub:acme/tiny?"),
        ("tin", "did you mean tiny"),
        ("zzz", "known: bot, bot:v1, tiny"),
    ],
)
def test_an_unknown_name_is_answered_with_what_is_near(name, hint, make_context, copy):
    """Names of the catalogue and of published versions are suggested."""
    context = make_context(models={"tiny": {"source": "hub:acme/tiny"}})
    context.get(Registry).publish("bot", {"merged": copy})
    with pytest.raises(ModelNotFoundError, match="no model is called") as caught:
        context.get(Models).locate(name)
    assert caught.value.exit_code == 4
    assert hint in str(caught.value.hint)


def test_a_catalogue_entry_must_name_a_source(make_context):
    """An entry does not name another entry; an empty location names nothing."""
    context = make_context(models={"a": {"source": "b"}, "b": {"source": "hub:acme/tiny"}})
    with pytest.raises(ModelError, match="neither a model source nor a path"):
        context.get(Models).locate("a")
    with pytest.raises(ModelError, match="names a source and no model"):
        context.get(Models).locate("hub:")
    with pytest.raises(ModelNotFoundError, match="name of the model is empty"):
        context.get(Models).locate(" ")


# --- Folders on this machine -------------------------------------------------------------------


def test_a_folder_is_used_where_it_is(context, copy):
    """Nothing is copied; the digest is that of the content, whatever else lies beside it."""
    models = context.get(Models)
    folder = models.fetch(str(copy), no_progress)
    assert folder.path == copy
    (copy / "notes.md").write_text("mine")
    assert models.fetch(str(copy), no_progress).digest == folder.digest
    assert models.cached(str(copy)) == folder
    (copy / "chat_template.jinja").write_text("other")
    assert models.fetch(str(copy), no_progress).digest != folder.digest
    assert not list(context.workspace.cache("models").glob("*"))


def test_a_missing_path_says_so(context, tmp_path):
    """The message names the path."""
    with pytest.raises(ModelNotFoundError, match=r"no model at .*/nowhere"):
        context.get(Models).fetch(str(tmp_path / "nowhere"), no_progress)
    assert context.get(Models).cached(str(tmp_path / "nowhere")) is None


@pytest.mark.parametrize(
    ("file", "settings", "says"),
    [
        ("config.json", {"auto_map": {"AutoModel": "code.Model"}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["code.T", None]}}, "auto_map"),
        ("config.json", {"text_config": [{"trust_remote_code": True}]}, "trust_remote_code"),
        ("config.json", {"_attn_implementation_internal": "org/kernel"}, "_attn_implementation"),
        ("generation_config.json", {"custom_pipelines": {"a": 1}}, "custom_pipelines"),
    ],
)
def test_a_model_that_asks_for_code_is_refused(file, settings, says, context, copy):
    """No key of a downloaded file makes transformers import anything."""
    path = copy / file
    old = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(old | settings))
    with pytest.raises(UnsafeModelError, match=says) as caught:
        context.get(Models).fetch(str(copy), no_progress)
    assert caught.value.exit_code == 5


def test_a_config_that_only_names_an_attention_is_fine(context, copy):
    """The usual names are no code."""
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_attn_implementation": "sdpa"}))
    assert context.get(Models).fetch(str(copy), no_progress).path == copy


def test_pickled_weights_are_refused(context, copy):
    """A folder with a .bin alone is unsafe; one without any weights is no model."""
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(UnsafeModelError, match=r"pickled weights only \(pytorch_model\.bin\)"):
        context.get(Models).fetch(str(copy), no_progress)
    (copy / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="no safetensors weights"):
        context.get(Models).fetch(str(copy), no_progress)


def test_weights_that_transformers_would_not_read_do_not_count(context, copy):
    """Beside them it would read the pickled ones; a config may not name others either."""
    (copy / "model.safetensors").rename(copy / "other.safetensors")
    with pytest.raises(ModelError, match=r"other\.safetensors is not read") as caught:
        context.get(Models).fetch(str(copy), no_progress)
    assert "rename it to model.safetensors" in str(caught.value.hint)
    (copy / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UnsafeModelError, match=r"pickled weights only \(pytorch_model\.bin\)"):
        context.get(Models).fetch(str(copy), no_progress)
    index = {"weight_map": {"a": "other.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert context.get(Models).fetch(str(copy), no_progress).path == copy
    path = copy / "config.json"
    settings = json.loads(path.read_text()) | {"transformers_weights": "adapter_model.bin"}
    path.write_text(json.dumps(settings))
    with pytest.raises(UnsafeModelError, match=r"names other weights.*adapter_model\.bin"):
        context.get(Models).fetch(str(copy), no_progress)
    path.write_text("[]")
    with pytest.raises(ModelError, match="holds no settings"):
        context.get(Models).fetch(str(copy), no_progress)


def test_an_adapter_in_the_folder_of_a_base_is_refused(context, copy):
    """transformers would load it into the base, and save the adapter alone."""
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"with an adapter, .*adapter_config\.json") as caught:
        context.get(Models).fetch(str(copy), no_progress)
    assert "merge_and_unload" in str(caught.value.hint)


def test_a_checksum_of_a_folder_is_refused(make_context, copy):
    """It pins one file, and would be compared to nothing."""
    entry = {"source": str(copy), "checksum": f"sha256:{'0' * 64}"}
    context = make_context(models={"mine": entry})
    with pytest.raises(ModelError, match="a checksum, which pins one file") as caught:
        context.get(Models).fetch("mine", no_progress)
    assert "pin `revision` instead" in str(caught.value.hint)


def test_pickled_weights_beside_safetensors_are_no_part_of_the_model(context, copy):
    """They are neither read nor counted."""
    digest = context.get(Models).fetch(str(copy), no_progress).digest
    (copy / "pytorch_model.bin").write_bytes(b"pickle")
    assert context.get(Models).fetch(str(copy), no_progress).digest == digest


@pytest.mark.parametrize("names", [["../secret.safetensors"], ["lost.safetensors"]])
def test_an_index_names_only_files_of_its_folder(names, context, copy):
    """A path that leads out of the folder, or to nothing, is refused."""
    index = {"weight_map": {str(at): name for at, name in enumerate(names)}}
    (copy.parent / "secret.safetensors").write_bytes(b"")
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="which is not in the folder"):
        context.get(Models).fetch(str(copy), no_progress)
    (copy / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(ModelError, match="no weight_map"):
        context.get(Models).fetch(str(copy), no_progress)


def test_damaged_files_of_a_folder_are_named(context, copy):
    """Weights that are cut short, a config that is no JSON, and no config at all."""
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        context.get(Models).fetch(str(copy), no_progress)
    (copy / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        context.get(Models).fetch(str(copy), no_progress)
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        context.get(Models).fetch(str(copy), no_progress)


def test_the_files_of_a_model_are_placed_even_where_links_are_not_possible(
    copy, tmp_path, monkeypatch
):
    """A copy is as good; code and pickles are left behind."""
    more = "additional_chat_templates"
    (copy / more).mkdir()
    (copy / "onnx").mkdir()
    kept, left = (f"{more}/tool_use.jinja",), (f"{more}/x.py", "onnx/config.json", "onnx/x.jinja")
    for name in ("modeling.py", "pytorch_model.bin", "LICENSE", "consolidated.safetensors"):
        (copy / name).write_text("x")
    for name in (*kept, *left):
        (copy / name).write_text("x")
    whole = layout.digest(copy)
    linked, copied = tmp_path / "linked", tmp_path / "copied"
    linked.mkdir()
    copied.mkdir()
    layout.place(copy, linked)

    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    layout.place(copy, copied)
    names = {path.name for path in copied.iterdir()}
    assert names == {path.name for path in linked.iterdir()}
    assert "LICENSE" in names
    assert not names & {"modeling.py", "pytorch_model.bin", "consolidated.safetensors"}
    found = {path.relative_to(copied).as_posix() for path in copied.rglob("*/*")}
    assert found == set(kept)
    assert layout.digest(copied) == layout.digest(linked) == whole
    (copied / kept[0]).write_text("y")
    assert layout.digest(copied) != whole
