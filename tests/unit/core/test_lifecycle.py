"""What a run does with its monitors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from attrs import frozen

from llamahome_core import Component, hookimpl, secret
from llamahome_core.lifecycle import _of_terminal_one, _variables
from llamahome_core.monitoring import Monitors
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


@frozen(kw_only=True)
class Keyed:
    """Settings with a secret."""

    api_token: str | None = secret()
    """The secret."""


class Keys:
    """A plugin whose transform and monitor have secrets."""

    @hookimpl
    def llamahome_transforms(self) -> Iterable[Component]:
        yield Component(name="keyed", summary="", config=Keyed, factory="a:b")

    llamahome_monitors = llamahome_transforms


def test_monitors_do_not_have_the_variables_of_any_secret_of_the_run(make_kernel, tables):
    """Of whatever kind it is for, and those of monitors that the recipe does not name."""
    keyed = [{"use": "keyed", "api_token": f"env:{name}"} for name in ("A", "B", "C")]
    tables |= {"transform": keyed[:1], "monitor": keyed[1:]}
    recipe = make_kernel(Keys()).plan(tables).recipe

    assert _variables(recipe, recipe.monitors) == {"A", "B", "C"}


def test_a_monitor_that_died_is_told_before_the_end_and_whose_it_was(
    make_kernel, tables, fakes, monkeypatch
):
    """Who reads the events stops at the end; its plugin may be none that is active."""
    gone = Selection(
        kind="monitor", name="board", plugin="gone", component=None, config=None, origin="lh 1.0"
    )

    def died(monitors: Monitors) -> Iterator[tuple[Selection, str]]:
        lines = (monitors.directory / "events.jsonl").read_text().splitlines()
        if (kind := json.loads(lines[-1])["t"]) in {"note", "end"}:
            yield gone, f"died before {kind}"

    monkeypatch.setattr(Monitors, "died", died)
    fakes.work = lambda context: context.events.emit("note", text="x")

    outcome = make_kernel().run(tables)

    lines = (outcome.directory / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    told = [(e["text"], e["distribution"]) for e in events if e["t"] == "warning"]
    assert (outcome.status, events[-1]["t"]) == ("finished", "end")
    assert told == [("died before note", "lh 1.0")]
