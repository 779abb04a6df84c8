"""A third party's plugin, for tests: a data source, a monitor with a table, an optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from llamahome_core import Component, hookimpl, secret


@frozen(kw_only=True)
class Tsv:
    """Settings of a third party's data source."""

    path: Path
    """The file."""
    delimiter: Literal["tab", "comma"] = "tab"
    """What is between two columns."""
    header: bool = True
    """Whether the first line holds the names."""


@frozen(kw_only=True)
class Retry:
    """A table in a table."""

    attempts: int = 3
    """How often."""
    backoff: float = 1.0
    """Seconds between two of them."""


@frozen(kw_only=True)
class Pager:
    """Settings of a third party's monitor."""

    level: Literal["info", "warning", "error"] = "error"
    """The least that is sent."""
    token: str | None = secret()
    """The token of the account."""
    retry: Retry = field(factory=Retry)
    """What happens when nobody answers."""


@frozen(kw_only=True)
class Lion:
    """Settings of a third party's optimizer."""

    learning_rate: float = 1e-4
    """Peak learning rate."""
    momentum: float = 0.9
    """Decay of the mean."""
    weight_decay: float = 0.0
    """Pull towards zero."""


class Acme:
    """A third party's plugin."""

    @hookimpl
    def llamahome_data_sources(self) -> Iterator[Component]:
        yield Component(name="tsv", summary="Tables.", config=Tsv, factory="acme:Tsv")

    @hookimpl
    def llamahome_monitors(self) -> Iterator[Component]:
        yield Component(name="pager", summary="Calls somebody.", config=Pager, factory="acme:P")

    @hookimpl
    def llamahome_optimizers(self) -> Iterator[Component]:
        yield Component(name="lion", summary="Signs only.", config=Lion, factory="acme:Lion")
