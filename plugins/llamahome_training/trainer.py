"""The torch trainer: a step in one process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from llamahome_core import Context, StepResult, TrainingError, UnavailableError
from llamahome_training.config import TorchTrainerConfig


class TorchTrainer:
    """Executes steps on one device; the finite check and the clipping are its own."""

    rank = 0
    world_size = 1

    def __init__(self, config: TorchTrainerConfig, context: Context | None = None) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.module: torch.nn.Module
        self.optimizer: torch.optim.Optimizer
        self._trained: dict[str, torch.nn.Parameter] = {}

    def setup(self, build_model: Callable[[], Any], build_optimizer: Callable[[Any], Any]) -> Any:
        """Build model and optimizer on the device."""
        self.module = build_model().to(self.device)
        self.optimizer = build_optimizer(self.module.named_parameters())
        named = self.module.named_parameters()
        self._trained = {name: p for name, p in named if p.requires_grad}
        return self.module

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of *loss*."""
        loss.backward()

    def step(self, *, learning_rate: float, clip: float | None) -> StepResult:
        """Clip and update, or clear the gradients and change nothing if one is not finite."""
        grads = [p.grad for p in self._trained.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        value = float(norm)
        applied = math.isfinite(value)
        if applied:
            if clip is not None and value > clip:
                torch.nn.utils.clip_grads_with_norm_(self._trained.values(), clip, norm)
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepResult(applied=applied, grad_norm=value)

    def total(self, value: float) -> float:
        """*value*: there is one process."""
        return value

    def tensors(self) -> dict[str, Any]:
        """Trained weights as ``weight/<name>``, optimizer state as ``optimizer/<name>/<key>``."""
        found = {f"weight/{name}": p.detach() for name, p in self._trained.items()}
        for name, parameter in self._trained.items():
            for key, value in self._state_of(parameter).items():
                if isinstance(value, torch.Tensor):
                    found[f"optimizer/{name}/{key}"] = value.detach()
        return found

    def state(self) -> dict[str, Any]:
        """What an optimizer keeps besides tensors: numbers of parameters and of groups.

        Raises:
            TrainingError: It keeps something that is no JSON value.
        """
        numbers = {
            name: {k: v for k, v in self._state_of(p).items() if not isinstance(v, torch.Tensor)}
            for name, p in self._trained.items()
        }
        groups = [
            {key: value for key, value in group.items() if key != "params"}
            for group in self.optimizer.param_groups
        ]
        found = {"parameters": {name: kept for name, kept in numbers.items() if kept}}
        return _checked(found | {"groups": groups})

    def _state_of(self, parameter: torch.nn.Parameter) -> dict[str, Any]:
        found: dict[str, Any] = self.optimizer.state.get(parameter, {})
        return found

    def restore(self, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Copy weights and optimizer state into place.

        Existing tensors are copied into: a tensor at another address may be summed in another
        order, and the last bit would differ.
        """
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(tensors[f"weight/{name}"])
                prefix = f"optimizer/{name}/"
                for key in [k for k in tensors if k.startswith(prefix)]:
                    self._restore_one(parameter, key.removeprefix(prefix), tensors[key])
        for name, kept in state["parameters"].items():
            self.optimizer.state[self._trained[name]].update(kept)
        for group, kept in zip(self.optimizer.param_groups, state["groups"], strict=True):
            for key, value in kept.items():
                group[key] = tuple(value) if isinstance(group.get(key), tuple) else value

    def _restore_one(self, parameter: torch.nn.Parameter, key: str, value: torch.Tensor) -> None:
        like = parameter if value.shape == parameter.shape else value.to(self.device)
        place = self.optimizer.state[parameter].setdefault(
            key, torch.empty_like(like, dtype=value.dtype)
        )
        place.copy_(value)


def _checked(state: dict[str, Any]) -> dict[str, Any]:
    """*state*, if JSON can hold it."""
    try:
        json.dumps(state, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"the optimizer keeps something that a checkpoint cannot hold: {error}",
            hint="an optimizer's state is tensors and plain numbers",
        ) from None
    return state


def choose_device(name: str) -> torch.device:
    """The device that *name* means; ``auto`` takes the first GPU.

    Raises:
        UnavailableError: This machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }[device.type]
    if not available:
        raise UnavailableError(
            f"this machine has no device {name!r}", hint='[trainer] device = "auto"'
        )
    return device
