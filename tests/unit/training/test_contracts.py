"""The contracts of what trains refuse what breaks them, one fault at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from llamahome_core import NoSettings, StepResult
from llamahome_core.testing import (
    AdapterContract,
    GeneratorContract,
    ObjectiveContract,
    OptimizerContract,
    TrainerContract,
)
from llamahome_core.testing.training import Training
from llamahome_training.adapters import Full
from llamahome_training.config import AdamWConfig, TorchTrainerConfig
from llamahome_training.objectives import Sft
from llamahome_training.optimizers import AdamW
from llamahome_training.trainer import TorchTrainer


def refused(contract: type, test: str, **given: Any) -> bool:
    """Whether the test of *contract* fails for what is given."""
    method = getattr(contract(), test)
    try:
        method(**given)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001  # whatever fails a test
        return True
    return False


class Mean(Sft):
    def loss(self, logits: Any, targets: Any) -> Any:
        return functional.cross_entropy(logits, targets)


def test_an_objective_that_averages_is_refused():
    """Its gradient depends on how a step is split, and nothing divided by nothing is no number."""
    for objective, wrong in ((Mean(NoSettings()), True), (Sft(NoSettings()), False)):
        split = "test_a_split_step_has_the_gradient_of_the_whole"
        assert refused(ObjectiveContract, split, objective=objective, parts=2) is wrong
        nothing = "test_no_tokens_weigh_nothing"
        assert refused(ObjectiveContract, nothing, objective=objective) is wrong


class Greedy(AdamW):
    """Trains what is frozen, and has a rate of its own."""

    def build(self, named_parameters: Any) -> Any:
        parameters = [p.requires_grad_(requires_grad=True) for _, p in named_parameters]
        built = super().build([("p", p) for p in parameters])
        step = built.step

        def own(*args: Any, **more: Any) -> Any:
            for group in built.param_groups:
                group["lr"] = 0.1
            return step(*args, **more)

        built.step = own  # type: ignore[method-assign]  # the fault
        return built


class Forgetful(torch.optim.SGD):
    """Keeps how far it is outside its state."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.steps
        return super().step(closure)


class Wandering(AdamW):
    """Makes the one above."""

    def build(self, named_parameters: Any) -> Any:
        return Forgetful([p for _, p in named_parameters])


class Total(AdamW):
    """Says that it is elementwise, and divides by the norm of each whole tensor."""

    def build(self, named_parameters: Any) -> Any:
        class Normed(torch.optim.SGD):
            def step(self, closure: Any = None) -> Any:
                for p in self.param_groups[0]["params"]:
                    p.grad /= p.grad.norm()
                return super().step(closure)

        return Normed([p for _, p in named_parameters], lr=0.1)


def test_an_optimizer_with_a_fault_is_refused():
    good = AdamW(AdamWConfig())
    cases = {
        "test_frozen_parameters_stay_as_they_are": Greedy(AdamWConfig()),
        "test_the_loop_sets_the_rate": Greedy(AdamWConfig()),
        "test_its_state_saves_and_restores_bit_for_bit": Wandering(AdamWConfig()),
        "test_what_is_elementwise_can_be_split": Total(AdamWConfig()),
    }
    for test, bad in cases.items():
        assert refused(OptimizerContract, test, optimizer=bad), test
        assert not refused(OptimizerContract, test, optimizer=good), test


class Careless(TorchTrainer):
    """Neither clips nor looks; starts its optimizer afresh."""

    def step(self, *, learning_rate: float, clip: float | None) -> StepResult:
        result = super().step(learning_rate=learning_rate, clip=None)
        if not result.applied:
            for p in self.module.parameters():
                p.data.zero_()
        return result

    def restore(self, tensors: Any, state: Any) -> None:
        weights = {n: t for n, t in tensors.items() if n.startswith("weight/")}
        super().restore(weights, state)


def test_a_trainer_with_a_fault_is_refused():
    config = TorchTrainerConfig(device="cpu")

    def check(made: type, test: str) -> bool:
        make: Callable[[], Any] = lambda: made(config)  # noqa: E731  # a function is what is given
        return refused(TrainerContract, test, make_trainer=make)

    for test in (
        "test_clipping_bounds_the_step_and_the_norm_is_that_before",
        "test_it_goes_on_bit_for_bit",
    ):
        assert check(Careless, test)
        assert not check(TorchTrainer, test)
    test = "test_a_gradient_that_is_not_finite_changes_nothing"
    for made, wrong in ((Careless, True), (TorchTrainer, False)):
        training = Training.of(made(config))
        assert refused(TrainerContract, test, training=training, bad=float("nan")) is wrong


def test_an_adapter_whose_merged_model_says_something_else_is_refused(tiny_model: Path, tmp_path):
    """And one that says it saved something and did not."""

    class Losing(Full):
        def save(self, model: Any, folder: Path) -> bool:
            return True

        def merge(self, model: Any) -> Any:
            return AutoModelForCausalLM.from_pretrained(tiny_model)

    for adapter, wrong in ((Losing(NoSettings()), True), (Full(NoSettings()), False)):
        base = AutoModelForCausalLM.from_pretrained(tiny_model)
        trained = adapter.apply(base)
        with torch.no_grad():
            trained.model.norm.weight.mul_(2)
        alone = {"adapter": adapter, "trained": trained, "tmp_path": tmp_path / str(wrong)}
        alone["tmp_path"].mkdir()
        test = "test_it_is_saved_alone_if_it_can_be"
        assert refused(AdapterContract, test, **alone) is wrong
        test = "test_the_merged_model_is_plain_and_says_the_same"
        assert refused(AdapterContract, test, base=base, **alone) is wrong


def test_a_generator_that_seeds_the_process_is_refused(tiny_model: Path):
    module = AutoModelForCausalLM.from_pretrained(tiny_model)

    class Seeding:
        def generate(self, module: Any, prompt: Any, **settings: Any) -> list[int]:
            torch.manual_seed(settings.get("seed", 0))
            module.eval()
            return torch.randint(0, 400, (settings["max_tokens"],)).tolist()

    state = torch.random.get_rng_state()
    for test in ("test_the_seed_alone_decides", "test_each_part_of_the_module_keeps_its_mode"):
        assert refused(GeneratorContract, test, generator=Seeding(), module=module)
    torch.random.set_rng_state(state)
