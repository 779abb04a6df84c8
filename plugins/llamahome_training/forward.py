"""From a micro-batch to logits where there is a label, and a proof that documents do not mix."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from attrs import frozen

from llamahome_core import MicroBatch, TrainingError
from llamahome_training.attention import Documents


@frozen(eq=False)
class Batch:
    """A micro-batch as tensors on the trainer's device; the fields are `MicroBatch`'s."""

    ids: torch.Tensor
    positions: torch.Tensor
    predictors: torch.Tensor
    targets: torch.Tensor
    documents: Documents

    @classmethod
    def of(cls, batch: MicroBatch, device: torch.device | str = "cpu") -> Batch:
        """From numpy arrays."""

        def tensor(array: Any) -> torch.Tensor:
            return torch.as_tensor(array, dtype=torch.int64).to(device)

        return cls(
            tensor(batch.ids),
            tensor(batch.positions),
            tensor(batch.predictors),
            tensor(batch.targets),
            Documents.of(batch.boundaries.tolist()),
        )


def logits_at_labels(module: Any, batch: Batch, *, precision: str = "fp32") -> torch.Tensor:
    """Logits ``[N, vocabulary]`` of the tokens that predict a trained token, and of no other."""
    with _autocast(batch.ids.device, precision):
        output = module(
            input_ids=batch.ids[None],
            position_ids=batch.positions[None],
            documents=batch.documents,
            logits_to_keep=batch.predictors,
            use_cache=False,
        )
    logits: torch.Tensor = output.logits[0]
    return logits


def _autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


@torch.no_grad()
def refuse_leaks(module: Any, device: torch.device | str, vocabulary: int) -> None:
    """Check on a few tokens that a document's logits do not depend on the one before it.

    A model may mix tokens in other ways than through attention, or ignore how its attention is
    set; whatever it does, this notices.

    Raises:
        TrainingError: They do depend on it: training would learn from the wrong context.
    """
    length = 8
    lengths = (length, length)
    first = torch.arange(2 * length, device=device) % vocabulary
    second = first.clone()
    second[:length] = (first[:length] + 1) % vocabulary
    was_training = module.training
    module.eval()
    outputs = [
        logits_at_labels(
            module,
            Batch(
                ids,
                torch.arange(length, device=device).repeat(2),
                torch.arange(length, 2 * length, device=device),
                first[:0],
                Documents(lengths),
            ),
        )
        for ids in (first, second)
    ]
    module.train(was_training)
    if not torch.equal(*outputs):
        raise TrainingError(
            "this model mixes documents that lie end to end, so that training would leak",
            hint="train a model with plain attention: recurrent layers are not supported yet",
        )
