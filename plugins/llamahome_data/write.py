"""Rows to the files of prepared data, one row at a time: memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamahome_core import Context, DataError, Example, Row
from llamahome_data.arrays import DocumentWriter
from llamahome_data.documents import Encoder, Tally
from llamahome_data.formats import detect, read_example
from llamahome_data.inputs import Source, is_held_out, open_sources
from llamahome_data.prepared import EVALUATION, TRAINING


def count_rows(context: Context) -> int:
    """Read and check all rows of the recipe's sources, and return how many there are.

    Raises:
        DataError: A source or row cannot be used.
    """
    return sum(1 for _ in _examples(context, open_sources(context), []))


def write(
    context: Context, sources: list[Source], encoder: Encoder, folder: Path
) -> dict[str, Any]:
    """Write the training and the evaluation documents into *folder*; returns the summary.

    Raises:
        DataError: A source or row cannot be used, or nothing is left to learn from.
        Interrupted: The run was asked to stop.
    """
    share = context.recipe.evaluate.split
    forms: list[str] = []
    with (
        DocumentWriter(folder / TRAINING) as training,
        DocumentWriter(folder / EVALUATION) as evaluation,
    ):
        for number, row, example in _examples(context, sources, forms):
            held_out = sources[number].held_out or is_held_out(example, share)
            writer = evaluation if held_out else training
            for document in encoder.documents(example, row):
                writer.add(document.ids, document.trained, number, row.number)
        _check(encoder.tally, training)
    return _summary(encoder.tally, training, evaluation) | {"formats": forms}


def _examples(
    context: Context, sources: list[Source], forms: list[str]
) -> Iterator[tuple[int, Row, Example]]:
    """The examples of all sources, each with its source's number; *forms* gets their formats."""
    progress, done = context.phase("prepare"), 0
    for number, source in enumerate(sources):
        form = ""
        for row in source.reader.rows():
            if not form:
                form = detect(row)
                forms.append(form)
                context.events.emit("data.format", source=row.source, format=form)
            yield number, row, read_example(row, form)
            done += 1
            progress(done, None)
        _finished(context, number, source, empty=not form)
    progress(done, done)


def _finished(context: Context, number: int, source: Source, *, empty: bool) -> None:
    name = f"[[data]] {number + 1} ({context.recipe.data[number].name})"
    if empty:
        raise DataError(f"{name} has no rows")
    if source.reader.digest() != source.digest:
        raise DataError(
            f"{name} changed while it was read", hint="run again when nothing writes to it"
        )


def _check(tally: Tally, training: DocumentWriter) -> None:
    """Refuse data that would teach little or nothing."""
    untaught = tally.dropped.get("nothing_to_learn", 0)
    if 2 * untaught > tally.rows:
        raise DataError(
            f"{untaught} of {tally.rows} rows have nothing to learn; the first is "
            f"{tally.first_untaught}",
            hint="check that the answers are there, and are not cut off by batch.max_length",
        )
    if training.num_documents == 0:
        raise DataError(
            f"no documents are left to train on: {tally.rows} rows, {tally.dropped or 'none'} "
            "dropped, the others held out",
            hint="raise batch.max_length, or lower evaluate.split",
        )


def _summary(tally: Tally, training: DocumentWriter, evaluation: DocumentWriter) -> dict[str, Any]:
    return {
        "rows": tally.rows,
        "documents": training.num_documents,
        "tokens": training.num_tokens,
        "trained_tokens": training.num_trained,
        "longest": training.longest,
        "evaluation_documents": evaluation.num_documents,
        "evaluation_tokens": evaluation.num_tokens,
        "evaluation_trained_tokens": evaluation.num_trained,
        "dropped": tally.dropped,
        "truncated": tally.truncated,
        "split": tally.split,
    }
