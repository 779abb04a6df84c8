"""Settings of the built-in monitors."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from attrs import field, frozen, validators


@frozen(kw_only=True)
class ConsoleConfig:
    """How the terminal shows a run."""

    terminal: ClassVar[bool] = True

    mode: Literal["auto", "live", "plain", "json", "none"] = "auto"
    """`live` redraws a few lines, `plain` appends one line per record, `json` writes each event to
    standard output, `none` shows the result only. `auto` is `live` on a terminal, else `plain`."""
    color: Literal["auto", "always", "never"] = "auto"
    """`auto` asks `FORCE_COLOR`, `NO_COLOR`, `TERM` and whether this is a terminal, in this
    order."""
    verbosity: int = field(default=0, validator=[validators.ge(-2), validators.le(2)])
    """-1 shows the result only, -2 nothing, 1 tells of every phase."""


@frozen(kw_only=True)
class TensorboardConfig:
    """Where TensorBoard's event files go."""

    folder: Path | None = None
    """A folder for this run's event files; `tensorboard` in the run's folder if not set, and
    `tensorboard-2` for a second monitor of this kind."""
