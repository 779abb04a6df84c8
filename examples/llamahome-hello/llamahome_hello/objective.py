"""The objective `smooth`."""

from __future__ import annotations

import torch
from torch.nn import functional

from llamahome_core import ChatCodec, Context, DataError, Encoded, Example
from llamahome_hello.config import SmoothConfig


class Smooth:
    """Cross-entropy on the assistant's turns, with smoothed labels (arXiv:1512.00567)."""

    identity = "smooth/1"
    """For `encode` alone: the loss leaves no trace in prepared data."""

    def __init__(self, config: SmoothConfig, context: Context) -> None:
        self.smoothing = config.smoothing

    def encode(self, example: Example, codec: ChatCodec) -> Encoded:
        """A conversation, of which the assistant's turns are learned."""
        if not example.messages:
            raise DataError(
                "a row of plain text has no answer to learn",
                hint="give it rows with messages, or with prompt and completion",
            )
        chat = codec.encode(example.messages, example.tools)
        trained = [False] * len(chat.ids)
        for start, end in chat.assistant_spans:
            trained[start:end] = [True] * (end - start)
        trained[0] = False  # nothing comes before it that could predict it
        return Encoded(ids=chat.ids, trained=trained)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The sum over `[N, vocabulary]` logits and `[N]` targets: the loop takes the mean."""
        return functional.cross_entropy(
            logits.float(), targets, reduction="sum", label_smoothing=self.smoothing
        )
