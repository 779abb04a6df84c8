"""What is learned: which tokens count, and the summed loss of their logits."""

from __future__ import annotations

import torch
from torch.nn import functional

from llamahome_core import ChatCodec, Context, DataError, Encoded, Example, NoSettings


def token_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed cross-entropy in fp32.

    Args:
        logits: ``[N, vocabulary]``.
        targets: ``int64[N]``.
    """
    return functional.cross_entropy(logits.float(), targets, reduction="sum")


class Sft:
    """Supervised fine-tuning: the assistant's turns of a conversation, each with its end token."""

    identity = "sft/1"

    def __init__(self, config: NoSettings, context: Context | None = None) -> None:
        self.config = config

    def encode(self, example: Example, codec: ChatCodec) -> Encoded:
        """A conversation, with the assistant's turns trained.

        Raises:
            DataError: The example is plain text: there is no assistant in it.
        """
        if not example.messages:
            raise DataError(
                "a row of plain text has no assistant turn to learn",
                hint='use messages or prompt and completion, or [objective] use = "pretrain"',
            )
        chat = codec.encode(example.messages, example.tools)
        trained = [False] * len(chat.ids)
        for start, end in chat.assistant_spans:
            trained[start:end] = [True] * (end - start)
        trained[:1] = [False] * len(chat.ids[:1])
        return Encoded(ids=chat.ids, trained=trained)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Summed cross-entropy; see :func:`token_loss`."""
        return token_loss(logits, targets)


class Pretrain:
    """Continued pre-training: every token of a document but the first."""

    identity = "pretrain/1"

    def __init__(self, config: NoSettings, context: Context | None = None) -> None:
        self.config = config

    def encode(self, example: Example, codec: ChatCodec) -> Encoded:
        """Plain text as one document; a conversation is taken as its template writes it."""
        if example.messages:
            ids = codec.encode(example.messages, example.tools).ids
        else:
            ids = codec.encode_text(example.text or "")
        return Encoded(ids=ids, trained=[index > 0 for index in range(len(ids))])

    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Summed cross-entropy; see :func:`token_loss`."""
        return token_loss(logits, targets)
