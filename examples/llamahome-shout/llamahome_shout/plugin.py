"""Declares the data source `shout`."""

from __future__ import annotations

from collections.abc import Iterator

from llamahome_core import Component, hookimpl
from llamahome_shout.config import ShoutConfig


@hookimpl
def llamahome_data_sources() -> Iterator[Component]:
    """Tell LlamaHome the name, the settings, and where the code is."""
    yield Component(
        name="shout",
        summary="The lines of a text file, in capitals.",
        config=ShoutConfig,
        factory="llamahome_shout.source:ShoutSource",
    )
