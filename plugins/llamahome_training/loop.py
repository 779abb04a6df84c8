"""The training loop, from top to bottom.

One owner of the loss's normalisation, here: summed token loss over the trained tokens of the
whole optimizer step. The gradient is the same however the step is split.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

from attrs import define, evolve, field

from llamahome_core import (
    Context,
    Interrupted,
    Objective,
    Optimizer,
    Schedule,
    StepData,
    Steps,
    Trainer,
    TrainingError,
)
from llamahome_training import checkpoints, parts
from llamahome_training.checkpoints import Position
from llamahome_training.evaluation import Evaluator, Sampler
from llamahome_training.forward import Batch, logits_at_labels
from llamahome_training.records import Recorder

MAX_SKIPPED = 3
"""Steps in a row whose gradient was not finite, before training gives up."""


@define(kw_only=True)
class Loop:
    """Runs optimizer steps until the recipe's length is reached or somebody asks to stop."""

    context: Context
    trainer: Trainer
    module: Any
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    steps: Steps
    total: int
    data_digest: str
    evaluator: Evaluator
    sampler: Sampler
    position: Position = field(factory=Position)
    _recorder: Recorder = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._recorder = Recorder(self.context, self.total)

    def run(self) -> None:
        """Train.

        Raises:
            Interrupted: Somebody asked to stop; the state is saved.
            TrainingError: The gradient was not finite several times in a row.
        """
        self.module.train()
        self._look()  # before the first step, or what a stop interrupted
        while self.position.step < self.total:
            self._stop_if_asked()
            with self._recorder.step() as record:
                self._one(record)
            self._after()
        self._stop_if_asked()

    def _one(self, record: dict[str, Any]) -> None:
        """One optimizer step."""
        step = self.position.step
        data = self.steps.step(step)
        loss = self._gradients(data)
        rate = self.optimizer.learning_rate * self._factor(step)
        result = self.trainer.step(learning_rate=rate, clip=self.context.recipe.train.clip or None)
        self.position = evolve(
            self.position,
            step=step + 1,
            tokens=self.position.tokens + data.num_tokens,
            trained_tokens=self.position.trained_tokens + data.num_targets,
        )
        self._guard(data, result.applied)
        record |= {
            "step": step + 1,
            "epoch": data.epoch,
            "loss": loss,
            "lr": rate,
            "grad_norm": result.grad_norm,
            "applied": result.applied,
            "tokens": self.position.tokens,
            "tokens_trained": self.position.trained_tokens,
            "num_tokens": data.num_tokens,
            "num_targets": data.num_targets,
        }

    def _factor(self, step: int) -> float:
        """The schedule's share of the learning rate; a plugin may give anything."""
        factor = self.schedule.factor(step, self.total)
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            if math.isfinite(factor):
                return float(factor)  # perhaps a number of numpy, which no event can hold
        chosen = self.context.recipe.chosen["schedule"]
        origin = self.context.catalog.plugins.active[chosen.plugin].origin
        raise TrainingError(
            f"schedule {chosen.name!r} of plugin {chosen.plugin} ({origin}) gave {factor!r} for "
            f"step {step} of {self.total}: the factor must be a finite number",
            hint="choose another [schedule], or tell the plugin's authors",
        )

    def _gradients(self, data: StepData) -> float:
        """Add the step's gradients; returns its mean token loss."""
        total = self.trainer.total(data.num_targets)
        loss = 0.0
        for micro in data.micro_batches:
            batch = Batch.of(micro, self.trainer.device)
            precision = self.context.recipe.train.precision
            logits = logits_at_labels(self.module, batch, precision=precision)
            found = self.objective.loss(logits, batch.targets)
            part = parts.loss(self.context, found, logits) / total
            self.trainer.backward(part)
            loss += float(part.detach())
        return self.trainer.total(loss)

    def _guard(self, data: StepData, applied: bool) -> None:
        """A step that is not finite changes nothing; several in a row end the run."""
        skipped = 0 if applied else self.position.skipped + 1
        self.position = evolve(self.position, skipped=skipped)
        if applied:
            return
        self.context.warn(
            f"step {self.position.step} was skipped: its gradient is not finite; look at "
            f"{self.steps.origin(data.rows)}",
            step=self.position.step,
        )
        if skipped >= MAX_SKIPPED:
            raise TrainingError(
                f"the gradient was not finite in {MAX_SKIPPED} steps in a row, up to step "
                f"{self.position.step}",
                hint="lower [optimizer] learning_rate, or look at the rows that the warnings name",
            )

    def _after(self) -> None:
        """What follows a step: the record, a look at the model, a checkpoint."""
        step, every = self.position.step, self.context.recipe.checkpoint.every
        self._recorder.write()
        self._look()
        if step == self.total or step % every == 0:
            self._save("end" if step == self.total else "schedule")

    def _look(self) -> None:
        """Evaluate and sample where that is due and not done yet, outside the measured time."""
        recipe, step = self.context.recipe, self.position.step
        if self._due(recipe.evaluate.every) and self.position.evaluated != step:
            self._recorder.flush()
            done = self.evaluator.run(self.module, self.trainer, step)
            self.position = evolve(
                self.position,
                evaluated=step if done else self.position.evaluated,
                first_evaluation=self.evaluator.first,
                best_evaluation=self.evaluator.best,
                last_evaluation=self.evaluator.last,
            )
        if self._due(recipe.sample.every) and self.position.sampled != step:
            self._recorder.flush()
            done = self.sampler.run(self.module, step)
            self.position = evolve(self.position, sampled=step if done else self.position.sampled)

    def _due(self, every: int | None) -> bool:
        """At the start, at the end, and each *every* steps between."""
        step = self.position.step
        return step in {0, self.total} or (every is not None and step % every == 0)

    def _save(self, reason: str) -> None:
        self._recorder.flush()  # a checkpoint whose steps are in no record would leave a gap
        checkpoints.save(self.context, self.trainer, self.position, self.data_digest, reason)

    def _stop_if_asked(self) -> None:
        stop, step = self.context.stop, self.position.step
        if stop.signal is None:
            return
        if step > 0:
            self._save("signal")
        saved = ", and saved" if step > 0 else ": there is nothing to save yet"
        raise Interrupted(f"stopped after step {step} of {self.total}{saved}", signal=stop.signal)
