"""Declares the monitors ``console`` and ``tensorboard``."""

from __future__ import annotations

from collections.abc import Iterator

from llamahome_core import Component, hookimpl
from llamahome_monitors.config import ConsoleConfig, TensorboardConfig


@hookimpl
def llamahome_monitors() -> Iterator[Component]:
    """The built-in monitors."""
    yield Component(
        name="console",
        summary="Show the run in the terminal: a live view, plain lines or JSON.",
        config=ConsoleConfig,
        factory="llamahome_monitors.console:make_console",
    )
    yield Component(
        name="tensorboard",
        summary="Write TensorBoard event files; no TensorFlow, no server.",
        config=TensorboardConfig,
        factory="llamahome_monitors.tensorboard:TensorboardMonitor",
        needs=("tensorboard",),
        extra="tensorboard",
    )
