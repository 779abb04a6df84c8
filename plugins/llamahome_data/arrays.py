"""Arrays of tokens on disk: streamed into a safetensors file, read back by mapping it."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
from attrs import frozen

from llamahome_core import IntegrityError, MicroBatch

Integers = npt.NDArray[np.int64]

# The widest type first: each array then starts at a multiple of its own width.
LAYOUT: dict[str, tuple[str, np.dtype[Any]]] = {
    "starts": ("I64", np.dtype("<i8")),
    "rows": ("I64", np.dtype("<i8")),
    "sources": ("I32", np.dtype("<i4")),
    "tokens": ("I32", np.dtype("<i4")),
    "trained": ("U8", np.dtype("u1")),
}

_LARGEST_HEADER = 4096
_MOST_SHOWN = 64


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


class DocumentWriter:
    """Writes documents of unknown number and length with constant memory.

    Each array grows in a nameless file of its own. The end of the block joins them into the
    safetensors file, whose header needs their lengths. A crash leaves no part behind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_documents = 0
        self.num_tokens = 0
        self.num_trained = 0
        self.longest = 0
        self._files = contextlib.ExitStack()
        self._parts = {name: self._files.enter_context(_nameless(path.parent)) for name in LAYOUT}
        self._append("starts", 0)

    def _append(self, name: str, values: Any) -> None:
        self._parts[name].write(np.asarray(values, LAYOUT[name][1]).tobytes())

    def add(self, ids: Integers, trained: npt.NDArray[np.bool_], source: int, row: int) -> None:
        """Append a document: ``T`` token ids, ``T`` flags, and where it came from.

        Args:
            ids: ``int64[T]``.
            trained: ``bool[T]``.
            source: Number of a name; see :class:`Documents`.
            row: Line or row number in it.
        """
        self._append("tokens", ids)
        self._append("trained", trained)
        self._append("sources", source)
        self._append("rows", row)
        self.num_documents += 1
        self.num_tokens += len(ids)
        self.num_trained += int(np.count_nonzero(trained))
        self.longest = max(self.longest, len(ids))
        self._append("starts", self.num_tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write the file, which is durable when its folder is sealed; after an error, nothing."""
        with self._files:
            if kind is None:
                self._write()

    def _write(self) -> None:
        with self.path.open("xb") as file:
            file.write(self._header())
            for part in self._parts.values():
                part.seek(0)
                shutil.copyfileobj(part, file, 1 << 20)

    def _header(self) -> bytes:
        header, offset = {}, 0
        for name, (code, dtype) in LAYOUT.items():
            size = self._parts[name].tell()
            header[name] = {
                "dtype": code,
                "shape": [size // dtype.itemsize],
                "data_offsets": [offset, offset + size],
            }
            offset += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text


@frozen(eq=False)
class Documents:
    """Tokenised documents, mapped into memory: only what is read takes room.

    Attributes:
        starts: ``int64[D + 1]`` where each document starts in ``tokens``, and the end.
        rows: ``int64[D]`` the line or row number that each came from.
        sources: ``int32[D]`` which of the *names* each came from.
        tokens: ``int32[T]`` the token ids of all documents, end to end.
        trained: ``uint8[T]`` 1 where the loss counts the token; 0 at the start of a document.
        names: What the rows came from, for messages.
    """

    starts: Integers
    rows: Integers
    sources: npt.NDArray[np.int32]
    tokens: npt.NDArray[np.int32]
    trained: npt.NDArray[np.uint8]
    names: Sequence[str]

    @classmethod
    def open(cls, path: Path, names: Sequence[str]) -> Documents:
        """Map the file that a :class:`DocumentWriter` wrote.

        Raises:
            IntegrityError: The file is not of that form.
        """
        try:
            return cls(**_mapped(path), names=names)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"{path} is damaged: {error}") from error

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Integers:
        """``int64[D]`` tokens of each document."""
        return np.diff(self.starts)

    def origin(self, numbers: Sequence[int]) -> str:
        """Where the documents with these *numbers* came from: ``a.jsonl rows 3, 17``."""
        rows: dict[int, set[int]] = {}
        for number in numbers[:_MOST_SHOWN]:
            rows.setdefault(int(self.sources[number]), set()).add(int(self.rows[number]))
        texts = [
            f"{self.names[source]} row{'s' if len(found) > 1 else ''} "
            f"{', '.join(map(str, sorted(found)))}"
            for source, found in sorted(rows.items())
        ]
        more = len(numbers) - _MOST_SHOWN
        return "; ".join(texts) + (f"; and {more} more" if more > 0 else "")

    def micro_batch(self, numbers: Integers) -> MicroBatch:
        """The documents with these *numbers*, end to end."""
        starts = self.starts[numbers]
        lengths = self.starts[numbers + 1] - starts
        boundaries = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(boundaries[-1])
        chosen = places + np.repeat(starts - boundaries[:-1], lengths)
        ids = self.tokens[chosen].astype(np.int64)
        targets = np.flatnonzero(self.trained[chosen])
        return MicroBatch(
            ids=ids,
            positions=places - np.repeat(boundaries[:-1], lengths),
            boundaries=boundaries,
            # The first token of a document is never trained, so this stays in the document.
            predictors=targets - 1,
            targets=ids[targets],
        )


def _mapped(path: Path) -> dict[str, npt.NDArray[Any]]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(size, _LARGEST_HEADER)))
    # A plain view: indexing the memmap class itself costs several times as much.
    data = np.memmap(path, np.uint8, mode="r", offset=8 + size).view(np.ndarray)
    if len(data) != max(array["data_offsets"][1] for array in header.values()):
        raise ValueError("its length is not what its header says")
    arrays = {}
    for name, (_, dtype) in LAYOUT.items():
        start, end = header[name]["data_offsets"]
        arrays[name] = data[start:end].view(dtype)
    return arrays
