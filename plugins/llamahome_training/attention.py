"""Attention over documents that lie end to end: none looks at another, and none is padded out.

One call of SDPA for each document: on a CPU, batching documents of like length was measured to gain
nothing, and one mask over all tokens to cost five times as much. Everything outside attention works
on the tokens alone. Shapes: ``T`` tokens, ``H`` query heads, ``G`` key heads, ``E`` their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from attrs import frozen
from torch.nn import functional

from llamahome_core import TrainingError

NAME = "llamahome"
"""What a model's ``attn_implementation`` is called."""

# Attention that these ask for would be wrong here in silence; each is refused by name.
UNSUPPORTED = ("softcap", "s_aux", "indexer")


@frozen(eq=False)
class Documents:
    """Where the documents of a micro-batch of ``T`` tokens begin and end.

    Attributes:
        lengths: Tokens of each document, in order; they sum to ``T``.
    """

    lengths: tuple[int, ...]

    @classmethod
    def of(cls, boundaries: Sequence[int]) -> Documents:
        """From the starts of the documents and ``T``: ``D + 1`` numbers."""
        return cls(tuple(end - start for start, end in pairwise(boundaries)))


def _causal(
    query_THE: torch.Tensor, key_TGE: torch.Tensor, value_TGE: torch.Tensor, scale: float | None
) -> torch.Tensor:
    """Causal attention of one document, ``[T, heads, size]`` in and out."""
    query, key, value = (x.transpose(0, 1)[None] for x in (query_THE, key_TGE, value_TGE))
    grouped = query.shape[1] != key.shape[1]
    out_1HTE = functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scale, enable_gqa=grouped
    )
    return out_1HTE[0].transpose(0, 1)


def document_attention(  # noqa: PLR0913, PLR0917  # the signature that transformers calls
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    documents: Documents | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """The attention that transformers calls for each layer.

    Args:
        module: The layer.
        query: ``[1, heads, T, size]``; *key* and *value* may have fewer heads.
        key: See *query*.
        value: See *query*.
        attention_mask: Always None: no mask over all the tokens is ever built.
        scaling: Multiplies the scores.
        dropout: Must be 0.
        documents: The documents of the batch; None while generating, when there is one.
        sliding_window: Longest distance that a token looks back, if the layer limits it.
        **more: What else a model passes; what would change the result is refused.

    Returns:
        ``[1, T, heads, size]`` and no weights.

    Raises:
        TrainingError: The layer asks for something that this attention cannot do.
    """
    if documents is None:
        return _sdpa(module, query, key, value, attention_mask, scaling, dropout, **more)
    _refuse(documents, dropout, sliding_window, more)
    # split, not slices: its backward is one concatenation, not a full-size zero per document.
    parts = (x.transpose(1, 2)[0].split(documents.lengths) for x in (query, key, value))
    outs = [_causal(q, k, v, scaling) for q, k, v in zip(*parts, strict=True)]
    return torch.cat(outs)[None], None


def _refuse(documents: Documents, dropout: float, window: int | None, more: dict[str, Any]) -> None:
    for name in UNSUPPORTED:
        if more.get(name) is not None:
            raise TrainingError(f"this model's attention uses {name!r}, which is not supported yet")
    if dropout:
        raise TrainingError("attention dropout is not supported", hint="set it to 0 in the model")
    if window is not None and (longest := max(documents.lengths)) > window:
        raise TrainingError(
            f"a document of {longest} tokens is longer than the model's attention "
            f"window of {window}",
            hint=f"[batch] max_length = {window}",
        )


def _sdpa(module: Any, *arguments: Any, **more: Any) -> tuple[torch.Tensor, None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    query, key, value, mask, scaling, dropout = arguments
    return sdpa_attention_forward(
        module, query, key, value, mask, scaling=scaling, dropout=dropout, **more
    )


def register() -> None:
    """Make the attention known to transformers. Without a mask function it builds no mask."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, document_attention)
