"""Adapters, devices, objectives and models, each alone: what they refuse and what they keep."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils import logging

from llamahome_core import (
    Adapter,
    DataError,
    Encoded,
    EncodedChat,
    Example,
    ModelError,
    ModelFolder,
    NoSettings,
    Objective,
    Optimizer,
    Train,
    Trainer,
    UnavailableError,
)
from llamahome_core.testing import (
    AdapterContract,
    ObjectiveContract,
    OptimizerContract,
    TrainerContract,
)
from llamahome_training import checks, model
from llamahome_training.adapters import Full, Lora
from llamahome_training.config import AdamWConfig, LoraConfig, TorchTrainerConfig
from llamahome_training.objectives import Pretrain, Sft
from llamahome_training.optimizers import AdamW
from llamahome_training.trainer import TorchTrainer, choose_device


def folder_of(path: Path) -> ModelFolder:
    return ModelFolder(path=path, digest="sha256:0", name="tiny")


# --- What every part of its kind keeps to


@pytest.mark.parametrize("made", [Full(NoSettings()), Lora(LoraConfig(rank=2))])
class TestAdapters(AdapterContract):
    """All weights, and low-rank updates."""

    @pytest.fixture
    def adapter(self, made: Adapter) -> Adapter:
        return made


@pytest.mark.parametrize("made", [Sft(NoSettings()), Pretrain(NoSettings())])
class TestObjectives(ObjectiveContract):
    """Conversations, and plain text."""

    @pytest.fixture
    def objective(self, made: Objective) -> Objective:
        return made


class TestAdamW(OptimizerContract):
    """torch's AdamW."""

    @pytest.fixture
    def optimizer(self) -> Optimizer:
        return AdamW(AdamWConfig())


class TestTorchTrainer(TrainerContract):
    """One process."""

    @pytest.fixture
    def make_trainer(self) -> Callable[[], Trainer]:
        return lambda: TorchTrainer(TorchTrainerConfig(device="cpu"))


# --- Adapters and devices


@pytest.mark.parametrize(
    ("target", "hint"),
    [("q_prj", "did you mean 'q_proj'?"), ("xyz", "it has ['down_proj', 'gate_proj', ")],
)
def test_a_target_that_the_model_has_not_is_refused_with_what_is_near(tiny_model, target, hint):
    """peft would say which modules it searched, and not which there are."""
    base = model.load(folder_of(tiny_model), Train())
    with pytest.raises(ModelError, match=f"no linear layer called '{target}'") as caught:
        Lora(LoraConfig(targets=("v_proj", target))).apply(base)
    assert str(caught.value.hint).startswith(hint)


def test_lora_trains_the_layers_that_are_named_and_no_others(tiny_model):
    """And scales by twice the rank unless told otherwise."""
    base = model.load(folder_of(tiny_model), Train())
    adapted = Lora(LoraConfig(rank=2, alpha=3.0, targets=("v_proj",))).apply(base)
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert len(trained) == 4
    assert all("v_proj.lora_" in name for name in trained)
    assert adapted.peft_config["default"].lora_alpha == 3.0


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    """With the setting that takes what there is; a machine without GPUs trains on the CPU."""
    for name in ("cuda:99", "mps"):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        with pytest.raises(UnavailableError, match=f"no device '{name}'") as caught:
            choose_device(name)
        assert caught.value.hint == '[trainer] device = "auto"'
    assert choose_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


def test_the_doctor_tells_version_threads_and_devices(monkeypatch):
    """And, where torch is missing, the command that brings it."""
    nobody: Any = None
    findings = dict(checks.devices(nobody))
    assert findings["ok"].startswith(torch.__version__) or "cuda:" in findings["ok"]
    if not torch.cuda.is_available():
        assert findings["info"] == "no CUDA device: training runs on the CPU"
    monkeypatch.setitem(sys.modules, "torch", None)
    assert list(checks.devices(nobody)) == [
        ("problem", "torch is not installed; pip install 'llamahome[train]'")
    ]


# --- Objectives


class Codec:
    """Ten tokens, of which the assistant wrote two and an end."""

    def encode(self, messages: Any, tools: Any = ()) -> EncodedChat:
        return EncodedChat(ids=list(range(10)), assistant_spans=[(0, 1), (6, 9)])

    def encode_text(self, text: str) -> list[int]:
        return [len(text), 1, 2]


CODEC: Any = Codec()
CHAT = Example(messages=({"role": "user", "content": "a"},))


def test_sft_trains_what_the_assistant_wrote_and_never_a_first_token():
    """Nothing comes before it that could predict it."""
    encoded = Sft(NoSettings()).encode(CHAT, CODEC)
    assert [i for i, trained in enumerate(encoded.trained) if trained] == [6, 7, 8]


def test_sft_refuses_plain_text_with_the_objective_that_takes_it():
    """There is no assistant in it."""
    with pytest.raises(DataError, match="no assistant turn to learn") as caught:
        Sft(NoSettings()).encode(Example(text="plain"), CODEC)
    assert '[objective] use = "pretrain"' in str(caught.value.hint)


def test_pretraining_takes_text_and_conversations_and_trains_all_but_the_first_token():
    """A conversation is taken as its template writes it."""
    objective = Pretrain(NoSettings())
    text = objective.encode(Example(text="four"), CODEC)
    assert text == Encoded(ids=[4, 1, 2], trained=[False, True, True])
    assert objective.encode(CHAT, CODEC) == Encoded(
        ids=list(range(10)), trained=[False] + [True] * 9
    )


# --- Models


def test_a_model_that_transformers_cannot_load_is_named(tmp_path):
    """Not a traceback of another library."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
    with pytest.raises(ModelError, match="cannot load tiny: "):
        model.load(folder_of(tmp_path), Train())


@pytest.mark.parametrize("dtype", model.DTYPES.values())
def test_the_number_format_of_weights_is_read_from_the_disk(tmp_path, dtype):
    """Of the first tensor of the first file; fp32 where there is none."""
    from safetensors.torch import save_file

    assert model.stored_dtype(folder_of(tmp_path)) == torch.float32
    save_file({}, tmp_path / "a.safetensors")
    save_file({"weight": torch.zeros(2, dtype=dtype)}, tmp_path / "b.safetensors")
    assert model.stored_dtype(folder_of(tmp_path)) == dtype


def test_progress_bars_that_were_off_stay_off(tiny_model, tmp_path):
    """What an embedding program has set is as it was."""
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    shown = logging.is_progress_bar_enabled()
    try:
        for state, switch in (
            (False, logging.disable_progress_bar),
            (True, logging.enable_progress_bar),
        ):
            switch()
            model.load(folder_of(copy), Train())
            assert logging.is_progress_bar_enabled() is state
    finally:
        (logging.enable_progress_bar if shown else logging.disable_progress_bar)()
