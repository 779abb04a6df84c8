"""The stage ``prepare``: rows to tokens on disk, made once for the same content and settings."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llamahome_core import (
    ChatCodec,
    Context,
    HeldError,
    IntegrityError,
    ModelFolder,
    Models,
    Objective,
    PreparedData,
    Recipe,
    StorageError,
    files,
)
from llamahome_data.documents import Encoder
from llamahome_data.inputs import describe, key, open_sources
from llamahome_data.prepared import Prepared
from llamahome_data.write import count_rows, write

Inputs = dict[str, Any]

POLL = 0.2
"""Seconds between two looks at a lock that another process holds."""


def prepare(context: Context) -> None:
    """Put the recipe's :class:`~llamahome_core.PreparedData` into *context*.

    Raises:
        DataError: A source or row cannot be used; the message says which.
        StorageError: The disk failed or is full.
        Interrupted: The run was asked to stop; nothing half done is left.
    """
    prepared, made = obtain(context)
    context.put(PreparedData, prepared)
    for text in remarks(prepared.summary, context.recipe):
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
        "steps": recipe.train.total_steps(steps, prepared.summary["tokens"]),
    }


def obtain(context: Context) -> tuple[Prepared, bool]:
    """The recipe's prepared data, from the cache or made now; and whether it was made now."""
    codec = context.get(ChatCodec)
    objective: Objective = context.build("objective")
    sources = open_sources(context)
    inputs = describe(context, sources, objective, codec)
    target = context.workspace.cache("training") / key(inputs)
    with _alone(target, context):
        if found := _existing(context, target, inputs):
            return found, False
        _sweep(target)
        encoder = Encoder(objective, codec, context.recipe.batch)
        _make(context, target, inputs, lambda into: write(context, sources, encoder, into))
        return Prepared.open(target, context.recipe.batch, inputs), True


@contextlib.contextmanager
def _alone(target: Path, context: Context) -> Iterator[None]:
    """Hold the lock of *target*, so that of several processes one does the work.

    The lock saves work and guards nothing else, for a folder appears by one rename. Where locks do
    nothing (some network file systems), the slower process takes what is there, or fails and can
    be run again; neither reads half a folder.
    """
    path, waiting = target.with_name(f"{target.name}.lock"), False
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(files.lock(path, wait=False))
                break
            except HeldError:
                if not waiting:
                    context.phase("wait for another process that prepares the same data")
                waiting = True
                context.stop.check()
                time.sleep(POLL)
        yield


def _sweep(target: Path) -> None:
    """Remove what attempts at *target* left that were killed; call it with the lock held."""
    for pattern in (f".{target.name}.tmp-*", ".trash-*"):
        for left in target.parent.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)


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


def _make(
    context: Context, target: Path, inputs: Inputs, fill: Callable[[Path], dict[str, Any]]
) -> None:
    summary: dict[str, Any] = {}
    try:
        with files.new_folder(target, lambda: {"inputs": inputs, "summary": summary}) as folder:
            summary |= fill(folder)
    except StorageError:
        if not _existing(context, target, inputs):
            raise


_REMARKS = {
    "overlong": "{count} of {rows} rows are longer than batch.max_length = {limit} and were left "
    "out",
    "nothing_to_learn": "{count} of {rows} rows have nothing to learn and were left out",
    "piece_without_learning": "{count} pieces of split rows have nothing to learn and were left "
    "out",
    "truncated": "{count} of {rows} rows are longer than batch.max_length = {limit} and lost "
    "their end",
    "split": "{count} of {rows} rows are longer than batch.max_length = {limit} and were split",
}


def remarks(summary: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """What the user should know about the rows that did not go in whole."""
    counts = {**summary["dropped"], "truncated": summary["truncated"], "split": summary["split"]}
    texts = [
        _REMARKS[reason].format(count=count, rows=summary["rows"], limit=recipe.batch.max_length)
        for reason, count in counts.items()
        if count
    ]
    if recipe.evaluate.split and not summary["evaluation_documents"]:
        texts.append(
            f"evaluate.split = {recipe.evaluate.split} of {summary['rows']} rows holds out none; "
            "there will be no held-out loss"
        )
    return texts
