"""What of the model is trained, and how that is saved alone and merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llamahome_core import Context, ModelError, NoSettings, suggest
from llamahome_training.config import LoraConfig


class Full:
    """Every weight is trained."""

    def __init__(self, config: NoSettings, context: Context | None = None) -> None:
        self.config = config

    def apply(self, model: Any) -> Any:
        """The model itself, nothing frozen."""
        return model.requires_grad_(True)  # torch's own signature

    def merge(self, model: Any) -> Any:
        """The model itself."""
        return model

    def save(self, model: Any, folder: Path) -> bool:
        """There is no adapter to save."""
        return False


class Lora:
    """Low-rank updates of the linear layers, by peft."""

    def __init__(self, config: LoraConfig, context: Context | None = None) -> None:
        self.config = config

    def apply(self, model: Any) -> Any:
        """A peft model in which only the updates are trained.

        Raises:
            ModelError: A target names no linear layer of the model.
        """
        import peft

        self._check_targets(model)
        alpha = self.config.alpha if self.config.alpha is not None else 2 * self.config.rank
        settings = peft.LoraConfig(
            r=self.config.rank,
            lora_alpha=alpha,  # type: ignore[arg-type]  # peft divides it; a fraction is fine
            lora_dropout=self.config.dropout,
            target_modules=list(self.config.targets) or "all-linear",
            task_type=peft.TaskType.CAUSAL_LM,
        )
        return peft.get_peft_model(model, settings)

    def _check_targets(self, model: Any) -> None:
        import torch

        known = {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        for target in self.config.targets:
            if target not in known:
                close = suggest(target, known)
                raise ModelError(
                    f"the model has no linear layer called {target!r}",
                    hint=f"did you mean {close[0]!r}?" if close else f"it has {sorted(known)}",
                )

    def merge(self, model: Any) -> Any:
        """The base model with the updates added to its weights."""
        return model.merge_and_unload()

    def save(self, model: Any, folder: Path) -> bool:
        """Write ``adapter_config.json`` and ``adapter_model.safetensors``."""
        model.save_pretrained(folder, safe_serialization=True)
        return True
