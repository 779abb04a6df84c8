"""The optimizer `lion`: the sign of a momentum (arXiv:2302.06675)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from llamahome_core import Context
from llamahome_hello.config import LionConfig


class Lion:
    """What LlamaHome asks for: the peak of the rate, and an optimizer of torch."""

    elementwise = True
    """An update needs no other element's gradient, so a tensor may be split over machines."""

    def __init__(self, config: LionConfig, context: Context) -> None:
        self.config = config

    @property
    def learning_rate(self) -> float:
        """The peak; the schedule sets the rate of each step in `param_groups`."""
        return self.config.learning_rate

    def build(self, named_parameters: Iterable[tuple[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer, over the parameters that are trained."""
        trained = [parameter for _, parameter in named_parameters if parameter.requires_grad]
        return SignOfMomentum(trained, self.config)


class SignOfMomentum(torch.optim.Optimizer):
    """The optimizer itself; its state is one tensor for each parameter."""

    def __init__(self, parameters: list[torch.nn.Parameter], config: LionConfig) -> None:
        super().__init__(parameters, {"lr": config.learning_rate})
        self.config = config

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group["lr"])

    def _update(self, parameter: torch.nn.Parameter, rate: float) -> None:
        config, state, gradient = self.config, self.state[parameter], parameter.grad
        assert gradient is not None  # noqa: S101  # `step` has looked
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"]
        direction = torch.lerp(gradient, momentum, config.beta1).sign_()
        parameter.mul_(1 - rate * config.weight_decay).sub_(direction, alpha=rate)
        momentum.lerp_(gradient, 1 - config.beta2)
