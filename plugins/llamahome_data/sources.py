"""The recipe's data sources: built and read with care, for they may be anybody's code.

Whatever goes wrong in one names it: the ``[[data]]`` table, the component, the distribution that
it came with, and the row. An error that the source explains itself is passed on as it is.
"""

from __future__ import annotations

import contextlib
import reprlib
import traceback
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from llamahome_core import (
    Context,
    DataError,
    DataSource,
    Kind,
    LlamaHomeError,
    Row,
    Selection,
)

_END = object()


@contextlib.contextmanager
def blamed(place: str, hint: str | None = None) -> Iterator[None]:
    """Turn what is raised in the block, unless it explains itself, into an error at *place*.

    ``SystemExit`` and ``GeneratorExit`` too: the code of a source may not end a run as if all
    were well. What else is no ``Exception``, such as Ctrl-C or a cancelled task, is the caller's.

    Raises:
        DataError: It was raised instead of another error.
    """
    try:
        yield
    except LlamaHomeError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:
        # The text of an exception is code of the source too, and may fail.
        said = "".join(traceback.format_exception_only(error)).strip()
        raise DataError(f"{place}: {said}", hint=hint) from error


@frozen
class Source:
    """A data source of the recipe.

    Attributes:
        reader: What reads it.
        digest: Hash of its content when the work began.
        held_out: Whether all of its rows are for evaluation.
        name: ``[[data]] 2 (shout of llamahome-shout 0.1.0)``, for messages.
        hint: Whom to tell when its code fails.
    """

    reader: DataSource
    digest: str
    held_out: bool
    name: str
    hint: str

    def rows(self) -> Iterator[Row]:
        """Its rows, in order.

        Raises:
            DataError: It failed, or gave something that is no row.
        """
        with blamed(f"{self.name}, row 1", self.hint):
            rows: Iterator[Any] = iter(self.reader.rows())
        count = 0
        while True:
            count += 1
            with blamed(f"{self.name}, row {count}", self.hint):
                row: Any = next(rows, _END)
            if row is _END:
                return
            if problem := _problem(row):
                raise DataError(f"{self.name}, row {count}: {problem}", hint=self.hint)
            yield row

    def check_unchanged(self) -> None:
        """Check that its content is what it was when the work began.

        Raises:
            DataError: It is not.
        """
        if _digest(self.reader, self.name, self.hint) != self.digest:
            raise DataError(
                f"{self.name} changed while it was read", hint="run again when nothing writes to it"
            )


def open_sources(context: Context) -> list[Source]:
    """The recipe's data sources, built and hashed.

    Raises:
        DataError: One cannot be built or read.
    """
    sources = []
    for number, selection in enumerate(context.recipe.data, 1):
        context.stop.check()
        plugin = owner(context, Kind.DATA_SOURCE, selection)
        name = f"[[data]] {number} ({selection.name} of {plugin.origin})"
        hint = f"if its settings are right, tell the makers of {plugin.origin}"
        with blamed(name, hint):
            reader: DataSource = selection.component.build(selection.config, context)
        digest = _digest(reader, name, hint)
        sources.append(Source(reader, digest, selection.role == "evaluate", name, hint))
    return sources


def owner(context: Context, kind: Kind, selection: Selection) -> Any:
    """The plugin that the component of *selection* belongs to."""
    short = selection.name.rpartition(":")[2]  # it may be written `plugin:name`
    return context.catalog.find(kind, f"{selection.plugin}:{short}")[0]


def _digest(reader: DataSource, name: str, hint: str) -> str:
    with blamed(name, hint):
        digest: Any = reader.digest()
    if not isinstance(digest, str) or not digest:
        raise DataError(f"{name}: its digest must be text, got {reprlib.repr(digest)}", hint=hint)
    return digest


def _problem(row: Any) -> str | None:
    """What is wrong with something that a source gave for a row."""
    if not isinstance(row, Row):
        return f"gave {reprlib.repr(row)}, which is no Row"
    value: Any = row.value  # of whatever type: nobody checked it when the Row was made
    source: Any = row.source
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return f"the value of a Row must be a dict of named fields, got {reprlib.repr(value)}"
    if not isinstance(source, str):
        return f"the source of a Row must be text, got {reprlib.repr(source)}"
    if type(row.number) is not int or not 0 < row.number < 2**63:
        return f"the number of a Row must count from 1, got {reprlib.repr(row.number)}"
    return None
