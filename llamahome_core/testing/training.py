"""Contracts of what trains: adapters and trainers. They need torch and transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from llamahome_core import Adapter, StepResult, Trainer


class AdapterContract:
    """What every adapter keeps to: give the fixture ``adapter``."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        """The adapter; the author's part."""
        raise NotImplementedError("give a fixture `adapter`")

    @pytest.fixture
    def base(self, tiny_model: Path) -> Any:
        """A tiny Llama."""
        transformers = pytest.importorskip("transformers")
        return transformers.AutoModelForCausalLM.from_pretrained(tiny_model)

    @pytest.fixture
    def trained(self, adapter: Adapter, base: Any) -> Any:
        """The adapted model after a few steps."""
        torch = pytest.importorskip("torch")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            model = adapter.apply(base)
        wanted = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(wanted, lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            model(input_ids=_ids(torch), labels=_ids(torch)).loss.backward()
            optimizer.step()
        return model

    def test_something_is_trained(self, adapter: Adapter, base: Any) -> None:
        """All of the model, or a part that can be saved alone."""
        model = adapter.apply(base)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)

        assert 0 < trained <= sum(p.numel() for p in model.parameters())

    def test_what_is_frozen_does_not_change(self, adapter: Adapter, base: Any) -> None:
        """Training reaches what is trained, and nothing else."""
        torch = pytest.importorskip("torch")
        model = adapter.apply(base)
        model(input_ids=_ids(torch), labels=_ids(torch)).loss.backward()
        gradients = {n: p.grad is not None for n, p in model.named_parameters()}

        assert any(gradients.values())
        assert not any(gradients[n] for n, p in model.named_parameters() if not p.requires_grad)

    def test_the_merged_model_is_plain_and_says_the_same(
        self, adapter: Adapter, base: Any, trained: Any, tmp_path: Path
    ) -> None:
        """A model of transformers, whose saved files load without the adapter's plugin."""
        torch = pytest.importorskip("torch")
        kind = type(base)
        with torch.no_grad():
            expected = trained.eval()(input_ids=_ids(torch)).logits
        adapter.merge(trained).save_pretrained(tmp_path)
        loaded = kind.from_pretrained(tmp_path)
        with torch.no_grad():
            logits = loaded.eval()(input_ids=_ids(torch)).logits

        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)

    def test_it_is_saved_alone_if_it_can_be(
        self, adapter: Adapter, trained: Any, tmp_path: Path
    ) -> None:
        """Safetensors and JSON; an adapter that cannot be saved alone writes nothing."""
        saved = adapter.save(trained, tmp_path)
        names = [path.name for path in tmp_path.rglob("*") if path.is_file()]

        assert isinstance(saved, bool)
        assert any(name.endswith(".safetensors") for name in names) is saved
        assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".py"))]


def _ids(torch: Any) -> Any:
    return torch.tensor([[5, 17, 42, 99, 7, 300]])


