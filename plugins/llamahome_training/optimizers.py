"""Optimizers: torch's own, with their parameters in groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from llamahome_core import Context
from llamahome_training.config import AdamWConfig


class AdamW:
    """torch's AdamW; weight decay on matrices only."""

    elementwise = True

    def __init__(self, config: AdamWConfig, context: Context | None = None) -> None:
        self.config = config

    @property
    def learning_rate(self) -> float:
        """The peak rate."""
        return self.config.learning_rate

    def build(self, named_parameters: Iterable[tuple[str, Any]]) -> torch.optim.Optimizer:
        """An optimizer over the parameters that are trained."""
        trained = [p for _, p in named_parameters if p.requires_grad]
        matrices = [p for p in trained if p.dim() > 1]
        vectors = [p for p in trained if p.dim() <= 1]
        config = self.config
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=True,
        )
