"""The stage ``prepare``: rows to tokens on disk, made once for the same content and settings."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
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
    Recipe,
    StorageError,
    files,
)
from llamahome_data.documents import Encoder
from llamahome_data.inputs import describe, key
from llamahome_data.prepared import Prepared
from llamahome_data.sources import open_sources
from llamahome_data.transforms import open_transforms
from llamahome_data.write import count_rows, write

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
    figures = {_PLANNED.get(name, name): value for name, value in prepared.summary.items()}
    return {
        **figures,
        "steps_per_epoch": steps,
        "steps": recipe.train.total_steps(steps, prepared.summary["tokens"]),
    }


# Beside a plan's settings, "split 0" would be read as evaluate.split.
_PLANNED = {"truncated": "rows_truncated", "split": "rows_split"}


def obtain(context: Context) -> tuple[Prepared, bool]:
    """The recipe's prepared data, from the cache or made now; and whether it was made now.

    The lock saves work and guards nothing else, for a folder appears by one rename. Where locks do
    nothing (some network file systems), the slower process takes what is there, or fails and can
    be run again; neither reads half a folder.
    """
    codec = context.get(ChatCodec)
    objective: Objective = context.build("objective")
    sources, chain = open_sources(context), open_transforms(context)
    inputs = describe(context, sources, chain, objective, codec)
    target = context.workspace.cache("training") / key(inputs)
    with files.lock(
        target.with_name(f"{target.name}.lock"),
        on_wait=lambda _: context.phase("wait for another process that prepares the same data"),
        poll=context.stop.check,
    ):
        found = _existing(context, target, inputs)
        if made := found is None:
            with contextlib.suppress(StorageError):  # somebody else's, on a machine that is shared
                files.sweep(target.parent, target.name)
            owner = context.recipe.chosen["objective"].owner
            encoder = Encoder(objective, codec, context.recipe.batch, owner=owner)
            fill = partial(write, context, sources, chain, encoder)
            _make(context, target, inputs, fill)
        prepared = found or Prepared.open(target, context.recipe.batch, inputs)
    _check_positions(context, prepared)
    return prepared, made


def _check_positions(context: Context, prepared: Prepared) -> None:
    folder = context.find(ModelFolder)
    if folder is not None and (positions := max_positions(folder)) is not None:
        prepared.check_positions(positions, folder.name)


_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")


def max_positions(folder: ModelFolder) -> int | None:
    """Tokens of the longest sequence that the model was made for, if its config says so."""
    try:
        config = json.loads((folder.path / "config.json").read_bytes())
        text = config.get("text_config", config)  # where a model reads more than text
        found = next((text[name] for name in _POSITIONS if name in text), None)
    except (OSError, ValueError, AttributeError, TypeError):
        return None  # loading the model says what is wrong with its config
    return found if isinstance(found, int) and found > 0 else None


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


def _make(context: Context, target: Path, inputs: Inputs, fill: Callable[[Path], None]) -> None:
    try:
        with files.new_folder(target, lambda: {"inputs": inputs}) as folder:
            fill(folder)
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
    rows, texts = summary["rows"], []
    counts = Counter(summary["dropped"])
    for number, done in enumerate(summary["transforms"], 1):
        counts.subtract(done["dropped"])
        texts += [
            f"{count} of {rows} rows were left out by [[transform]] {number} ({done['use']}) as "
            f"{reason.replace('_', ' ')}"
            for reason, count in done["dropped"].items()
        ]
    counts |= Counter(truncated=summary["truncated"], split=summary["split"])
    texts += [
        _REMARKS[reason].format(count=count, rows=rows, limit=recipe.batch.max_length)
        for reason, count in counts.items()
        if count
    ]
    evaluate = recipe.evaluate
    if evaluate.split and not summary["evaluation_documents"]:
        texts.append(
            f"evaluate.split = {evaluate.split} of {rows} rows holds out none; "
            "there will be no held-out loss"
        )
    elif evaluate.every is not None and not summary["evaluation_documents"]:
        texts.append(
            f"evaluate.every = {evaluate.every}, and no rows are held out; there will be no "
            'held-out loss without evaluate.split, or a [[data]] table with role = "evaluate"'
        )
    return texts
