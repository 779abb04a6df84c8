"""What was trained becomes a version that plain transformers and peft load by themselves."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import evolve
from transformers import AutoModelForCausalLM, AutoTokenizer

from llamahome_core import (
    ModelError,
    ModelFolder,
    Models,
    Publish,
    Registry,
    Trained,
    Version,
)
from llamahome_models.publish import base_name, plan_publish, publish

# peft 0.21 asks transformers 5 for a name that is going away
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


class TrainedHere:
    """A tiny model with a LoRA adapter, as the train stage leaves it."""

    def __init__(self, base: Path, *, adapter: bool = True) -> None:
        from peft import LoraConfig, get_peft_model

        model = AutoModelForCausalLM.from_pretrained(base)
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.model: Any = get_peft_model(
                model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
            )
        self.adapter = adapter
        self.metrics = {"evaluate_loss": 1.25, "train_loss": math.nan, "best": "yes", "steps": 6}
        self.calls: list[str] = []

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = self.model.eval()(input_ids=ids).logits
        return found

    def save_adapter(self, folder: Path) -> bool:
        self.calls.append("adapter")
        if self.adapter:
            self.model.save_pretrained(folder)
        return self.adapter

    def save_merged(self, folder: Path) -> None:
        self.calls.append("merged")
        self.model.merge_and_unload().save_pretrained(folder)


@pytest.fixture
def base(tiny_model: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    (folder / "LICENSE").write_text("the licence")
    return folder


@pytest.fixture
def prepare(make_context, base):
    """A context as it is after training."""

    def make(*, adapter: str = "lora", **recipe: Any) -> Any:
        entry = {"source": str(base), "licence": "Apache-2.0"}
        fields = {"name": "bot", "model": "tiny"} | recipe
        context = make_context(models={"tiny": entry}, adapter=adapter, **fields)
        folder = context.get(Models).fetch("tiny", lambda *_: None)
        context.put(ModelFolder, folder)
        context.put(Trained, TrainedHere(base, adapter=adapter == "lora"))
        return context

    return make


IDS = torch.arange(3, 20)[None]
ADAPTER = "adapter (if one is trained)"


def test_both_parts_load_in_plain_libraries_with_equal_logits(prepare, base):
    """Whole weights in transformers, the adapter in peft: the logits are the trained model's."""
    from peft import PeftModel

    context = prepare()
    expected = context.get(Trained).logits(IDS)
    publish(context)
    version = context.get(Version)
    merged = AutoModelForCausalLM.from_pretrained(version.files["merged"])
    plain = AutoModelForCausalLM.from_pretrained(base)
    adapted = PeftModel.from_pretrained(plain, str(version.files["adapter"])).eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=IDS).logits, expected)
        torch.testing.assert_close(adapted(input_ids=IDS).logits, expected)
    assert merged.lm_head.weight is merged.model.embed_tokens.weight


def test_the_version_tells_where_it_comes_from(prepare, events):
    """Event, metadata, tags, and a README in each part."""
    context = prepare()
    plan = plan_publish(context)
    assert plan == {"version": "bot:v1", "tags": ["latest"], "parts": ["merged", ADAPTER]}
    publish(context)
    version = context.get(Version)
    (event,) = events.of("published")
    assert event["label"] == version.label == "bot:v1"
    assert event["tags"] == ["latest"]
    assert event["parts"].keys() == {"merged", "adapter"}
    assert event["size"] > 10_000
    assert event["digest"] == version.digest
    assert version.metadata["base"]["name"] == "tiny"
    assert version.metadata["base"]["digest"] == context.get(ModelFolder).digest
    assert version.metadata["licence"] == "Apache-2.0"
    assert version.metadata["metrics"] == {
        "evaluate_loss": 1.25, "train_loss": None, "best": "yes", "steps": 6,
    }  # fmt: skip
    assert context.get(Trained).calls == ["adapter", "merged"]
    for part, library in (("merged", "transformers"), ("adapter", "peft")):
        readme = (version.files[part] / "README.md").read_text()
        assert readme.startswith("---\nlicense: apache-2.0\n")
        assert f"library_name: {library}" in readme
        assert "| evaluate loss | 1.25 |" in readme
        assert "recipe `bot`" in readme
        assert (version.files[part] / "LICENSE").read_text() == "the licence"
    assert not list(context.workspace.scratch.rglob(".*.tmp-*"))


