"""Locks between processes, which die with their holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from llamahome_core.errors import HeldError, StorageError
from llamahome_core.files.atomic import make_folder, why


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file *path*; the kernel frees it when its holder dies, however it dies.

    Args:
        path: The lock file; it stays, with the holder's host and process id in it.
        wait: Wait for the holder instead of failing.

    Raises:
        HeldError: *wait* is false and another process holds it; the message says which.
        StorageError: The lock file cannot be made or locked.
    """
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"cannot open {path}: {why(error)}") from error
    try:
        _take(descriptor, path, wait=wait)
        # For people only: the lock holds on a full disk too.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, *, wait: bool) -> None:
    """Lock, or fail after a moment: somebody may just be looking; see `is_held`."""
    for attempt in range(3):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            time.sleep(0.01 * attempt)
        except OSError as error:
            raise StorageError(f"cannot lock {path}: {why(error)}") from error
        else:
            return
    holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    raise HeldError(f"{path} is held by {holder or 'another process'}")


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file *path*; writes nothing.

    A lock file that is not there, or that this user cannot read, counts as free.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who look do not take each other for a holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
