"""Contracts of the mathematics: objectives, optimizers, schedules."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest

from llamahome_core import ChatCodec, DataError, Encoded, Example, Objective, Optimizer, Schedule
from llamahome_core.testing.codec import ByteCodec

_TOTALS = (1, 2, 3, 10, 1000)


class ScheduleContract:
    """What every schedule keeps to: give the fixture ``schedule``."""

    @pytest.fixture
    def schedule(self) -> Schedule:
        """The schedule; the author's part."""
        raise NotImplementedError("give a fixture `schedule`")

    @pytest.mark.parametrize("total", _TOTALS)
    def test_the_rate_is_between_nothing_and_its_peak(self, schedule: Schedule, total: int) -> None:
        """At every step of a run of any length, and somewhere it is more than nothing."""
        factors = [schedule.factor(step, total) for step in range(total)]

        assert [factor for factor in factors if not 0.0 <= factor <= 1.0] == []
        assert max(factors) > 0.0

    @pytest.mark.parametrize("total", _TOTALS)
    def test_it_is_a_pure_function(self, schedule: Schedule, total: int) -> None:
        """Asked backwards and again it says the same: a run that goes on starts anywhere."""
        forwards = [schedule.factor(step, total) for step in range(total)]
        backwards = [schedule.factor(step, total) for step in reversed(range(total))]

        assert backwards[::-1] == forwards


class ObjectiveContract:
    """What every objective keeps to.

    Give the fixture ``objective``. Its examples are a conversation and a text; if it takes
    neither, give ``examples`` as well.
    """

    @pytest.fixture
    def objective(self) -> Objective:
        """The objective; the author's part."""
        raise NotImplementedError("give a fixture `objective`")

    @pytest.fixture
    def examples(self) -> list[Example]:
        """What it is given to encode; those that it refuses with a DataError are left out."""
        turns = ("user", "What is a run?"), ("assistant", "A folder."), ("user", "Ü?")
        messages = [{"role": role, "content": content} for role, content in turns]
        answered = [*messages, {"role": "assistant", "content": "Yes."}]
        return [Example(messages=tuple(answered)), Example(text="A run is a folder.")]

    @pytest.fixture
    def codec(self) -> ChatCodec:
        """Makes tokens of bytes."""
        return ByteCodec()

    @pytest.fixture
    def encoded(
        self, objective: Objective, examples: list[Example], codec: ChatCodec
    ) -> list[Encoded]:
        """The examples that it takes; one at least."""
        found = [_encoded(objective, example, codec) for example in examples]
        taken = [one for one in found if one is not None]
        assert taken, "it takes none of the examples: give a fixture `examples`"
        return taken

    def test_each_token_is_trained_or_not(self, encoded: list[Encoded], codec: ChatCodec) -> None:
        """Some are; the first never is, for nothing comes before it."""
        for one in encoded:
            assert len(one.ids) == len(one.trained)
            assert all(0 <= i < codec.vocab_size for i in one.ids)
            assert any(one.trained)
            assert not one.trained[0]

    def test_the_same_example_gives_the_same_tokens(
        self,
        objective: Objective,
        encoded: list[Encoded],
        examples: list[Example],
        codec: ChatCodec,
    ) -> None:
        """Prepared data is kept under the objective's identity."""
        again = [_encoded(objective, example, codec) for example in examples]

        assert [one for one in again if one is not None] == encoded
        assert isinstance(objective.identity, str)
        assert objective.identity == objective.identity != ""

    @pytest.mark.parametrize("parts", [2, 3, 7])
    def test_a_split_step_has_the_gradient_of_the_whole(
        self, objective: Objective, parts: int
    ) -> None:
        """The loss is a sum over tokens, so it does not matter how a step is divided."""
        torch = pytest.importorskip("torch")
        logits, targets = _logits(torch)
        whole, gradient = _loss(torch, objective, logits, targets)
        split = [
            _loss(torch, objective, some, targets[n::parts])
            for n in range(parts)
            for some in [logits[n::parts]]
        ]
        joined = torch.empty_like(gradient)
        for number, (_, part) in enumerate(split):
            joined[number::parts] = part

        torch.testing.assert_close(sum(loss for loss, _ in split), whole, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(joined, gradient, rtol=1e-5, atol=1e-6)

    def test_no_tokens_weigh_nothing(self, objective: Objective) -> None:
        """An empty micro-batch adds a zero, not a NaN; its gradient can be asked for."""
        torch = pytest.importorskip("torch")
        logits, targets = _logits(torch)
        loss, gradient = _loss(torch, objective, logits[:0], targets[:0])

        assert float(loss) == 0.0
        assert gradient.shape == (0, logits.shape[1])

    def test_the_loss_is_one_finite_number(self, objective: Objective) -> None:
        """For very sure predictions as well; and the logits are as they were."""
        torch = pytest.importorskip("torch")
        logits, targets = _logits(torch)
        for scale in (1.0, 1e-6, 1e4):
            scaled = logits * scale
            before = scaled.clone()
            loss, gradient = _loss(torch, objective, scaled, targets)
            assert loss.shape == ()
            assert torch.isfinite(loss)
            assert torch.isfinite(gradient).all()
            assert torch.equal(scaled, before)

    def test_it_learns(self, objective: Objective) -> None:
        """A small step against the gradient makes the loss smaller."""
        torch = pytest.importorskip("torch")
        logits, targets = _logits(torch)
        loss, gradient = _loss(torch, objective, logits, targets)
        after, _ = _loss(torch, objective, logits - 1e-2 * gradient, targets)

        assert float(after) < float(loss)


def _encoded(objective: Objective, example: Example, codec: ChatCodec) -> Encoded | None:
    try:
        return objective.encode(example, codec)
    except DataError:
        return None


def _logits(torch: Any) -> tuple[Any, Any]:
    """``[23, 11]`` logits and their targets, the same each time."""
    random = torch.Generator().manual_seed(5)
    logits = torch.randn(23, 11, generator=random)
    return logits, torch.randint(0, 11, (23,), generator=random)


def _loss(torch: Any, objective: Objective, logits: Any, targets: Any) -> tuple[Any, Any]:
    leaf = logits.clone().requires_grad_()
    loss = objective.loss(leaf, targets)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), gradient


