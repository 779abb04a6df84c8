"""The held-out loss, weighted by tokens, and answers to fixed prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from attrs import define, field

from llamahome_core import (
    ChatCodec,
    Context,
    Generator,
    Objective,
    StepData,
    Trainer,
    files,
)
from llamahome_training import parts
from llamahome_training.forward import Batch, logits_at_labels


@define(kw_only=True)
class Evaluator:
    """Measures the held-out loss and keeps the best.

    Attributes:
        context: The run's context.
        objective: What is learned.
        data: The held-out documents.
        best: The lowest loss so far.
        first: The loss before training.
        last: The newest loss.
    """

    context: Context
    objective: Objective
    data: Sequence[StepData]
    best: float | None = None
    first: float | None = None
    last: float | None = None

    @torch.no_grad()
    def measure(self, module: Any, trainer: Trainer) -> tuple[float, int] | None:
        """Summed token loss over trained tokens, as their mean, and their number.

        None if the run was asked to stop meanwhile: half a measure is none.
        """
        total, count = 0.0, 0
        was_training = module.training
        module.eval()
        try:
            for part in self.data:
                for micro in part.micro_batches:
                    if self.context.stop.requested:
                        return None
                    batch = Batch.of(micro, trainer.device)
                    logits = logits_at_labels(
                        module, batch, precision=self.context.recipe.train.precision
                    )
                    found = self.objective.loss(logits, batch.targets)
                    total += float(parts.loss(self.context, found, logits))
                    count += micro.num_targets
        finally:
            module.train(was_training)
        return trainer.total(total) / max(trainer.total(count), 1), count

    def run(self, module: Any, trainer: Trainer, step: int) -> bool:
        """Measure and report; false if the run was asked to stop meanwhile."""
        if not self.data:
            return True
        if (measured := self.measure(module, trainer)) is None:
            return False
        loss, tokens = measured
        best = math.isfinite(loss) and (self.best is None or loss < self.best)
        if math.isfinite(loss):  # a checkpoint's JSON has no other numbers
            self.best, self.last = loss if best else self.best, loss
            self.first = loss if self.first is None else self.first
        self.context.events.emit(
            "eval", step=step, loss=loss, ppl=perplexity(loss), tokens=tokens, best=best
        )
        return True


def perplexity(loss: float) -> float | None:
    """``exp(loss)``; None where it would say nothing."""
    return math.exp(loss) if loss < math.log(1e6) else None


@define(kw_only=True)
class Sampler:
    """Lets the model answer the recipe's prompts."""

    context: Context
    _prompts: list[tuple[str, list[int]]] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        prompts = self.context.recipe.sample.prompts
        if prompts:
            codec = self.context.get(ChatCodec)
            self._prompts = [(prompt, codec.encode_prompt(prompt)) for prompt in prompts]

    def run(self, module: Any, step: int) -> bool:
        """Answer each prompt and report; the same seed each time, so that answers compare.

        False if the run was asked to stop meanwhile.
        """
        samples = []
        for prompt, ids in self._prompts:
            if self.context.stop.requested:
                return False
            answer = self._answer(module, ids)
            self.context.events.emit("sample", step=step, prompt=prompt, answer=answer)
            samples.append({"prompt": prompt, "answer": answer})
        if samples and self.context.directory is not None:
            name = f"step-{step:09d}.json"
            files.write_json(self.context.directory / "samples" / name, samples)
        return True

    def _answer(self, module: Any, ids: list[int]) -> str:
        settings = self.context.recipe.sample
        answer = self.context.get(Generator).generate(
            module,
            ids,
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            seed=self.context.recipe.seed,
        )
        return self.context.get(ChatCodec).decode(answer)
