"""The stage ``prepare``: rows to tokens on disk, made once for the same content and settings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llamahome_core import (
    ChatCodec,
    Context,
    IntegrityError,
    ModelFolder,
    Models,
    Objective,
    PreparedData,
    Stop,
    StorageError,
    files,
)
from llamahome_data import inputs as made_from
from llamahome_data.inputs import Source
from llamahome_data.prepared import Prepared, total_steps
from llamahome_data.write import count_rows, write_documents

Inputs = dict[str, Any]


def prepare(context: Context) -> None:
    """Put the recipe's :class:`~llamahome_core.PreparedData` into *context*.

    Raises:
        DataError: A source or row cannot be used; the message says which.
        StorageError: The disk failed or is full.
        Interrupted: The run was asked to stop; nothing half done is left.
    """
    prepared, made = obtain(context)
    context.put(PreparedData, prepared)
    for text in _remarks(context, prepared.summary):
        context.warn(text)
    steps = prepared.training(seed=context.recipe.seed)
    prepared.evaluation()
    context.events.emit(
        "data",
        **prepared.summary,
        steps_per_epoch=steps.per_epoch,
        digest=prepared.digest,
        reused=not made,
    )


def plan(context: Context) -> dict[str, Any]:
    """The figures of the data; leaves the prepared data in the cache, where the run finds it.

    Needs the tokenizer and no weights. While the model is not on this machine only the rows are
    counted.

    Raises:
        DataError: A source or row cannot be used; the message says which.
    """
    recipe = context.recipe
    folder = context.find(ModelFolder) or context.get(Models).cached(recipe.model)
    if folder is None:
        return {"rows": count_rows(context), "steps": "known once the model is fetched"}
    context.put(ModelFolder, folder)
    prepared, _ = obtain(context)
    steps = prepared.training(seed=recipe.seed).per_epoch
    return {
        **prepared.summary,
        "steps_per_epoch": steps,
        "steps": total_steps(recipe.train, steps, prepared.summary["tokens"]),
    }


def obtain(context: Context) -> tuple[Prepared, bool]:
    """The recipe's prepared data, from the cache or made now; and whether it was made now."""
    codec = context.get(ChatCodec)
    objective: Objective = context.build("objective")
    sources = made_from.open_sources(context)
    inputs = made_from.describe(context, sources, objective, codec)
    target = context.workspace.cache("training") / made_from.key(inputs)
    with _alone(target, context):
        if found := _existing(context, target, inputs):
            return found, False
        return _made(context, target, inputs, lambda f: write_documents(
            context, sources, objective, codec, f
        )), True


def _existing(context: Context, target: Path, inputs: Inputs) -> Prepared | None:
    """What lies at *target*, if it is whole; what is damaged is thrown away and made again."""
    if not target.exists():
        return None
    try:
        return Prepared.open(target, context.recipe.batch, inputs)
    except IntegrityError as error:
        context.warn(f"prepared data is damaged and is made again: {error.message}")
        files.discard(target)
        return None
