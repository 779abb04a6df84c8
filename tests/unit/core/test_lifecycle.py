"""Which of a run's monitors are started."""

from __future__ import annotations

from typing import Any

from llamahome_core import Component
from llamahome_core.lifecycle import _of_terminal_one
from llamahome_core.recipe import Selection
from llamahome_monitors.config import ConsoleConfig, TensorboardConfig


def chosen(name: str, config: Any) -> Selection:
    component = Component(name=name, summary="", config=type(config), factory="a.b:C")
    return Selection(
        kind="monitor", name=name, plugin="monitors", component=component, config=config
    )


def test_a_run_has_one_console():
    """The recipe's, where the command says nothing; else the command's. Others are not counted."""
    quiet, usual = ConsoleConfig(mode="none"), ConsoleConfig()
    recipe, command = chosen("console", quiet), chosen("console", usual)
    asked = chosen("console", ConsoleConfig(mode="json"))
    boards = [chosen("tensorboard", TensorboardConfig()) for _ in range(2)]

    assert _of_terminal_one([recipe, *boards, command]) == [recipe, *boards]
    assert _of_terminal_one([recipe, *boards, asked]) == [asked, *boards]
    assert _of_terminal_one([command]) == [command]
