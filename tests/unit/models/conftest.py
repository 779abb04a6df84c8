"""A context over the models plugin and the real local store; a writer of tiny GGUF files."""

from __future__ import annotations

import json
import runpy
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter, TokenType

from llamahome_core import (
    CatalogueEntry,
    Context,
    Kernel,
    Kind,
    ModelFolder,
    Recipe,
    Selection,
    Workspace,
)

Hub: Any = runpy.run_path(str(Path(__file__).with_name("hub_server.py")))["Hub"]

SPECIAL = [
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
]  # fmt: skip


class Events:
    """Keeps what was emitted."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def emit(self, kind: str, **fields: Any) -> None:
        self.all.append((kind, fields))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.all if name == kind]


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def make_context(workspace: Workspace, tmp_path: Path, events: Events) -> Callable[..., Context]:
    """Make a context; keyword arguments are fields of the recipe."""
    import llamahome_models.plugin
    import llamahome_stores.plugin
    import llamahome_training.plugin

    kernel = Kernel(
        plugins=[],
        extra=[llamahome_models.plugin, llamahome_stores.plugin, llamahome_training.plugin],
        workspace=workspace,
        environ={},
        user_file=tmp_path / "no-user-file.toml",
    )
    assert not kernel.plugins.broken

    def select(kind: Kind, name: str, **settings: Any) -> Selection:
        plugin, component = kernel.catalog.find(kind, name)
        return Selection(
            kind=kind.value,
            name=name,
            plugin=plugin.name,
            component=component,
            config=component.config(**settings),
        )

    def make(
        *,
        models: dict[str, dict[str, Any]] | None = None,
        sources: dict[str, dict[str, Any]] | None = None,
        store: dict[str, Any] | None = None,
        adapter: str | None = None,
        **recipe: Any,
    ) -> Context:
        chosen = {"store": select(Kind.STORE, "local", **store or {})}
        if adapter is not None:
            chosen["adapter"] = select(Kind.ADAPTER, adapter)
        for name, settings in (sources or {}).items():
            chosen[f"model:{name}"] = select(Kind.MODEL_SOURCE, name, **settings)
        entries = {name: CatalogueEntry(**entry) for name, entry in (models or {}).items()}
        fields: dict[str, Any] = {"name": "run", "model": "none", "folder": tmp_path} | recipe
        made = Recipe(models=entries, chosen=chosen, **fields)
        return Context(recipe=made, workspace=workspace, catalog=kernel.catalog, events=events)

    return make


@pytest.fixture
def context(make_context: Callable[..., Context]) -> Context:
    """A context with nothing special."""
    return make_context()


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A hub with ``acme/tiny``, and with files that nobody may fetch."""
    from llamahome_models import layout

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "repository"
    folder.mkdir()
    layout.place(tiny_model, folder)
    (folder / "onnx").mkdir()
    for name in ("modeling.py", "pytorch_model.bin", "README.md", "onnx/config.json"):
        (folder / name).write_text("{}")
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def online(make_context: Callable[..., Context], hub: Any) -> Callable[..., Context]:
    """Make a context that reaches the hub."""

    def make(**recipe: Any) -> Context:
        return make_context(sources={"hub": {"endpoint": hub.address}}, **recipe)

    return make


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level BPE tokenizer that merges new lines and the words of the dialogue."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made: Any = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = ["What is 2 plus 2? It is 4. And in words, é 你好?", "Four 你好!\nThat is all."]
    texts += ["user assistant model system\n\n\n"] * 9
    made.train_from_iterator([*texts, "a\n\n", "  b"] * 20, trainer)
    return made


@pytest.fixture
def make_codec(tmp_path: Path, tokenizer: Any) -> Callable[..., Any]:
    """Make a codec with a template; other arguments are settings of the tokenizer."""

    def build(template: str | dict[str, str] | None, **settings: Any) -> Any:
        from transformers import PreTrainedTokenizerFast

        from llamahome_models.codec import Codec

        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        fields = {"bos_token": "<s>", "eos_token": "</s>"} | settings
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **fields)
        fast.chat_template = template
        fast.save_pretrained(folder)
        return Codec(ModelFolder(path=folder, digest="sha256:0", name="tiny"))

    return build


@pytest.fixture(scope="session")
def write_gguf() -> Callable[..., Path]:
    """Write a GGUF file; see the function."""
    return _write_gguf


@pytest.fixture(scope="session")
def tiny_parts(tiny_model: Path) -> tuple[Any, Any]:
    """The tiny model and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(
        tiny_model
    )


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory, tiny_parts: Any) -> Path:
    """The tiny model as a GGUF file; read only."""
    return _write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", *tiny_parts)


_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _write_gguf(path: Path, model: Any, tokenizer: Any, **changes: Any) -> Path:
    """Write *model* with the vocabulary of *tokenizer*; *changes* replace metadata."""
    config = model.config
    writer = GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_vocabulary(writer, tokenizer, changes)
    _add_tensors(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: GGUFWriter, tokenizer: Any, changes: dict[str, Any]) -> None:
    raw = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    special = set(tokenizer.added_tokens_encoder)
    writer.add_tokenizer_model("gpt2")
    if (rule := changes.pop("rule", "smollm")) is not None:
        writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL if t in special else TokenType.NORMAL for t in tokens]
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in raw["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(changes.pop("end", tokenizer.eos_token_id))
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if (begin := changes.pop("begin", False)) is not None:
        writer.add_add_bos_token(begin)
    if (turn := changes.pop("turn", None)) is not None:
        writer.add_eot_token_id(turn)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
    assert not changes


def _add_tensors(writer: GGUFWriter, model: Any) -> None:
    config = model.config
    state = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    if not config.tie_word_embeddings:
        writer.add_tensor("output.weight", state["lm_head.weight"])
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        for short, long in _LAYER.items():
            tensor = state[f"model.layers.{layer}.{long}.weight"]
            if short in heads:
                tensor = _interleaved(tensor, heads[short])
            writer.add_tensor(f"blk.{layer}.{short}.weight", tensor)


def _interleaved(weight: Any, heads: int) -> Any:
    """llama.cpp turns neighbouring pairs of each head, transformers its two halves."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))
