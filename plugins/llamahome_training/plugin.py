"""Declares the training components and the train stage."""

from __future__ import annotations

from collections.abc import Iterable

from llamahome_core import Check, Component, Stage, hookimpl
from llamahome_training.config import (
    AdamWConfig,
    ConstantConfig,
    CosineConfig,
    LinearConfig,
    LoraConfig,
    TorchTrainerConfig,
)

NEEDS = ("torch", "transformers")


@hookimpl
def llamahome_objectives() -> Iterable[Component]:
    """Supervised fine-tuning and continued pre-training."""
    yield Component(
        name="sft",
        summary="Learn the assistant's turns of conversations.",
        factory="llamahome_training.objectives:Sft",
        needs=NEEDS,
        extra="train",
    )
    yield Component(
        name="pretrain",
        summary="Learn every token of plain text.",
        factory="llamahome_training.objectives:Pretrain",
        needs=NEEDS,
        extra="train",
    )


@hookimpl
def llamahome_adapters() -> Iterable[Component]:
    """All weights, or low-rank updates."""
    yield Component(
        name="full",
        summary="Train every weight.",
        factory="llamahome_training.adapters:Full",
        needs=NEEDS,
        extra="train",
    )
    yield Component(
        name="lora",
        summary="Train low-rank updates of the linear layers.",
        config=LoraConfig,
        factory="llamahome_training.adapters:Lora",
        needs=(*NEEDS, "peft"),
        extra="train",
    )


@hookimpl
def llamahome_optimizers() -> Iterable[Component]:
    """AdamW."""
    yield Component(
        name="adamw",
        summary="Adam with decoupled weight decay.",
        config=AdamWConfig,
        factory="llamahome_training.optimizers:AdamW",
        needs=("torch",),
        extra="train",
    )


@hookimpl
def llamahome_schedules() -> Iterable[Component]:
    """Learning rates over time."""
    yield Component(
        name="constant",
        summary="The peak rate, after a warm-up.",
        config=ConstantConfig,
        factory="llamahome_training.schedules:Constant",
    )
    yield Component(
        name="linear",
        summary="Down in a straight line, after a warm-up.",
        config=LinearConfig,
        factory="llamahome_training.schedules:Linear",
    )
    yield Component(
        name="cosine",
        summary="Down along half a cosine, after a warm-up.",
        config=CosineConfig,
        factory="llamahome_training.schedules:Cosine",
    )


@hookimpl
def llamahome_trainers() -> Iterable[Component]:
    """One process."""
    yield Component(
        name="torch",
        summary="One process, on a GPU or the CPU.",
        config=TorchTrainerConfig,
        factory="llamahome_training.trainer:TorchTrainer",
        needs=NEEDS,
        extra="train",
    )


@hookimpl
def llamahome_stages() -> Iterable[Stage]:
    """The train stage."""
    yield Stage(
        name="train",
        summary="Train, evaluate, sample, save checkpoints.",
        run="llamahome_training.stage:train",
        plan="llamahome_training.stage:plan",
        after=("fetch", "prepare"),
    )


@hookimpl
def llamahome_checks() -> Iterable[Check]:
    """Torch and the devices."""
    yield Check(
        name="torch",
        summary="torch, its devices, and how fast they multiply.",
        run="llamahome_training.checks:devices",
    )
