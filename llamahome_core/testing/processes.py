"""Work in other processes, for contracts of what several processes share."""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Callable

_SECONDS = 60


class Forked:
    """A call in a process of its own, which has all that this one has; at most for a minute."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._read, write = os.pipe()
        with warnings.catch_warnings():
            # The child does file work only; it waits for no thread of this process.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            _tell(call, write)
        os.close(write)

    def wait(self) -> str:
        """What became of it: ``done``, the name of an error's class, or ``killed``."""
        os.waitpid(self._pid, 0)
        said = os.read(self._read, 1000).decode()
        os.close(self._read)
        return said or "killed"


def _tell(call: Callable[[], object], write: int) -> None:
    """Do it, say what became of it, and end: nothing of the tests may run here."""
    said = "done"
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS)
        call()
    except BaseException as error:  # noqa: BLE001  # the other process judges it
        said = type(error).__name__
    finally:
        with contextlib.suppress(OSError):
            os.write(write, said.encode())
        os._exit(0)