class TrainerContract:
    """What every trainer keeps to, on one process.

    Give the fixture ``make_trainer``: a function that makes a new one each time.
    """

    @pytest.fixture
    def make_trainer(self) -> Callable[[], Trainer]:
        """Makes a trainer; the author's part."""
        raise NotImplementedError("give a fixture `make_trainer`")

    @pytest.fixture
    def training(self, make_trainer: Callable[[], Trainer]) -> Training:
        """A trainer with a small model and AdamW, set up."""
        return Training.of(make_trainer())

    def test_it_knows_its_place(self, make_trainer: Callable[[], Trainer]) -> None:
        """Its rank among its processes, and the sum over all of them."""
        trainer = make_trainer()

        assert 0 <= trainer.rank < trainer.world_size
        assert trainer.total(2.5) == 2.5 * trainer.world_size

    def test_a_step_changes_the_weights_and_clears_the_gradients(self, training: Training) -> None:
        """Two steps of the same loss have the norm of one gradient each, not of two."""
        before = training.weights()
        results = [training.step(1e-6), training.step(1e-6)]

        assert all(result.applied for result in results)
        assert results[1].grad_norm == pytest.approx(results[0].grad_norm, rel=1e-2)
        assert not equal(before, training.weights())

    def test_the_rate_is_that_of_the_step(self, training: Training) -> None:
        """At a rate of nothing, no weight changes."""
        before = training.weights()

        assert training.step(0.0).applied
        assert equal(before, training.weights())

    def test_gradients_add_up(self, make_trainer: Callable[[], Trainer]) -> None:
        """Two halves of a loss are the loss."""
        whole, halves = (Training.of(make_trainer()) for _ in range(2))
        whole.trainer.backward(whole.loss())
        halves.trainer.backward(halves.loss() / 2)
        halves.trainer.backward(halves.loss() / 2)
        norms = [t.trainer.step(learning_rate=0.1, clip=None).grad_norm for t in (whole, halves)]

        assert norms[0] == pytest.approx(norms[1], rel=1e-5)

    def test_clipping_bounds_the_step_and_the_norm_is_that_before(
        self, make_trainer: Callable[[], Trainer]
    ) -> None:
        """With plain gradient descent at a rate of one, the step is as long as the clip."""
        torch = pytest.importorskip("torch")
        free, clipped = (Training.of(make_trainer(), "SGD") for _ in range(2))
        before = clipped.weights()
        norm = free.step(1.0, clip=None).grad_norm
        result = clipped.step(1.0, clip=norm / 10)
        moved = [new - before[name] for name, new in clipped.weights().items()]

        assert result.grad_norm == pytest.approx(norm, rel=1e-5)
        assert float(torch.nn.utils.get_total_norm(moved)) == pytest.approx(norm / 10, rel=1e-3)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_a_gradient_that_is_not_finite_changes_nothing(
        self, training: Training, bad: float
    ) -> None:
        """Neither weights nor the optimizer's state; the next step goes well."""
        training.step(0.1)
        before = training.saved()
        training.trainer.backward(training.loss() * bad)
        result = training.trainer.step(learning_rate=0.1, clip=1.0)

        assert not result.applied
        assert equal(before, training.saved())
        assert training.step(0.1).applied

    def test_it_goes_on_bit_for_bit(self, make_trainer: Callable[[], Trainer]) -> None:
        """From its tensors and its state, which is JSON; the weights keep their place in memory."""
        first, second = (Training.of(make_trainer()) for _ in range(2))
        for _ in range(3):
            first.step(0.1)
        state = json.loads(json.dumps(first.trainer.state(), allow_nan=False))
        places = [p.data_ptr() for p in second.module.parameters()]
        second.trainer.restore(first.saved(), state)
        for training in (first, second):
            for _ in range(3):
                training.step(0.1)

        assert equal(first.saved(), second.saved())
        assert equal(first.weights(), second.weights())
        assert [p.data_ptr() for p in second.module.parameters()] == places


@frozen
class Training:
    """A trainer and the small module that it trains."""

    trainer: Trainer
    module: Any

    @classmethod
    def of(cls, trainer: Trainer, optimizer: str = "AdamW") -> Training:
        """*trainer*, set up with a model that is the same each time."""
        torch = pytest.importorskip("torch")

        def model() -> Any:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1)
                layers = torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
                return torch.nn.Sequential(*layers)

        def build(named: Any) -> Any:
            return getattr(torch.optim, optimizer)([p for _, p in named], lr=1.0)

        return cls(trainer, trainer.setup(model, build))

    def loss(self) -> Any:
        """The same each time, for the same weights."""
        torch = pytest.importorskip("torch")
        inputs = torch.linspace(-1, 1, 32).reshape(8, 4).to(self.trainer.device)
        return self.module(inputs).square().sum()

    def step(self, rate: float, clip: float | None = 1.0) -> StepResult:
        """One whole step."""
        self.trainer.backward(self.loss())
        return self.trainer.step(learning_rate=rate, clip=clip)

    def weights(self) -> dict[str, Any]:
        """Copies of the module's parameters."""
        return {name: p.detach().clone() for name, p in self.module.named_parameters()}

    def saved(self) -> dict[str, Any]:
        """Copies of what a checkpoint holds."""
        return {name: tensor.clone() for name, tensor in self.trainer.tensors().items()}


def equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether both hold the same tensors, bit for bit."""
    torch = pytest.importorskip("torch")
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
