"""What this plugin offers: the command ``llamahome new``."""

from __future__ import annotations

from collections.abc import Iterable

from llamahome_core import Command, hookimpl


@hookimpl
def llamahome_commands() -> Iterable[Command]:
    """The command that writes new things."""
    yield Command(
        name="new",
        summary="Write a new plugin or recipe; convert one of another tool.",
        command="llamahome_scaffold.commands:new",
    )
