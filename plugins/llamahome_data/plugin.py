"""What the data plugin offers: a source, a transform and the stage ``prepare``."""

from __future__ import annotations

from collections.abc import Iterable

from llamahome_core import Component, Stage, hookimpl
from llamahome_data.config import JsonlConfig


@hookimpl
def llamahome_data_sources() -> Iterable[Component]:
    """Where rows come from."""
    yield Component(
        name="jsonl",
        summary="A JSON Lines file: conversations, prompts with completions, or plain text.",
        config=JsonlConfig,
        factory="llamahome_data.jsonl:JsonlSource",
    )


@hookimpl
def llamahome_transforms() -> Iterable[Component]:
    """What changes or drops examples."""
    yield Component(
        name="dedup",
        summary="Leave out examples that came before: the same conversation and tools, or text.",
        factory="llamahome_data.dedup:Dedup",
    )


@hookimpl
def llamahome_stages() -> Iterable[Stage]:
    """The part of a run that makes tokens of rows."""
    yield Stage(
        name="prepare",
        summary="Turn rows into tokens on disk, once per content and settings.",
        run="llamahome_data.prepare:prepare",
        plan="llamahome_data.prepare:plan",
        after=("fetch",),
    )