class OptimizerContract:
    """What every optimizer keeps to: give the fixture ``optimizer``. Needs torch."""

    @pytest.fixture
    def optimizer(self) -> Optimizer:
        """The optimizer; the author's part."""
        raise NotImplementedError("give a fixture `optimizer`")

    def test_it_says_its_rate_and_whether_it_is_elementwise(self, optimizer: Optimizer) -> None:
        """A positive number, and true or false."""
        assert math.isfinite(optimizer.learning_rate)
        assert optimizer.learning_rate > 0
        assert isinstance(optimizer.elementwise, bool)

    def test_it_goes_downhill(self, optimizer: Optimizer) -> None:
        """Twenty steps at its own rate make the loss smaller."""
        torch = pytest.importorskip("torch")
        module = _module(torch)
        built = optimizer.build(module.named_parameters())
        losses = [_step(torch, module, built, 0) for _ in range(20)]

        assert losses[-1] < losses[0]

    def test_frozen_parameters_stay_as_they_are(self, optimizer: Optimizer) -> None:
        """Of all parameters it is given, it changes those that are trained."""
        torch = pytest.importorskip("torch")
        module = _module(torch)
        module[0].weight.requires_grad_(requires_grad=False)
        before = copy.deepcopy(module.state_dict())
        built = optimizer.build(module.named_parameters())
        _step(torch, module, built, 0)
        changed = {n for n, p in module.state_dict().items() if not torch.equal(p, before[n])}

        assert "2.weight" in changed
        assert "0.weight" not in changed

    def test_the_loop_sets_the_rate(self, optimizer: Optimizer) -> None:
        """Through ``param_groups``, as in torch: at a rate of nothing, nothing changes."""
        torch = pytest.importorskip("torch")
        module = _module(torch)
        before = copy.deepcopy(module.state_dict())
        built = optimizer.build(module.named_parameters())
        for group in built.param_groups:
            group["lr"] = 0.0
        _step(torch, module, built, 0)

        assert all(torch.equal(p, before[n]) for n, p in module.state_dict().items())

    def test_its_state_saves_and_restores_bit_for_bit(self, optimizer: Optimizer) -> None:
        """Five steps are two, a pause and three; the state is tensors and JSON values."""
        torch = pytest.importorskip("torch")
        module = _module(torch)
        built = optimizer.build(module.named_parameters())
        for index in range(2):
            _step(torch, module, built, index)
        weights, state = copy.deepcopy(module.state_dict()), copy.deepcopy(built.state_dict())
        for index in range(2, 5):
            _step(torch, module, built, index)
        other = _module(torch)
        other.load_state_dict(weights)
        again = optimizer.build(other.named_parameters())
        again.load_state_dict(state)
        for index in range(2, 5):
            _step(torch, other, again, index)

        assert all(torch.equal(p, module.state_dict()[n]) for n, p in other.state_dict().items())
        for kept in state["state"].values():
            plain = {k: v for k, v in kept.items() if not isinstance(v, torch.Tensor)}
            json.dumps(plain, allow_nan=False)

    def test_what_is_elementwise_can_be_split(self, optimizer: Optimizer) -> None:
        """Half a matrix by itself gets the update that it gets as a part; if it says so."""
        torch = pytest.importorskip("torch")
        if not optimizer.elementwise:
            return  # it promises nothing, and is refused where state is split
        random = torch.Generator().manual_seed(2)
        weight, gradient = (torch.randn(6, 4, generator=random) for _ in range(2))
        found = []
        for pieces in ([slice(0, 6)], [slice(0, 3), slice(3, 6)]):
            parts = [torch.nn.Parameter(weight[piece].clone()) for piece in pieces]
            built = optimizer.build([(f"part{n}", part) for n, part in enumerate(parts)])
            for part, piece in zip(parts, pieces, strict=True):
                part.grad = gradient[piece].clone()
            built.step()
            found.append(torch.cat([part.detach() for part in parts]))

        torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-7)


def _module(torch: Any) -> Any:
    """Two layers; the same weights each time, and no global random state touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def _objective(torch: Any, module: Any, index: int) -> Any:
    random = torch.Generator().manual_seed(index)
    inputs, wanted = (torch.randn(16, size, generator=random) for size in (4, 3))
    return (module(inputs) - wanted).square().mean()


def _step(torch: Any, module: Any, built: Any, index: int) -> float:
    loss = _objective(torch, module, index)
    built.zero_grad()
    loss.backward()
    built.step()
    return float(loss.detach())
