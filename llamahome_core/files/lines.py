"""Appends whole lines to a file that others read meanwhile."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from attrs import define, field

from llamahome_core.errors import StorageError
from llamahome_core.files.atomic import json_line, make_folder, why

_CHUNK = 1 << 20


@define
class LineWriter:
    """Appends whole lines to a file, each with one write, so that a reader sees all or a torn tail.

    What a crash left after the last newline is cut off first: the next line must not be glued to
    it. Open it only while holding the lock of what the file belongs to.

    Raises:
        StorageError: The file cannot be opened.
    """

    path: Path
    _descriptor: int = field(init=False, default=-1)

    def __attrs_post_init__(self) -> None:
        make_folder(self.path.parent)
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            os.ftruncate(self._descriptor, _whole_lines(self.path))
        except OSError as error:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            raise StorageError(f"cannot append to {self.path}: {why(error)}") from error

    def write(self, line: str) -> None:
        """Append *line* and a newline.

        Raises:
            StorageError: The disk failed or is full; no part of the line is left.
        """
        data = json_line(line)
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise StorageError(f"cannot append to {self.path}: {why(error)}") from error
        if written != len(data):
            with contextlib.suppress(OSError):
                end = os.fstat(self._descriptor).st_size
                os.ftruncate(self._descriptor, end - written)
            raise StorageError(f"cannot append to {self.path}: the disk is full")

    def sync(self) -> None:
        """Make what was written durable.

        Raises:
            StorageError: The disk failed.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageError(f"cannot sync {self.path}: {why(error)}") from error

    def close(self) -> None:
        """Sync and close; writing afterwards is an error.

        Raises:
            StorageError: The disk failed.
        """
        if self._descriptor >= 0:
            try:
                self.sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1


def _whole_lines(path: Path) -> int:
    """Bytes up to and including the last newline."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while end > 0:
            start = max(0, end - _CHUNK)
            file.seek(start)
            if (at := file.read(end - start).rfind(b"\n")) >= 0:
                return start + at + 1
            end = start
    return 0
