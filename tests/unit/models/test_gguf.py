"""A GGUF file becomes a folder in Hugging Face layout that is the same model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from llamahome_core import ModelError, ModelFolder
from llamahome_models import gguf_import
from llamahome_models.codec import Codec


@pytest.fixture
def convert(tmp_path: Path, write_gguf: Any, tiny_parts: Any) -> Callable[..., Path]:
    """Write the tiny model as GGUF with changed metadata, import it, return the folder."""

    def make(model: Any = None, **changes: Any) -> Path:
        path = write_gguf(tmp_path / "tiny.gguf", model or tiny_parts[0], tiny_parts[1], **changes)
        target = tmp_path / "folder"
        target.mkdir()
        gguf_import.import_gguf(path, target)
        return target

    return make


def test_the_imported_weights_are_those_of_the_file(convert, tiny_parts):
    """Every tensor is equal, the embeddings stay tied, and the logits are those of the model."""
    model = AutoModelForCausalLM.from_pretrained(convert())
    original = tiny_parts[0]
    assert model.dtype == torch.float32
    assert model.lm_head.weight is model.model.embed_tokens.weight
    for name, tensor in original.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    ids = torch.arange(12)[None]
    assert torch.equal(model(input_ids=ids).logits, original(input_ids=ids).logits)


def test_an_untied_head_stays_untied(convert, tiny_parts):
    """A file with an output matrix of its own keeps it."""
    torch_state = torch.random.get_rng_state()
    config = LlamaConfig(**tiny_parts[0].config.to_dict() | {"tie_word_embeddings": False})
    untied = LlamaForCausalLM(config)
    torch.random.set_rng_state(torch_state)
    model = AutoModelForCausalLM.from_pretrained(convert(untied))
    assert not model.config.tie_word_embeddings
    assert torch.equal(model.lm_head.weight, untied.lm_head.weight)


def test_the_folder_holds_only_safe_files_and_no_path_of_this_machine(convert, tmp_path):
    """Safetensors, JSON and the template; numbers are as they were before 32 bits."""
    folder = convert()
    assert sorted(path.name for path in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    for path in folder.glob("*.json"):
        assert str(tmp_path) not in path.read_text()
    config = json.loads((folder / "config.json").read_text())
    assert config["rms_norm_eps"] == 1e-06
    assert config["architectures"] == ["LlamaForCausalLM"]
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["model_max_length"] == 256


def test_the_tokens_are_those_of_the_original(convert, tiny_model):
    """With a splitting rule that transformers converts well, codec and AutoTokenizer agree."""
    folder = convert(rule="gpt-2")
    before, after = (
        Codec(ModelFolder(path=path, digest="", name="tiny")) for path in (tiny_model, folder)
    )
    plain: Any = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "What is  a kernel, in 2024?\n"}]
    for codec in (before, after):
        assert (
            codec.encode(messages, reply=True).ids
            == (plain.apply_chat_template(messages, add_generation_prompt=True)["input_ids"])
        )
    assert before.encode_text("é  2024") == after.encode_text("é  2024")


def test_smollm_takes_each_digit_alone(convert):
    """The white space before a number is one piece, as llama.cpp and the original have it."""
    splitter = AutoTokenizer.from_pretrained(convert()).backend_tokenizer.pre_tokenizer
    pieces = [piece for piece, _ in splitter.pre_tokenize_str("a  2024 b")]
    assert pieces == ["a", "\u0120\u0120", "2", "0", "2", "4", "\u0120b"]


def test_llama3_takes_whole_pieces_and_begins_with_the_begin_token(convert):
    """Both are llama.cpp's rules for this vocabulary, and the file need not say them."""
    tokenizer = AutoTokenizer.from_pretrained(convert(rule="llama-bpe", begin=None))
    assert tokenizer.backend_tokenizer.model.ignore_merges
    assert tokenizer("kernel").input_ids[0] == tokenizer.bos_token_id


def test_a_begin_token_of_the_file_is_kept(convert):
    """What the file says of the begin token holds for text."""
    codec = Codec(ModelFolder(path=convert(begin=True), digest="", name="tiny"))
    assert codec.encode_text("a")[0] == 0


