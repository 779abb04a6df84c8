"""Locks between processes, which die with their holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from llamahome_core.errors import HeldError, StorageError
from llamahome_core.files.atomic import make_folder, why

POLL = 0.2
"""Seconds between two looks at a lock that another process holds."""


@contextlib.contextmanager
def lock(
    path: Path,
    *,
    wait: bool = True,
    on_wait: Callable[[str], object] | None = None,
    poll: Callable[[], object] | None = None,
) -> Iterator[None]:
    """Hold the lock file *path*; the kernel frees it when its holder dies, however it dies.

    Args:
        path: The lock file; it stays, with the holder's host and process id in it.
        wait: Wait for the holder instead of failing.
        on_wait: Called once with who holds it, before the waiting begins.
        poll: Called five times a second while waiting; what it raises ends the waiting.

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
        if not _at_once(descriptor, path):
            held = f"{path} is held by {_holder(descriptor)}"
            if not wait:
                raise HeldError(held)
            if on_wait is not None:
                on_wait(held)
            _wait(descriptor, path, poll)
        # For people only: the lock holds on a full disk too.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _at_once(descriptor: int, path: Path) -> bool:
    """Lock, if that works within a moment: somebody may just be looking; see `is_held`."""
    for attempt in range(3):
        if _flock(descriptor, path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
        time.sleep(0.01 * attempt)
    return False


def _wait(descriptor: int, path: Path, poll: Callable[[], object] | None) -> None:
    if poll is None:
        _flock(descriptor, path, fcntl.LOCK_EX)
        return
    poll()
    while not _flock(descriptor, path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        time.sleep(POLL)
        poll()


def _flock(descriptor: int, path: Path, flags: int) -> bool:
    try:
        fcntl.flock(descriptor, flags)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(f"cannot lock {path}: {why(error)}") from error
    return True


def _holder(descriptor: int) -> str:
    found = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    return found or "another process"


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
