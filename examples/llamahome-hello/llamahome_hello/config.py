"""Settings: the docstring under each field is what `llamahome show` prints."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen, validators


@frozen(kw_only=True)
class PhrasebookConfig:
    """Settings of the data source `phrasebook`."""

    path: Path
    """The file, in UTF-8; empty lines and lines that begin with # are passed over."""
    separator: str = field(default="=", validator=validators.min_len(1))
    """What stands between a question and its answer."""


@frozen(kw_only=True)
class PoliteConfig:
    """Settings of the transform `polite`."""

    greeting: str = field(default="Hello! ", validator=validators.min_len(1))
    """What the first answer of a conversation begins with."""


@frozen(kw_only=True)
class SmoothConfig:
    """Settings of the objective `smooth`."""

    smoothing: float = field(default=0.1, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of each label that is spread over the whole vocabulary; 0 is plain cross-entropy."""


@frozen(kw_only=True)
class LionConfig:
    """Settings of the optimizer `lion`."""

    learning_rate: float = field(default=1e-4, validator=validators.gt(0.0))
    """The peak; a third to a tenth of what AdamW takes."""
    beta1: float = field(default=0.9, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of the momentum in the direction of an update."""
    beta2: float = field(default=0.99, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of the momentum that stays after an update."""
    weight_decay: float = field(default=0.0, validator=validators.ge(0.0))
    """How much the weights shrink in each step, times the learning rate."""


@frozen(kw_only=True)
class AtticConfig:
    """Settings of the store `attic`."""

    root: Path | None = None
    """The folder of the archives; `attic` in the workspace's models if not set."""
    level: int = field(default=1, validator=[validators.ge(0), validators.le(9)])
    """How hard to compress: 0 is not at all, 9 is slow."""


@frozen(kw_only=True)
class DiaryConfig:
    """Settings of the monitor `diary`."""

    file: str = field(default="diary.md", validator=validators.matches_re(r"[\w-]+\.md"))
    """Its name, in the folder of the run."""


@frozen(kw_only=True)
class HelloConfig:
    """Settings of the command `llamahome hello`: the table `[command.hello]`."""

    book: Path | None = None
    """The phrasebook to look in."""
    separator: str = field(default="=", validator=validators.min_len(1))
    """What stands between a question and its answer."""
