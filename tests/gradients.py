"""Documents laid end to end, and the gradients of a step: for tests of tiny and of real models.

The folders of tests are no packages: a test takes these by ``runpy.run_path``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from llamahome_core import MicroBatch, NoSettings
from llamahome_training import forward
from llamahome_training.objectives import Sft


def micro_batch(docs: list[np.ndarray[Any, Any]], *, trained_from: int = 1) -> MicroBatch:
    """The documents laid end to end, trained from the given token of each on."""
    starts = np.cumsum([0, *(len(doc) for doc in docs)])
    targets = [
        start + np.arange(trained_from, len(doc))
        for start, doc in zip(starts[:-1], docs, strict=True)
    ]
    ids, at = np.concatenate(docs), np.concatenate(targets).astype(np.int64)
    return MicroBatch(
        ids=ids,
        positions=np.concatenate([np.arange(len(doc)) for doc in docs]),
        boundaries=starts,
        predictors=at - 1,
        targets=ids[at],
    )


def gradients(module: Any, batches: list[MicroBatch]) -> dict[str, torch.Tensor]:
    """Gradients of the loss of the whole step, split into *batches*."""
    module.zero_grad(set_to_none=True)
    total = sum(batch.num_targets for batch in batches)
    for micro in batches:
        batch = forward.Batch.of(micro)
        logits = forward.logits_at_labels(module, batch)
        (Sft(NoSettings()).loss(logits, batch.targets) / total).backward()
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
