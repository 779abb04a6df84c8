"""Hands the events of a run to a function of the program that embeds the kernel."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from attrs import define, field

from llamahome_core import log
from llamahome_core.events import Listener


@define
class Listening:
    """Hands events to a function of the embedding program, in the thread of the run alone.

    An event of another thread, or of a signal handler that interrupts the function, waits for the
    next one. What the function raises is logged, and it is not called again.
    """

    call: Listener | None
    _thread: int = field(init=False, factory=threading.get_ident)
    _waiting: deque[dict[str, Any]] = field(init=False, factory=deque)
    _busy: bool = field(init=False, default=False)

    def __call__(self, event: dict[str, Any]) -> None:
        """Hand over *event*, and those that wait."""
        if self.call is None:
            return
        self._waiting.append(event)
        if self._busy or threading.get_ident() != self._thread:
            return
        self._busy = True
        try:
            while self._waiting and self.call is not None:
                self.call(self._waiting.popleft())
        except KeyboardInterrupt:  # the user's, who wants to stop everything
            raise
        except BaseException:  # noqa: BLE001  # whoever listens may not stop a run
            self.call = None
            self._waiting.clear()
            log.logger("run").warning("on_event failed and is not called again", exc_info=True)
        finally:
            self._busy = False
