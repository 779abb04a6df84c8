"""Declares what the plugin brings; imports nothing heavy, for each start of the command runs it."""

from __future__ import annotations

from collections.abc import Iterator

from llamahome_core import Command, Component, hookimpl
from llamahome_hello.config import (
    AtticConfig,
    DiaryConfig,
    HelloConfig,
    LionConfig,
    PhrasebookConfig,
    PoliteConfig,
    SmoothConfig,
)


@hookimpl
def llamahome_data_sources() -> Iterator[Component]:
    """Where rows come from."""
    yield Component(
        name="phrasebook",
        summary="A text file of questions and answers: one `question = answer` on each line.",
        config=PhrasebookConfig,
        factory="llamahome_hello.source:Phrasebook",
    )


@hookimpl
def llamahome_transforms() -> Iterator[Component]:
    """What changes or drops examples."""
    yield Component(
        name="polite",
        summary="Begin the first answer with a greeting; leave out answers that shout.",
        config=PoliteConfig,
        factory="llamahome_hello.transform:Polite",
    )


@hookimpl
def llamahome_objectives() -> Iterator[Component]:
    """What is learned."""
    yield Component(
        name="smooth",
        summary="The assistant's turns, with smoothed labels: surer is not always better.",
        config=SmoothConfig,
        factory="llamahome_hello.objective:Smooth",
        needs=("torch",),
        extra="train",
    )


@hookimpl
def llamahome_optimizers() -> Iterator[Component]:
    """How gradients become updates."""
    yield Component(
        name="lion",
        summary="The sign of a momentum: half of AdamW's memory (arXiv:2302.06675).",
        config=LionConfig,
        factory="llamahome_hello.optimizer:Lion",
        needs=("torch",),
        extra="train",
    )


@hookimpl
def llamahome_stores() -> Iterator[Component]:
    """Where published versions are kept."""
    yield Component(
        name="attic",
        summary="Compressed: one zip archive for each folder.",
        config=AtticConfig,
        factory="llamahome_hello.store:Attic",
    )


@hookimpl
def llamahome_monitors() -> Iterator[Component]:
    """What shows or forwards a run's events."""
    yield Component(
        name="diary",
        summary="A page of Markdown about the run, to read or to send on.",
        config=DiaryConfig,
        factory="llamahome_hello.monitor:Diary",
    )


@hookimpl
def llamahome_commands() -> Iterator[Command]:
    """Subcommands of `llamahome`."""
    yield Command(
        name="hello",
        summary="Look up a question in a phrasebook.",
        command="llamahome_hello.command:hello",
        config=HelloConfig,
    )
