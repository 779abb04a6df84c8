"""A run through the kernel and the same loop called bare, in turns, in one process.

A stage before ``train`` puts itself between the loop and its data. When the loop asks for the first
step of a block, the bare loop may have its turn before the kernel's loop gets its data: B K, K B,
B K, K B and so on, each pair on the same documents. So both meet the same noise, a machine that
slows down favours neither, and nothing of the loop had to be changed for it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import define, field, frozen
from torch.nn import functional

from llamahome_core import (
    Context,
    Kernel,
    ModelFolder,
    PreparedData,
    Stage,
    StepData,
    Steps,
    Workspace,
    hookimpl,
)
from llamahome_training import model
from llamahome_training.attention import Documents


@frozen(kw_only=True)
class Pace:
    """How the two take turns.

    Attributes:
        warmup: Steps of each before anything is measured.
        block: Steps of each in one turn.
        blocks: Turns of each; an even number, so that each goes first equally often.
    """

    warmup: int = 2
    block: int = 1
    blocks: int = 10

    @property
    def total(self) -> int:
        """Steps that the kernel's loop runs: one more than is measured, whose start ends a turn."""
        return self.warmup + self.blocks * self.block + 1


@frozen
class Seconds:
    """Time by the clock and time of this process on a processor."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Seconds:
        """Both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: Seconds) -> Seconds:
        """What passed since *start*."""
        return Seconds(self.wall - start.wall, self.cpu - start.cpu)