def test_a_version_names_nothing_of_this_machine(prepare, tmp_path):
    """No file of it holds a path; the adapter names its base as the catalogue does."""
    context = prepare()
    publish(context)
    version = context.get(Version)
    config = json.loads((version.files["adapter"] / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    for folder in version.files.values():
        for path in folder.rglob("*"):
            if path.suffix in {".json", ".md", ".jinja"}:
                assert str(tmp_path) not in path.read_text(), path


def test_a_version_brings_tokenizer_and_template_of_its_training(prepare, base):
    """The tokenizer is read as it is, whatever class its base had."""
    settings = base / "tokenizer_config.json"
    config = json.loads(settings.read_text()) | {"tokenizer_class": "GPT2Tokenizer"}
    settings.write_text(json.dumps(config))
    context = prepare()
    publish(context)
    merged = context.get(Version).files["merged"]
    assert (merged / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    template = (base / "chat_template.jinja").read_text()
    assert AutoTokenizer.from_pretrained(merged).chat_template == template
    written = json.loads((merged / "tokenizer_config.json").read_text())
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_a_published_version_can_be_trained_on(prepare):
    """It is a model like any other, by its label."""
    context = prepare()
    publish(context)
    folder = context.get(Models).fetch("bot:v1", lambda *_: None)
    assert folder.licence == "Apache-2.0"
    assert folder.path == context.get(Version).files["merged"]


def test_a_run_that_was_killed_after_publishing_publishes_no_second_version(prepare, tmp_path):
    """The resumed run finds what it published, with its tags, and writes nothing."""
    (tmp_path / "events.jsonl").write_text('{"kind": "run", "name": "bot-1"}\n')
    tags = Publish(tags=("latest", "good"))
    publish(evolve(prepare(publish=tags), directory=tmp_path))
    resumed = evolve(prepare(publish=tags), directory=tmp_path, resume=True)
    publish(resumed)
    assert resumed.get(Version).label == "bot:v1"
    assert resumed.get(Version).tags == ("good", "latest")
    assert resumed.get(Trained).calls == []


def test_the_plan_tells_the_number_that_publish_gives(prepare, events):
    """Or that a version is damaged: its number stays taken."""
    context = prepare()
    publish(context)
    assert plan_publish(context)["version"] == "bot:v2"
    publish(context)
    assert context.get(Version).label == "bot:v2"
    assert events.of("warning") == []
    (context.workspace.models / "bot" / "v2" / "version" / "version.json").write_text("{")
    plan_publish(context)
    assert "bot:v2 is left out" in events.of("warning")[0]["text"]


@pytest.mark.parametrize(
    ("adapter", "wanted", "planned", "parts"),
    [
        ("full", {}, ["merged", ADAPTER], ["merged"]),
        ("lora", {}, ["merged", ADAPTER], ["merged", "adapter"]),
        ("lora", {"merged": False}, [ADAPTER], ["adapter"]),
        ("full", {"adapter": False}, ["merged"], ["merged"]),
        ("lora", {"merged": False, "adapter": False}, None, None),
    ],
)
def test_the_plan_tells_the_parts_that_publish_writes(prepare, adapter, wanted, planned, parts):
    """Whole weights have no adapter, which only shows then; without any part is no version."""
    context = prepare(adapter=adapter, publish=Publish(**wanted))
    plan = plan_publish(context)
    assert plan.get("parts") == planned
    publish(context)
    version = context.find(Version)
    assert (version and sorted(version.files, reverse=True)) == parts
    assert ("publish" in plan) == (version is None)


def test_another_plugins_registry_and_codec_can_be_dropped_in(prepare):
    """Whoever has the methods of the Protocol: no class of ours is asked for."""
    from llamahome_core import ChatCodec
    from llamahome_models import generator

    context = prepare()
    registry, codec = Elsewhere(), Elsewhere()
    context.put(Registry, registry)
    context.put(ChatCodec, codec)
    assert plan_publish(context)["version"] == "bot:v8"
    publish(context)
    assert context.get(Version).label == "bot:v8"
    assert context.get(Models).locate("bot").location == "bot:v7"
    assert generator.make_generator(context).end_ids == {1}


class Elsewhere:
    """A registry, and a codec, of another plugin."""

    end_ids = frozenset({1})

    def publish(self, name: str, parts: Any, *, tags: Any = (), metadata: Any = None) -> Version:
        return Version(name=name, number=8, files=dict(parts), tags=tuple(tags))

    def resolve(self, label: str) -> Version:
        return Version(name=label, number=7)

    def versions(self, name: str | None = None) -> list[Version]:
        return [Version(name=name or "bot", number=7), Version(name=name or "bot", number=3)]


@pytest.mark.parametrize(
    ("lost", "says"),
    [("config.json", "no config.json"), ("model.safetensors", "no safetensors weights")],
)
def test_a_merged_model_that_is_not_whole_is_not_published(lost, says, prepare, monkeypatch):
    """Without config or weights nobody could load it; there is no such version."""
    context = prepare()
    save = TrainedHere.save_merged

    def save_half(trained: TrainedHere, folder: Path) -> None:
        save(trained, folder)
        (folder / lost).unlink()

    monkeypatch.setattr(TrainedHere, "save_merged", save_half)
    with pytest.raises(ModelError, match=f"the trained model has {says}"):
        publish(context)
    assert context.get(Registry).versions() == []
    assert not list(context.workspace.scratch.rglob(".*.tmp-*"))


@pytest.mark.parametrize("off", [{"enabled": False}, {"merged": False, "adapter": False}])
def test_nothing_is_published_if_the_recipe_says_so(off, prepare, events):
    """And a note says it."""
    context = prepare(publish=Publish(**off))
    publish(context)
    assert context.find(Version) is None
    assert context.get(Registry).versions() == []
    assert "nothing is published" in events.of("note")[0]["text"]
    if "enabled" in off:
        assert plan_publish(context) == {"publish": "no"}


def test_whole_weights_have_no_adapter(prepare, events):
    """The adapter is left out; with the whole weights switched off nothing is left."""
    context = prepare(adapter="full")
    publish(context)
    assert context.get(Version).files.keys() == {"merged"}
    context = prepare(adapter="full", publish=Publish(merged=False))
    publish(context)
    assert context.find(Version) is None
    assert "merged is off" in events.of("warning")[-1]["text"]


def test_an_adapter_alone_is_no_model_to_start_from(prepare):
    """The hint says how to publish the whole weights."""
    context = prepare(publish=Publish(merged=False))
    publish(context)
    with pytest.raises(ModelError, match="adapter alone") as caught:
        context.get(Models).fetch("bot", lambda *_: None)
    assert "merged = true" in str(caught.value.hint)


def test_a_base_is_named_as_others_know_it(context):
    """A hub's model by its name there, a path by its last part."""
    models = context.get(Models)
    assert base_name(models.locate("hub:acme/tiny@v1")) == "acme/tiny"
    assert base_name(models.locate("/somewhere/tiny.gguf")) == "tiny.gguf"
    assert base_name(models.locate("pypi:a==1/b.gguf")) == "pypi:a==1/b.gguf"


def test_the_card_of_a_model_from_a_hub_names_it(context):
    """Hubs link a version to its base by this line."""
    from llamahome_models.card import Story

    reference = context.get(Models).locate("hub:acme/tiny")
    base = ModelFolder(path=Path(), digest="sha256:1", name="tiny")
    text = Story.of(context, reference, base, {}).text("adapter")
    assert "base_model: acme/tiny" in text
    assert "license:" not in text
    assert "licence: unknown" in text
    assert "sha256:1" in text
    assert "figure" not in text
