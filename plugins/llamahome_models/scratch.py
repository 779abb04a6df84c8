"""Folders for the time being: one process at a time, cleared of what killed ones left."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from llamahome_core import Context, files


@contextlib.contextmanager
def scratch(context: Context, home: Path) -> Iterator[Path]:
    """An empty folder in *home* that is gone after the block; a stop is heard while waiting.

    Raises:
        Interrupted: The run was asked to stop before the other process was done.
    """

    def wait(holder: str) -> None:
        context.warn(f"waiting for another process: {holder}")

    with files.lock(home / ".lock", on_wait=wait, poll=context.stop.check):
        files.sweep(home, folders_only=True)
        # a name that the next sweep removes, should this process die
        folder = files.make_folder(home / f".scratch.tmp-{uuid.uuid4().hex}")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