@define
class Bare:
    """The loop with nothing around it: no kernel, no events, no records, its data in memory."""

    module: Any
    learning_rate: float
    clip: float
    optimizer: torch.optim.Optimizer = field(init=False)
    losses: list[float] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.module.train()
        self.optimizer = torch.optim.AdamW(
            self._trained(), lr=self.learning_rate, fused=True, weight_decay=0.0
        )

    def _trained(self) -> list[torch.nn.Parameter]:
        return [p for p in self.module.parameters() if p.requires_grad]

    def run(self, steps: Iterable[StepData]) -> None:
        """Train on *steps*."""
        trained = self._trained()
        for data in steps:
            total, loss = data.num_targets, 0.0
            for micro in data.micro_batches:
                ids, positions, predictors, targets = (
                    torch.as_tensor(array, dtype=torch.int64)
                    for array in (micro.ids, micro.positions, micro.predictors, micro.targets)
                )
                logits = self.module(
                    input_ids=ids[None],
                    position_ids=positions[None],
                    documents=Documents.of(micro.boundaries.tolist()),
                    logits_to_keep=predictors,
                    use_cache=False,
                ).logits[0]
                part = functional.cross_entropy(logits.float(), targets, reduction="sum") / total
                part.backward()
                loss += part.item()
            torch.nn.utils.clip_grad_norm_(trained, self.clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.losses.append(loss)


@define
class Turns:
    """The steps that the kernel's loop is given; it runs the bare loop before each block."""

    inner: Steps
    bare: Bare
    pace: Pace
    kernel_seconds: list[Seconds] = field(init=False, factory=list)
    bare_seconds: list[Seconds] = field(init=False, factory=list)
    _since: Seconds | None = field(init=False, default=None)

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the data."""
        return self.inner.per_epoch

    def step(self, index: int) -> StepData:
        """The *index*-th step, after the bare loop's turn if it is due."""
        if index == 0:
            self.bare.run(self._steps(0, self.pace.warmup))
        block, rest = divmod(index - self.pace.warmup, self.pace.block)
        if block >= 0 and rest == 0:
            self._turn(block)
        return self.inner.step(index)

    def _steps(self, first: int, count: int) -> list[StepData]:
        return [self.inner.step(index) for index in range(first, first + count)]

    def _turn(self, block: int) -> None:
        """End the kernel's last block; let the bare loop have its turns that lie before the next.

        The bare loop goes first in even blocks and second in odd ones.
        """
        if self._since is not None:
            self.kernel_seconds.append(Seconds.now().since(self._since))
        if block % 2 == 0:
            due = [block - 1, block] if block < self.pace.blocks else [block - 1]
            for number in due if block else [0]:
                self._run_bare(number)
        self._since = Seconds.now()

    def _run_bare(self, block: int) -> None:
        steps = self._steps(self.pace.warmup + block * self.pace.block, self.pace.block)
        started = Seconds.now()
        self.bare.run(steps)
        self.bare_seconds.append(Seconds.now().since(started))


@frozen
class TakingTurns:
    """The prepared data, whose training steps are *turns*."""

    inner: PreparedData
    turns: Turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def training(self, *, seed: int) -> Steps:
        """The steps that take turns; they were made with the recipe's seed."""
        return self.turns


def take_turns(context: Context) -> None:
    """The stage: build the bare loop's model as the train stage builds its own."""
    recipe, data = context.recipe, context.get(PreparedData)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        module = context.build("adapter").apply(model.load(context.get(ModelFolder), recipe.train))
    bare = Bare(module, context.build("optimizer").learning_rate, recipe.train.clip)
    turns = Turns(data.training(seed=recipe.seed), bare, context.get(Pace))
    context.put(Turns, turns)
    context.put(PreparedData, TakingTurns(data, turns))


@define
class Alternation:
    """The plugin: brings the stage, and keeps what it measured."""

    pace: Pace
    turns: Turns | None = None

    @hookimpl
    def llamahome_stages(self) -> Iterable[Stage]:
        """One before ``train``, by its name."""
        yield Stage(
            name="alternate",
            summary="Let the bare loop take turns.",
            run=f"{__name__}:take_turns",
            after=("prepare",),
        )

    @hookimpl
    def llamahome_run_started(self, run: Any) -> None:
        """Tell the stage its pace."""
        run.context.put(Pace, self.pace)

    @hookimpl
    def llamahome_run_finished(self, run: Any, outcome: Any) -> None:
        """Keep what was measured."""
        self.turns = run.context.find(Turns)


@frozen(kw_only=True)
class Comparison:
    """What the kernel costs.

    Attributes:
        pace: How they took turns.
        kernel: Seconds of each block through the kernel.
        bare: Seconds of the same block of the bare loop.
        losses: Loss of each step, through the kernel and bare: the proof that both did one thing.
    """

    pace: Pace
    kernel: Sequence[Seconds]
    bare: Sequence[Seconds]
    losses: Sequence[tuple[float, float]]

    def ratios(self, clock: str) -> list[float]:
        """Each block of the kernel over the bare loop's, by *clock*: ``wall`` or ``cpu``."""
        pairs = zip(self.kernel, self.bare, strict=True)
        return [getattr(kernel, clock) / getattr(bare, clock) for kernel, bare in pairs]

    def ratio(self, clock: str) -> float:
        """Median of the ratios."""
        return statistics.median(self.ratios(clock))

    def step_seconds(self, side: str, clock: str = "wall") -> float:
        """Median seconds of a step of ``kernel`` or ``bare``."""
        blocks = [getattr(seconds, clock) for seconds in getattr(self, side)]
        return float(statistics.median(blocks)) / self.pace.block

    @property
    def difference(self) -> float:
        """Largest relative difference of the two losses of a step."""
        return max(abs(k - b) / abs(b) for k, b in self.losses)


def compare(recipe: dict[str, Any], folder: Path, pace: Pace) -> Comparison:
    """Run *recipe* (its length is *pace*'s) with the bare loop in between; *folder* is scratch."""
    from llamahome_core import live_events

    alternation = Alternation(pace)
    workspace = Workspace(folder)
    kernel = Kernel(
        workspace=workspace, extra=[alternation], environ={}, user_file=folder / "none.toml"
    )
    off = {"train": {**recipe.get("train", {}), "steps": pace.total}, "publish": {"enabled": False}}
    outcome = kernel.run(recipe | off)
    if outcome.error is not None:
        raise outcome.error
    turns = alternation.turns
    if turns is None:
        raise RuntimeError("the stage that takes turns was not run")
    (run,) = (path for path in workspace.runs.iterdir() if path.is_dir())
    events = live_events(run / "events.jsonl")
    losses = [event["loss"] for event in events if event["t"] == "train"]
    return Comparison(
        pace=pace,
        kernel=turns.kernel_seconds,
        bare=turns.bare_seconds,
        losses=list(zip(losses, turns.bare.losses, strict=False)),
    )
