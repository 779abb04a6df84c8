"""A context hands out services, builds components, reports progress, and knows when to stop."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from llamahome_core import (
    Cache,
    ChatCodec,
    Interrupted,
    NoEvents,
    PluginError,
    Service,
    Stop,
    UnavailableError,
    UnknownNameError,
    hookimpl,
)
from llamahome_core.components import Component


class Recorded:
    """Events in memory."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def emit(self, kind: str, **fields: Any) -> None:
        self.all.append((kind, fields))


@pytest.fixture
def context(make_kernel, tables):
    kernel = make_kernel()
    context = kernel.context(kernel.plan(tables))
    context.events = Recorded()
    return context


def test_a_service_is_made_once_when_it_is_first_asked_for(context, fakes):
    """And it is given the context that asks."""
    made = []

    def codec(context: Any) -> list[str]:
        made.append(context)
        return ["codec"]

    fakes.codec = codec

    assert context.find(ChatCodec) is None
    assert context.get(ChatCodec) is context.get(ChatCodec)
    assert made == [context]
    assert context.find(ChatCodec) == ["codec"]


def test_what_was_put_wins_over_the_service(context):
    """So a stage hands its result to the next."""
    context.put(ChatCodec, "mine")

    assert context.get(ChatCodec) == "mine"


def test_a_protocol_that_nobody_provides_is_named(context):
    with pytest.raises(UnknownNameError, match="no active plugin provides Cache"):
        context.get(Cache)


def test_a_service_that_cannot_be_imported_is_the_plugins_fault(make_kernel):
    class Broken:
        @hookimpl
        def llamahome_services(self):
            yield Service(protocol=Cache, factory="lh_nothing:make", summary="None.")

    with pytest.raises(PluginError, match="cannot import 'lh_nothing:make'"):
        make_kernel(Broken()).context().get(Cache)


def test_a_component_of_the_recipe_is_built_anew_each_time(context):
    """With its settings and the context."""
    first, second = context.build("optimizer"), context.build("optimizer")

    assert first[0].learning_rate == 1e-3
    assert first[1] is context
    assert first is not second


def test_a_kind_that_the_recipe_has_not_chosen_is_named(context):
    with pytest.raises(UnknownNameError, match="the recipe chooses no launcher"):
        context.build("launcher")


def test_a_component_whose_package_has_gone_since_says_how_to_bring_it(context):
    """It may be uninstalled between the plan and the run."""
    chosen = context.recipe.chosen["cache"]
    gone = Component(name="lru", summary="", factory="a:b", needs=("lh_gone",), extra="train")
    object.__setattr__(chosen, "component", gone)

    with pytest.raises(UnavailableError) as caught:
        context.build("cache")
    assert caught.value.hint == "pip install 'llamahome[train]'"


def test_progress_is_at_most_one_event_a_second_and_the_end_is_always_told(context, monkeypatch):
    """A thousand files a second do not become a thousand events."""
    now = [100.0]
    monkeypatch.setattr("llamahome_core.context.time.monotonic", lambda: now[0])
    progress = context.phase("fetch")
    for done in range(5):
        progress(done, 5)
        now[0] += 0.3
    progress(5, 5)

    assert context.events.all[0] == ("phase", {"phase": "fetch"})
    told = [fields["done"] for _, fields in context.events.all[1:]]
    assert told == [0, 4, 5]


def test_a_total_that_is_not_known_is_null(context):
    context.phase("fetch")(7)

    assert context.events.all[-1] == ("progress", {"phase": "fetch", "done": 7, "total": None})


def test_a_warning_is_an_event(context):
    context.warn("careful", step=3)

    assert context.events.all == [("warning", {"text": "careful", "step": 3})]


def test_asking_to_stop_ends_the_next_progress(context):
    """Everything that takes longer than a second reports progress, and so can be stopped."""
    progress = context.phase("prepare")
    context.stop.request(signal.SIGTERM)

    with pytest.raises(Interrupted, match="stopped by SIGTERM") as caught:
        progress(1, 2)
    assert caught.value.signal == signal.SIGTERM


def test_who_listens_is_told_of_the_first_request_only():
    """Every run that has this Stop, as long as it goes on."""
    told: list[str] = []
    stop = Stop()
    assert not stop.requested
    stop.check()

    with stop.telling(lambda number: told.append(f"first {number}")):
        with stop.telling(lambda number: told.append(f"over {number}")):
            pass
        with stop.telling(lambda number: told.append(f"second {number}")):
            stop.request()
            stop.request(signal.SIGTERM)

    assert told == ["first 2", "second 2"]
    assert stop.signal == signal.SIGTERM


def test_a_signal_may_come_in_the_middle_of_a_request():
    """Its handler runs in the same thread, and may not wait for the request that it interrupts."""
    stop = Stop()

    with stop.telling(lambda _: stop.request(signal.SIGTERM)):
        stop.request()

    assert stop.signal == signal.SIGTERM


def test_a_context_outside_a_run_has_no_folder_and_swallows_events(make_kernel):
    context = make_kernel().context()

    assert context.directory is None
    assert isinstance(context.events, NoEvents)
    context.phase("x")(1)
