"""Rows to the files of prepared data, one row at a time: memory does not grow with the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, field

from llamahome_core import Context, DataError, Evaluate, Example, Row, files, records
from llamahome_data.arrays import DocumentWriter
from llamahome_data.documents import Encoder, Tally, sum_counts
from llamahome_data.formats import detect, read_example
from llamahome_data.inputs import is_held_out
from llamahome_data.prepared import EVALUATION, FIGURES, TRAINING, Figures
from llamahome_data.sources import Source, blamed, open_sources
from llamahome_data.transforms import Chain, open_transforms

_MOST_NAMES = 1000


def count_rows(context: Context) -> int:
    """Read and check all rows of the recipe's sources, and return how many there are.

    Raises:
        DataError: A source, row or transform cannot be used.
    """
    chain, count = open_transforms(context), 0
    for _, row, example in _examples(context, open_sources(context), []):
        chain.apply(example, row)
        count += 1
    return count


def write(
    context: Context, sources: list[Source], chain: Chain, encoder: Encoder, folder: Path
) -> None:
    """Write the training and the evaluation documents into *folder*, and figures of them.

    Raises:
        DataError: A source, row or transform cannot be used, or nothing is left to learn from.
        Interrupted: The run was asked to stop.
    """
    evaluate = context.recipe.evaluate
    forms: list[str] = []
    names = _Names()
    with (
        DocumentWriter(folder / TRAINING) as training,
        DocumentWriter(folder / EVALUATION) as evaluation,
    ):
        for number, row, given in _examples(context, sources, forms):
            if (example := chain.apply(given, row)) is None:
                continue
            with blamed(f"{row.source}:{row.number}"):
                held_out = sources[number].held_out or is_held_out(example, evaluate.split)
                documents = list(encoder.documents(example, row))
            writer, name = evaluation if held_out else training, names.number(number, row.source)
            for document in documents:
                writer.add(document.ids, document.trained, name, row.number)
        _check(encoder.tally, chain, training, evaluate)
    summary = _summary(encoder.tally, chain, training, evaluation) | {"formats": forms}
    figures = Figures(summary=summary, names=names.texts())
    files.write_json(folder / FIGURES, records.dump(figures))


@define
class _Names:
    """Numbers for the places that rows come from.

    A source may call each row's place by another name; beyond a number of them its
    ``[[data]]`` table has to do, for names are kept in memory.
    """

    _known: dict[tuple[int, str], int] = field(factory=dict)

    def number(self, source: int, name: str) -> int:
        """The number of *name* in the *source* of that number."""
        if (source, name) not in self._known and len(self._known) >= _MOST_NAMES:
            name = ""
        return self._known.setdefault((source, name), len(self._known))

    def texts(self) -> list[str]:
        """The names, by number."""
        return [
            f"{name} ([[data]] {source + 1})" if name else f"[[data]] {source + 1}"
            for source, name in self._known
        ]


def _examples(
    context: Context, sources: list[Source], forms: list[str]
) -> Iterator[tuple[int, Row, Example]]:
    """The examples of all sources, each with its source's number; *forms* gets their formats."""
    progress, done = context.phase("prepare"), 0
    for number, source in enumerate(sources):
        form = ""
        for row in source.rows():
            known, (form, example) = form, _example(source, row, form)
            if not known:
                forms.append(form)
                context.events.emit("data.format", source=row.source, format=form)
            yield number, row, example
            done += 1
            progress(done, None)
        if not form:
            raise DataError(f"{source.name} has no rows")
        source.check_unchanged()
    progress(done, done)


def _example(source: Source, row: Row, form: str) -> tuple[str, Example]:
    """The form of *row*, if that is not known yet, and the example that it holds."""
    try:
        with blamed(f"{row.source}:{row.number}", source.hint):
            form = form or detect(row)
            return form, read_example(row, form)
    except DataError as error:
        raise DataError(f"{error.message}; from {source.name}", hint=error.hint) from error


def _check(tally: Tally, chain: Chain, training: DocumentWriter, evaluate: Evaluate) -> None:
    """Refuse data that would teach little or nothing."""
    untaught = tally.dropped.get("nothing_to_learn", 0)
    if 2 * untaught > tally.rows:
        raise DataError(
            f"{untaught} of {tally.rows} rows have nothing to learn; the first is "
            f"{tally.first_untaught}",
            hint="check that the answers are there, and are not cut off by batch.max_length",
        )
    if training.num_documents:
        return
    dropped = sum_counts([chain.dropped, tally.dropped])
    if chain.dropped and not tally.rows:
        hint = "look at what [[transform]] leaves out"
    elif tally.dropped:
        hint = "raise batch.max_length, or choose another batch.overlong"
    elif evaluate.split:
        hint = f"lower evaluate.split, which is {evaluate.split}"
    else:
        hint = 'add a [[data]] table without role = "evaluate"'
    reasons = [f"{n} were dropped as {why.replace('_', ' ')}" for why, n in dropped.items()]
    raise DataError(
        f"no documents are left to train on: of {_rows(tally, chain)} rows, "
        f"{', '.join(reasons) or 'all are held out'}",
        hint=hint,
    )


def _rows(tally: Tally, chain: Chain) -> int:
    """Rows read: those that the transforms left out were not encoded."""
    return tally.rows + sum(chain.dropped.values())


def _summary(
    tally: Tally, chain: Chain, training: DocumentWriter, evaluation: DocumentWriter
) -> dict[str, Any]:
    return {
        "rows": _rows(tally, chain),
        "documents": training.num_documents,
        "tokens": training.num_tokens,
        "trained_tokens": training.num_trained,
        "longest": training.longest,
        "evaluation_documents": evaluation.num_documents,
        "evaluation_tokens": evaluation.num_tokens,
        "evaluation_trained_tokens": evaluation.num_trained,
        "dropped": sum_counts([chain.dropped, tally.dropped]),
        "transforms": chain.summary(),
        "truncated": tally.truncated,
        "split": tally.split,
    }