def test_every_end_of_the_file_ends_an_answer(convert):
    """A file with an end of text and an end of turn gives a model that stops at both."""
    folder = convert(end=0, turn=2)
    settings = json.loads((folder / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [0, 2]
    assert Codec(ModelFolder(path=folder, digest="", name="tiny")).end_ids == {0, 2}


@pytest.mark.parametrize("rule", ["unheard-of", None])
def test_an_unknown_splitting_rule_is_refused(rule, convert):
    """Wrong tokens would train badly without a word."""
    with pytest.raises(ModelError, match="splits text by the rule"):
        convert(rule=rule)


def test_a_conversion_that_went_wrong_is_found(convert, monkeypatch):
    """Weights that change on their way to the disk, and a tokenizer that is another, are seen."""
    save = gguf_import._save_model

    def spoil(model: Any, metadata: Any, target: Path) -> None:
        with torch.no_grad():
            model.model.norm.weight.mul_(2)
        save(model, metadata, target)

    with monkeypatch.context() as patch:
        patch.setattr(gguf_import, "_save_model", spoil)
        with pytest.raises(ModelError, match="logits"):
            convert()


def test_a_tokenizer_that_differs_from_the_file_is_found(tiny_gguf):
    """Each fact of the file's metadata is compared."""
    from llamahome_models.gguf_tokenizer import load_tokenizer

    metadata = gguf_import.read_metadata(tiny_gguf)
    with pytest.raises(ModelError, match="chat template"):
        load_tokenizer(tiny_gguf, metadata | {"tokenizer.chat_template": "other"})
    with pytest.raises(ModelError, match="eos_token_id is 2, the file says 7"):
        load_tokenizer(tiny_gguf, metadata | {"tokenizer.ggml.eos_token_id": 7})


def test_lost_embeddings_are_found(tiny_model):
    """A folder whose head is no longer tied is not the model of the file."""
    with pytest.raises(ModelError, match="tied embeddings"):
        gguf_import._verify(tiny_model, None, tied=False)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all", b"GGUF" + b"\xff" * 64])
def test_a_damaged_file_is_refused(content, tmp_path):
    """No traceback, whatever the bytes are."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.gguf cannot be read as GGUF"):
        gguf_import.read_metadata(path)


def test_a_file_that_is_cut_short_is_refused(tiny_gguf, tmp_path, capsys):
    """The error is the answer of the process, as JSON, for its parent to show."""
    path = tmp_path / "short.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:-4096])
    assert gguf_import.main([str(path), str(tmp_path)]) == 1
    assert "short.gguf cannot be" in json.loads(capsys.readouterr().out)["error"]


def test_an_adapter_beside_the_file_is_refused(tiny_gguf, tmp_path):
    """transformers would look for the adapter's base instead of reading the file."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_gguf.read_bytes())
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "acme/other"}')
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(ModelError, match=r"tiny\.gguf lies in a folder with an adapter"):
        gguf_import.import_gguf(path, target)
    assert not list(target.iterdir())


def test_a_file_without_a_vocabulary_is_refused(tmp_path):
    """A GGUF file can hold other things than language models."""
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "other.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match="no language model"):
        gguf_import.read_metadata(tmp_path / "other.gguf")


def test_weights_that_do_not_fit_are_refused(tmp_path, write_gguf, tiny_parts):
    """An architecture that transformers cannot convert is an error with the file's name."""
    path = write_gguf(tmp_path / "tiny.gguf", *tiny_parts)
    path.write_bytes(
        path.read_bytes().replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0xlama", 1)
    )
    with pytest.raises(ModelError, match="cannot be converted"):
        gguf_import._load_model(path)


def test_the_process_prints_what_the_file_says(tiny_gguf, tmp_path, capsys):
    """Architecture, name and licence, the licence as SPDX writes it."""
    assert gguf_import.main([str(tiny_gguf), str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "architecture": "llama",
        "name": "Tiny",
        "licence": "Apache-2.0",
    }
    assert gguf_import._licence("my own") == "my own"
    assert gguf_import._licence(None) is None


@pytest.mark.real
def test_the_real_model_knows_the_capital_of_france(real_model_folder):
    """The weights were permuted and unpacked rightly: the model answers."""
    from llamahome_models.generator import LiveGenerator

    codec = Codec(ModelFolder(path=real_model_folder, digest="", name="smollm2"))
    model = AutoModelForCausalLM.from_pretrained(real_model_folder)
    prompt = codec.encode(
        [{"role": "user", "content": "What is the capital of France?"}], reply=True
    )
    ids = LiveGenerator(codec.end_ids).generate(model, prompt.ids, max_tokens=20)
    assert codec.decode(ids) == "The capital of France is Paris."
