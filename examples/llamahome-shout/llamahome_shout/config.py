"""Settings of the data source `shout`."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen, validators


@frozen(kw_only=True)
class ShoutConfig:
    """Settings of the data source `shout`."""

    path: Path
    """A text file; each line that is not empty becomes a row."""
    marks: int = field(default=1, validator=[validators.ge(0), validators.le(9)])
    """Exclamation marks at the end of each line."""
