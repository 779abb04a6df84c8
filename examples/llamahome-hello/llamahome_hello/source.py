"""The data source `phrasebook`, and how its file is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from llamahome_core import Context, DataError, Row
from llamahome_hello.config import PhrasebookConfig


@frozen
class Phrase:
    """One line of a phrasebook."""

    number: int
    question: str
    answer: str


class Phrasebook:
    """Yields a prompt with its completion for each line."""

    def __init__(self, config: PhrasebookConfig, context: Context) -> None:
        self.config = config
        self.context = context

    def digest(self) -> str:
        """Another content or separator gives other rows, and so another digest."""
        content = hashlib.sha256(_read(self.config.path).encode()).hexdigest()
        return f"{content}:{self.config.separator}"

    def rows(self) -> Iterator[Row]:
        """The rows; at the end, an event of this plugin's own says how many there were."""
        source, count = str(self.config.path), 0
        for phrase in read_phrases(self.config.path, self.config.separator):
            value = {"prompt": phrase.question, "completion": phrase.answer}
            yield Row(value=value, source=source, number=phrase.number)
            count += 1
        # A kind with a dot in it is a plugin's: nobody else will ever call theirs so.
        self.context.events.emit("hello.phrases", source=source, phrases=count)


def read_phrases(path: Path, separator: str) -> Iterator[Phrase]:
    """The phrases of a file, in order.

    Raises:
        DataError: The file cannot be read, or a line is no phrase; the message has its number.
    """
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        question, found, answer = line.partition(separator)
        if not found:
            raise DataError(
                f"{path}:{number}: no {separator!r} in this line",
                hint=f"write: question {separator} answer",
            )
        yield Phrase(number, question.strip(), answer.strip())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", hint="check its path"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 at byte {error.start}", hint="save it as UTF-8"
        ) from error
