"""What the stores plugin offers: the store ``local``."""

from __future__ import annotations

from collections.abc import Iterable

from llamahome_core import Component, hookimpl
from llamahome_stores.config import LocalConfig


@hookimpl
def llamahome_stores() -> Iterable[Component]:
    """Where published versions are kept."""
    yield Component(
        name="local",
        summary="Folders on this machine, each verified when written and when read.",
        config=LocalConfig,
        factory="llamahome_stores.local:LocalStore",
    )
