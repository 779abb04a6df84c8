"""The data source `shout`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from llamahome_core import Context, DataError, Row
from llamahome_shout.config import ShoutConfig


class ShoutSource:
    """Yields a row of text for each line of a file, in capitals."""

    def __init__(self, config: ShoutConfig, context: Context) -> None:
        self.config = config

    def digest(self) -> str:
        """Another content or setting gives another digest, so nothing old is taken from a cache."""
        content = hashlib.sha256(self._read().encode()).hexdigest()
        return f"{content}:{self.config.marks}"

    def rows(self) -> Iterator[Row]:
        """The rows, each with the number of its line for messages."""
        for number, line in enumerate(self._read().splitlines(), 1):
            if line.strip():
                text = line.strip().upper() + "!" * self.config.marks
                yield Row(value={"text": text}, source=str(self.config.path), number=number)

    def _read(self) -> str:
        try:
            return self.config.path.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"{self.config.path} cannot be read: {error.strerror}", hint="check `path`"
            ) from error
