"""What prepared data was made from, and the key that names the result.

Content counts, not location: a renamed or touched file has the same key, one changed byte another.
"""

from __future__ import annotations

import json
from typing import Any

import xxhash

from llamahome_core import ChatCodec, Context, Example, Objective
from llamahome_data.sources import Source
from llamahome_data.transforms import Chain

PREPARE_VERSION = 3
"""Raise it when the same inputs give other documents than before, or other files of them."""


def describe(
    context: Context, sources: list[Source], chain: Chain, objective: Objective, codec: ChatCodec
) -> dict[str, Any]:
    """All that decides what the documents are, as JSON values; kept beside them."""
    recipe = context.recipe
    return {
        "version": PREPARE_VERSION,
        "data": [
            [s.digest, "evaluate" if s.held_out else "train", selection.plugin, selection.name]
            for s, selection in zip(sources, recipe.data, strict=True)
        ],
        "transforms": chain.inputs,
        "codec": codec.digest,
        "objective": [recipe.chosen["objective"].plugin, objective.identity],
        "max_length": recipe.batch.max_length,
        "overlong": recipe.batch.overlong,
        "split": recipe.evaluate.split,
    }


def key(inputs: dict[str, Any]) -> str:
    """The name of what is made from *inputs*: 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(json.dumps(inputs, sort_keys=True).encode())


def is_held_out(example: Example, share: float) -> bool:
    """Whether the split takes *example* for evaluation.

    Only the example's own content decides: it stays on its side when rows are added, and equal
    rows are never on both sides.
    """
    if share == 0:
        return False
    content = json.dumps([example.messages, example.text, example.tools], sort_keys=True)
    return xxhash.xxh3_64_intdigest(content.encode()) < share * 2**64
