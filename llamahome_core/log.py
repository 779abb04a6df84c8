"""Logging: people read it on stderr or as JSON, and each run keeps all of it in a file.

structlog is imported when the first logger is made: it costs more than the rest of the kernel.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from llamahome_core.secrets import redact, redacted
from llamahome_core.terminal import RESULTS, clean

NAME = "llamahome"
THIRD_PARTY = ("transformers", "torch", "peft", "huggingface_hub", "py.warnings")


def logger(name: str | None = None) -> Any:
    """A structlog logger over the standard library's, so that a host program's set-up holds."""
    import structlog

    return structlog.wrap_logger(
        logging.getLogger(f"{NAME}.{name}" if name else NAME),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            _without_secrets,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _without_secrets(_logger: Any, _method: str, event: Any) -> Any:
    """The texts of an event, or the line that was made of it, with secrets covered."""
    if isinstance(event, str):
        return redact(event)
    return {k: redacted(v) if not k.startswith("_") else v for k, v in event.items()}


def _text(value: object) -> str:
    return redact(str(value))


def _harmless(_logger: Any, _method: str, text: str) -> str:
    """A line for a terminal: what libraries log may quote a model or a server."""
    return clean(text, keep="\n\t")


def _formatter(*, json: bool, color: bool) -> logging.Formatter:
    import structlog

    foreign: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=_text)
        if json
        else structlog.dev.ConsoleRenderer(
            colors=color, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    last = [_without_secrets, last] if json else [last, _without_secrets]
    last += [] if json or color else [_harmless]
    chain: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        chain.append(structlog.processors.format_exc_info)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=foreign, processors=[*chain, *last]
    )


def level(verbosity: int) -> int:
    """The logging level of ``-qq`` (-2) to ``-vv`` (2)."""
    levels = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
    return levels[max(-2, min(2, verbosity)) + 2]


def show(verbosity: int = 0, *, json: bool = False, color: bool = False) -> None:
    """Send LlamaHome's own log to stderr; for the command, not for an embedding program."""
    root = logging.getLogger(NAME)
    root.setLevel(logging.DEBUG)
    for old in root.handlers[:]:
        root.removeHandler(old)
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level(verbosity))
    handler.setFormatter(_formatter(json=json, color=color))
    root.addHandler(handler)
    logging.captureWarnings(capture=True)


# --- The log of a run ---------------------------------------------------------------------------

_FILE: ContextVar[logging.Handler | None] = ContextVar("the log of this thread's run", default=None)
# Loggers belong to the process. So does this, or two runs at once would take each other's files
# for the handlers of the host.
_changing = threading.Lock()
_files: tuple[logging.Handler, ...] = ()
_taken: list[_Sorter] = []


class _Sorter(logging.Handler):
    """Stands for all handlers of a logger while runs go on: a record goes to the run it is of.

    A host program's handlers get what they would have had: they have no way to know which level
    their logger had before, and would print it all.
    """

    def __init__(self, log: logging.Logger, level: int) -> None:
        super().__init__()
        self.log, self.before = log, (log.handlers[:], log.propagate, log.level)
        self.own = log.name == NAME
        self._shown = log.getEffectiveLevel()
        self._parent = log.parent if log.propagate else None
        # In the command, the screen is the console's alone.
        self._alone = RESULTS.get() is not None
        log.handlers, log.propagate = [self], False
        log.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on *record*; that of a thread outside of every run may be of any, or the host's."""
        mine = _FILE.get()
        for file in _files if mine is None else (mine,):
            file.handle(record)
        if self.own or (mine is None and not self._alone):
            self._show(record)

    def _show(self, record: logging.LogRecord) -> None:
        if record.levelno < self._shown:
            return
        for handler in self.before[0]:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self._parent is not None and self._parent.hasHandlers():
            self._parent.callHandlers(record)

    def give_back(self) -> None:
        """Put back what was there; handlers that the host gave us meanwhile stay."""
        handlers, self.log.propagate, level = self.before
        new = [h for h in self.log.handlers if h is not self and self.own]
        self.log.handlers = handlers + new
        self.log.setLevel(level)


@contextlib.contextmanager
def captured(path: Path, plugins: Iterable[str] = ()) -> Iterator[None]:
    """Write everything that is logged in the block to *path* as JSON lines, libraries included.

    Libraries' records go to the file instead of the screen: their handlers are taken off and
    given back at the end. Several threads may be in such a block, each with a file of its own.

    Args:
        path: The file.
        plugins: Packages of third parties' plugins, whose loggers are called like them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(_formatter(json=True, color=False))
    _open(handler, (NAME, *THIRD_PARTY, *plugins))
    token = _FILE.set(handler)
    try:
        yield
    finally:
        _FILE.reset(token)
        _close(handler)
        handler.close()


def _open(handler: logging.Handler, names: Iterable[str]) -> None:
    global _files  # noqa: PLW0603  # as said where it is made
    with _changing:
        taken = {sorter.log.name for sorter in _taken}
        for name in names:
            if name not in taken:
                level = logging.DEBUG if name == NAME else logging.INFO
                _taken.append(_Sorter(logging.getLogger(name), level))
        _files = (*_files, handler)


def _close(handler: logging.Handler) -> None:
    global _files  # noqa: PLW0603  # as said where it is made
    with _changing:
        _files = tuple(file for file in _files if file is not handler)
        while not _files and _taken:
            _taken.pop().give_back()
