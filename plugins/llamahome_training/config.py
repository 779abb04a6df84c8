"""Settings of the training components; imports nothing heavy."""

from __future__ import annotations

from attrs import field, frozen, validators

_share = [validators.ge(0.0), validators.le(1.0)]
_positive = validators.gt(0.0)


@frozen(kw_only=True)
class LoraConfig:
    """Settings of low-rank adaptation (Hu et al. 2021, arXiv:2106.09685)."""

    rank: int = field(default=16, validator=validators.gt(0))
    """Rank of each update: more learns more and costs more."""
    alpha: float | None = field(default=None, validator=validators.optional(_positive))
    """Updates are scaled by alpha / rank. Twice the rank if not set."""
    dropout: float = field(default=0.0, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of the inputs of each update that is dropped at random."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers to adapt, such as `q_proj`; all but the head if empty."""


@frozen(kw_only=True)
class AdamWConfig:
    """Settings of AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101)."""

    learning_rate: float = field(default=2e-4, validator=_positive)
    """Peak learning rate; the schedule scales it."""
    beta1: float = field(default=0.9, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Decay of the mean of the gradients."""
    beta2: float = field(default=0.999, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Decay of the mean of their squares."""
    epsilon: float = field(default=1e-8, validator=_positive)
    """Added to the root of the mean square."""
    weight_decay: float = field(default=0.0, validator=validators.ge(0.0))
    """Pull towards zero, of matrices only: norms and biases are left alone."""


@frozen(kw_only=True)
class ConstantConfig:
    """Settings of the constant schedule."""

    warmup: float = field(default=0.0, validator=_share)
    """Share of the steps in which the rate rises from zero."""


@frozen(kw_only=True)
class LinearConfig:
    """Settings of the linear schedule."""

    warmup: float = field(default=0.05, validator=_share)
    """Share of the steps in which the rate rises from zero."""
    minimum: float = field(default=0.0, validator=_share)
    """Where the rate ends, as a share of its peak."""


@frozen(kw_only=True)
class CosineConfig:
    """Settings of the cosine schedule (Loshchilov and Hutter 2016, arXiv:1608.03983)."""

    warmup: float = field(default=0.05, validator=_share)
    """Share of the steps in which the rate rises from zero."""
    minimum: float = field(default=0.0, validator=_share)
    """Where the rate ends, as a share of its peak."""


@frozen(kw_only=True)
class TorchTrainerConfig:
    """Settings of the one-process trainer."""

    device: str = field(
        default="auto", validator=validators.matches_re(r"auto|cpu|mps|cuda(:\d+)?")
    )
    """`auto` takes the first GPU, else the CPU; or `cpu`, `cuda`, `cuda:1`, `mps`."""
