"""Looks at what the chosen parts give to the training: what is wrong names the part, not the loop.

An objective, an optimizer or an adapter may be anybody's. What it raises is told with its name by
the kernel; what it returns would fail later, in our code, as if that were wrong.
"""

from __future__ import annotations

import math
import reprlib
from typing import Any

import torch

from llamahome_core import Context, Optimizer, PluginError


def loss(context: Context, found: Any, logits: torch.Tensor) -> torch.Tensor:
    """*found*, what the objective gave for *logits*: one number, with a gradient if they have one.

    Raises:
        PluginError: It is something else.
    """
    if not isinstance(found, torch.Tensor) or found.numel() != 1:
        _refuse(context, "objective", "its loss must be a tensor of one number", _shown(found))
    if logits.requires_grad and not found.requires_grad:
        _refuse(context, "objective", "its loss must be computed from the logits", "no gradient")
    scalar: torch.Tensor = found
    return scalar.reshape(())


def optimizer(context: Context, chosen: Optimizer, found: Any) -> torch.optim.Optimizer:
    """*found*, what *chosen* built, if it is an optimizer, and has a rate to be scaled.

    Raises:
        PluginError: It is none.
    """
    if not isinstance(found, torch.optim.Optimizer):
        _refuse(context, "optimizer", "it must build a torch.optim.Optimizer", _shown(found))
    rate: Any = chosen.learning_rate
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not math.isfinite(rate):
        _refuse(context, "optimizer", "its learning_rate must be a number", _shown(rate))
    built: torch.optim.Optimizer = found
    return built


def module(context: Context, found: Any) -> torch.nn.Module:
    """*found*, what the adapter made of the model, if it can still be trained as one.

    Raises:
        PluginError: It is no module, or none of its parameters is trained.
    """
    if not isinstance(found, torch.nn.Module) or not hasattr(found, "config"):
        _refuse(context, "adapter", "it must return the model, a torch.nn.Module", _shown(found))
    model: torch.nn.Module = found
    if not any(parameter.requires_grad for parameter in model.parameters()):
        _refuse(context, "adapter", "it must leave something to train", "only frozen parameters")
    return model


def _refuse(context: Context, kind: str, wanted: str, found: str) -> None:
    selection = context.recipe.chosen[kind]
    raise PluginError(
        f"{selection.owner}: {wanted}, got {found}",
        hint=f"choose another [{kind}], or tell the makers of {selection.origin}",
    )


def _shown(found: Any) -> str:
    if isinstance(found, torch.Tensor):
        return f"a tensor of shape {tuple(found.shape)}"
    return reprlib.repr(found)
