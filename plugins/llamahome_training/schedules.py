"""Learning rates over time, as pure functions of the step."""

from __future__ import annotations

import math

from llamahome_core import Context
from llamahome_training.config import ConstantConfig, CosineConfig, LinearConfig


def warmup_steps(share: float, total: int) -> int:
    """Whole steps of a warm-up that takes *share* of *total*; a warm-up never takes them all."""
    return min(math.ceil(share * total), max(total - 1, 0))


def _progress(step: int, total: int, share: float) -> tuple[float | None, float]:
    """Warm-up factor, or None when it is over, and progress from 0 to 1 after it."""
    warm = warmup_steps(share, total)
    if step < warm:
        return (step + 1) / (warm + 1), 0.0
    return None, (step - warm) / max(total - warm, 1)


class Constant:
    """The peak rate, after a warm-up."""

    def __init__(self, config: ConstantConfig, context: Context | None = None) -> None:
        self.config = config

    def factor(self, step: int, total: int) -> float:
        """1 after the warm-up."""
        rising, _ = _progress(step, total, self.config.warmup)
        return 1.0 if rising is None else rising


class Linear:
    """Down in a straight line to the minimum, after a warm-up."""

    def __init__(self, config: LinearConfig, context: Context | None = None) -> None:
        self.config = config

    def factor(self, step: int, total: int) -> float:
        """From 1 to the minimum."""
        rising, done = _progress(step, total, self.config.warmup)
        low = self.config.minimum
        return low + (1.0 - low) * (1.0 - done) if rising is None else rising


class Cosine:
    """Down along half a cosine to the minimum, after a warm-up."""

    def __init__(self, config: CosineConfig, context: Context | None = None) -> None:
        self.config = config

    def factor(self, step: int, total: int) -> float:
        """From 1 to the minimum."""
        rising, done = _progress(step, total, self.config.warmup)
        low = self.config.minimum
        if rising is not None:
            return rising
        return low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * done))
