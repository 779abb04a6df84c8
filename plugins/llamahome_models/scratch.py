"""Folders for the time being: one process at a time, cleared of what killed ones left."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from llamahome_core import Context, StorageError, files


@contextlib.contextmanager
def scratch(context: Context, target: Path) -> Iterator[Path]:
    """An empty folder beside *target* that is gone after the block.

    For each *target* one at a time; a stop is heard while waiting.

    Raises:
        Interrupted: The run was asked to stop before the other process was done.
    """

    def wait(holder: str) -> None:
        context.warn(f"waiting for another process: {holder}")

    held = target.with_name(f"{target.name}.lock")
    with files.lock(held, on_wait=wait, poll=context.stop.check):
        with contextlib.suppress(StorageError):  # somebody else's, on a machine that is shared
            files.sweep(target.parent, target.name)
        # a name that the next sweep removes, should this process die
        folder = files.make_folder(target.with_name(f".{target.name}.tmp-{uuid.uuid4().hex}"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
