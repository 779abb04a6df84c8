"""Examples to documents of tokens: encoded, checked, cut to length, and counted."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from llamahome_core import (
    Batch,
    ChatCodec,
    DataError,
    Encoded,
    Example,
    ModelError,
    Objective,
    Row,
)
from llamahome_data.arrays import Integers
from llamahome_data.sources import blamed

Flags = npt.NDArray[np.bool_]


@frozen(eq=False)
class Document:
    """One sequence that the model sees alone.

    Attributes:
        ids: ``int64[T]`` token ids.
        trained: ``bool[T]`` whether the loss counts the token; the first is always false.
    """

    ids: Integers
    trained: Flags

    @property
    def teaches(self) -> bool:
        """Whether the loss counts any token."""
        return bool(self.trained.any())


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by reason, added up; the reasons in the order in which they first appear."""
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(total)


@define
class Tally:
    """What became of the rows; nothing is left out in silence.

    Attributes:
        rows: Rows that came to be encoded.
        dropped: Rows (or pieces of split rows) that were left out, by reason.
        truncated: Rows that lost their end.
        split: Rows that became several documents.
        first_untaught: Where the first row with nothing to learn is.
    """

    rows: int = 0
    dropped: dict[str, int] = field(factory=dict)
    truncated: int = 0
    split: int = 0
    first_untaught: str = ""

    def drop(self, reason: str) -> None:
        """Count something that is left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


@define
class Encoder:
    """Makes documents of examples by the recipe's objective and batch."""

    objective: Objective
    codec: ChatCodec
    batch: Batch
    tally: Tally = field(factory=Tally)
    owner: str = "the objective"
    _special: dict[int, bool] = field(factory=dict)

    def documents(self, example: Example, row: Row) -> Iterator[Document]:
        """The documents of one row: usually one, none if it is dropped, several if it is split.

        Raises:
            DataError: The row cannot be encoded, or is too long and that is an error.
        """
        self.tally.rows += 1
        document = self._encode(example, row)
        if not document.teaches:
            self._untaught(row)
        elif len(document.ids) <= self.batch.max_length:
            yield document
        else:
            yield from self._overlong(document, row)

    def _untaught(self, row: Row) -> None:
        self.tally.drop("nothing_to_learn")
        self.tally.first_untaught = self.tally.first_untaught or f"{row.source}:{row.number}"

    def _encode(self, example: Example, row: Row) -> Document:
        where = f"{row.source}:{row.number}"
        with blamed(f"{where}: {self.owner} failed"):
            try:
                encoded: Any = self.objective.encode(example, self.codec)
            except (DataError, ModelError) as error:
                raise DataError(f"{where}: {error.message}", hint=error.hint) from error
        if not isinstance(encoded, Encoded):
            given = reprlib.repr(encoded)
            raise DataError(f"{where}: {self.owner} gave {given}, which is no Encoded")
        with blamed(f"{where}: {self.owner} gave ids or flags that are no numbers"):
            ids = np.array(encoded.ids, np.int64)
            trained = np.array(encoded.trained, np.bool_)
        self._check(encoded, ids, where)
        trained[:1] = False
        return Document(ids, trained)

    def _check(self, encoded: Encoded, ids: Integers, where: str) -> None:
        if len(encoded.trained) != len(ids):
            raise DataError(
                f"{where}: {self.owner} gave {len(ids)} tokens and {len(encoded.trained)} flags"
            )
        outside = ids[(ids < 0) | (ids >= self.codec.vocab_size)]
        if len(outside):
            raise DataError(
                f"{where}: token id {outside[0]} is outside the model's vocabulary of "
                f"{self.codec.vocab_size}",
                hint="tokenizer and model do not belong together",
            )
        if len(ids) > 1 and ids[0] == ids[1] and self._is_special(int(ids[0])):
            raise DataError(
                f"{where}: begins with {self.codec.pieces([int(ids[0])])[0]} twice",
                hint="take the token out of the text: the template adds it",
            )

    def _is_special(self, token: int) -> bool:
        """Whether *token* is one that decoding leaves out.

        It is asked for two of them, because some tokenizers take one space off the start.
        """
        if token not in self._special:
            self._special[token] = not self.codec.decode([token, token])
        return self._special[token]

    def _overlong(self, document: Document, row: Row) -> Iterator[Document]:
        length, limit = len(document.ids), self.batch.max_length
        match self.batch.overlong:
            case "drop":
                self.tally.drop("overlong")
            case "error":
                raise DataError(
                    f"{row.source}:{row.number}: {length} tokens, and batch.max_length is {limit}",
                    hint=f'set batch.max_length = {length}, or batch.overlong = "drop"',
                )
            case "truncate":
                yield from self._truncated(document, row)
            case _:
                self.tally.split += 1
                yield from self._pieces(document)

    def _truncated(self, document: Document, row: Row) -> Iterator[Document]:
        """The start of the document, and its end token, so that the model still learns to stop."""
        tail = self._tail(document)
        head = self.batch.max_length - tail
        if not document.trained[:head].any():
            self._untaught(row)
            return
        self.tally.truncated += 1
        kept = np.r_[0:head, len(document.ids) - tail : len(document.ids)]
        yield Document(document.ids[kept], document.trained[kept])

    def _tail(self, document: Document) -> int:
        """How many tokens the end takes: templates may put a line break after the end token."""
        longest = min(8, self.batch.max_length // 2)
        for size in range(1, longest + 1):
            if int(document.ids[-size]) in self.codec.end_ids:
                return size
        return 0

    def _pieces(self, document: Document) -> Iterator[Document]:
        """Nearly equal parts, none over the limit; a first token has nothing to be told from."""
        count = -(-len(document.ids) // self.batch.max_length)
        flags = np.array_split(document.trained, count)
        for ids, trained in zip(np.array_split(document.ids, count), flags, strict=True):
            piece = Document(ids, trained.copy())
            piece.trained[:1] = False
            if piece.teaches:
                yield piece
            else:
                self.tally.drop("piece_without_learning")
