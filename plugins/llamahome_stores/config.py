"""Settings of the stores."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen


@frozen(kw_only=True)
class LocalConfig:
    """Settings of the store ``local``."""

    root: Path | None = None
    """The folder that holds everything, seen from the workspace; `data/models` in it if not set."""
