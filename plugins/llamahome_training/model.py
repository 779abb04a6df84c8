"""Loads a model to train, and writes the trained one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from attrs import define, field

from llamahome_core import Adapter, ModelError, ModelFolder, Train
from llamahome_training import attention

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """Without transformers' own bars: the run's console shows progress, from events."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load(folder: ModelFolder, settings: Train) -> Any:
    """A causal language model with fp32 weights and attention by document.

    Raises:
        ModelError: transformers cannot load it.
    """
    from transformers import AutoModelForCausalLM

    attention.register()
    try:
        with no_progress_bars():
            model = AutoModelForCausalLM.from_pretrained(
                folder.path,
                dtype=torch.float32,
                attn_implementation=attention.NAME,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot load {folder.name}: {error}") from error
    model.config.use_cache = False
    if settings.checkpointing:
        _checkpoint_activations(model)
    return model


def _checkpoint_activations(model: Any) -> None:
    """Recompute activations in the backward pass; the name changed in transformers 5.2x."""
    old = "gradient_checkpointing_enable"
    enable = getattr(model, "activation_checkpointing_enable", None) or getattr(model, old)
    # Reentrant checkpointing gives LoRA no gradient: its input needs none (peft#137).
    enable({"use_reentrant": False})


def stored_dtype(folder: ModelFolder) -> torch.dtype:
    """The number format of the base model's weights on disk."""
    from safetensors import safe_open

    for path in sorted(folder.path.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # not a mapping
                dtype: torch.dtype = file.get_slice(name).get_dtype()
                return _DTYPE_NAMES.get(str(dtype), torch.float32)
    return torch.float32


_DTYPE_NAMES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


@define
class TrainedModel:
    """What the train stage leaves: the module and its figures.

    Attributes:
        module: The trained module.
        adapter: What was trained of it.
        metrics: Final figures.
        dtype: Number format of merged weights.
    """

    module: Any
    adapter: Adapter
    metrics: dict[str, Any] = field(factory=dict)
    dtype: torch.dtype = torch.float32

    def save_adapter(self, folder: Path) -> bool:
        """Write the adapter alone; false if whole weights were trained."""
        return self.adapter.save(self.module, folder)

    def save_merged(self, folder: Path) -> None:
        """Write config and whole weights; the module is consumed."""
        merged = self.adapter.merge(self.module)
        merged.config.use_cache = True
        # The attention is LlamaHome's: a published model must not ask for it.
        merged.config._attn_implementation = None  # noqa: SLF001  # transformers has no public way
        with no_progress_bars():
            merged.to(self.dtype).save_pretrained(folder, max_shard_size="4GB")


def count(module: Any) -> tuple[int, int]:
    """All parameters and the trained ones; tied ones count once."""
    parameters: Iterator[torch.nn.Parameter] = module.parameters()
    sizes = [(p.numel(), p.requires_grad) for p in parameters]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)
