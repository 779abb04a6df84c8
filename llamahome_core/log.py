"""Logging: people read it on stderr or as JSON, and each run keeps all of it in a file.

structlog is imported when the first logger is made: it costs more than the rest of the kernel.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamahome_core.secrets import redact, redacted
from llamahome_core.terminal import clean

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


class _Host(logging.Handler):
    """Hands on to the handlers of a host program what they would have had without a capture.

    A handler has no way to know which level its logger had before, and would print it all.
    """

    def __init__(self, log: logging.Logger) -> None:
        super().__init__(log.getEffectiveLevel())
        self._handlers = log.handlers[:]
        self._parent = log.parent if log.propagate else None

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on *record*."""
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self._parent is not None and self._parent.hasHandlers():
            self._parent.callHandlers(record)


@contextlib.contextmanager
def captured(path: Path) -> Iterator[None]:
    """Write everything that is logged in the block to *path* as JSON lines, libraries included.

    Libraries' records go to the file instead of the screen: their handlers are taken off and
    given back at the end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(_formatter(json=True, color=False))
    taken: list[tuple[logging.Logger, list[logging.Handler], bool, int]] = []
    for name in (NAME, *THIRD_PARTY):
        log = logging.getLogger(name)
        taken.append((log, log.handlers[:], log.propagate, log.level))
        own = name == NAME
        log.handlers, log.propagate = [handler, *([_Host(log)] if own else [])], False
        log.setLevel(logging.DEBUG if own else logging.INFO)
    try:
        yield
    finally:
        for log, handlers, propagate, before in taken:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(before)
        handler.close()
