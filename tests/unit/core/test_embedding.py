"""What a program that embeds the kernel is given: events, the folder, and its loggers back."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import Context, Interrupted, Kernel, Outcome, Stop, read_events
from llamahome_core.listening import Listening


@pytest.fixture
def run_one(make_kernel, tables, fakes):
    """Runs the recipe with *work* as its only stage."""

    def run(work: Callable[[Context], None] = lambda _: None, **more: Any) -> Outcome:
        fakes.work = work
        outcome: Outcome = make_kernel().run(tables, **more)
        return outcome

    return run


def written(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.directory is not None
    return [event for _, event in read_events(outcome.directory / "events.jsonl")]


def logged(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.directory is not None
    text = (outcome.directory / "log" / "run.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


# --- Events


def test_every_event_is_told_as_it_is_in_the_file_and_in_the_thread_of_the_run(run_one):
    """Values that JSON has not are told as the file has them: null, and named."""
    told: list[Any] = []

    outcome = run_one(
        lambda context: context.events.emit("train", step=1, loss=float("nan"), path=Path("x")),
        on_event=lambda event: told.append((event, threading.get_ident())),
    )

    assert [event for event, _ in told] == written(outcome)
    assert {thread for _, thread in told} == {threading.get_ident()}
    (train,) = [event for event, _ in told if event["t"] == "train"]
    assert (train["loss"], train["nonfinite"], train["path"]) == (None, ["loss"], "x")


def test_an_event_belongs_to_who_is_told(run_one):
    """What the program does to it reaches neither the file nor the run."""
    fields = {"list": [1]}

    def spoil(event: dict[str, Any]) -> None:
        event.get("list", []).append(2)
        event["t"] = "gone"

    outcome = run_one(lambda context: context.events.emit("note", **fields), on_event=spoil)

    (note,) = [event for event in written(outcome) if event["t"] == "note"]
    assert (note["list"], fields["list"]) == ([1], [1])


def test_the_first_event_names_the_run_and_its_folder_and_so_does_the_outcome(run_one):
    told: list[dict[str, Any]] = []

    outcome = run_one(on_event=told.append)

    assert told[0]["t"] == "run"
    assert Path(told[0]["directory"]) == outcome.directory
    assert told[0]["name"] == outcome.directory.name == "small-1"


@pytest.mark.parametrize("error", [RuntimeError("full"), SystemExit(3), asyncio.CancelledError()])
def test_who_listens_and_fails_is_logged_once_and_called_no_more(run_one, error):
    """The run goes on to its end."""
    calls: list[str] = []

    def listen(event: dict[str, Any]) -> None:
        calls.append(event["t"])
        if event["t"] == "note":
            raise error

    def work(context: Context) -> None:
        for _ in range(3):
            context.events.emit("note", text="x")

    outcome = run_one(work, on_event=listen)

    assert outcome.status == "finished"
    assert calls.count("note") == 1
    assert calls[-1] == "note"
    failures = [line for line in logged(outcome) if line["event"].startswith("on_event failed")]
    assert [line["level"] for line in failures] == ["warning"]
    assert type(error).__name__ in failures[0]["exception"]


def test_no_event_is_kept_for_who_listens_no_more():
    """A run of a week has many."""

    def refuse(_: Any) -> None:
        raise RuntimeError("full")

    listening = Listening(refuse)
    for step in range(3):
        listening({"t": "note", "step": step})

    assert not listening._waiting


def test_a_stop_of_another_thread_is_told_in_the_thread_of_the_run(run_one):
    told: list[tuple[str, int]] = []
    stop = Stop()

    def work(context: Context) -> None:
        other = threading.Thread(target=stop.request)
        other.start()
        other.join()
        context.stop.check()

    outcome = run_one(
        work, stop=stop, on_event=lambda e: told.append((e["t"], threading.get_ident()))
    )

    assert outcome.status == "stopped"
    assert [kind for kind, _ in told] == ["run", "stage", "stopping", "end"]
    assert {thread for _, thread in told} == {threading.get_ident()}


def test_who_listens_may_stop_the_run(run_one):
    """The event of that waits until the function is done: it is never called inside itself."""
    stop, inside = Stop(), 0
    told: list[str] = []

    def listen(event: dict[str, Any]) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        told.append(event["t"])
        if event["t"] == "note":
            stop.request()
        inside -= 1

    def work(context: Context) -> None:
        context.events.emit("note", text="x")
        context.stop.check()

    outcome = run_one(work, stop=stop, on_event=listen)

    assert outcome.status == "stopped"
    assert told == ["run", "stage", "note", "stopping", "end"]


def test_a_resumed_run_tells_its_own_events(run_one, make_kernel):
    """Not those of the session before; the outcome has the same folder."""

    def fail(_: Context) -> None:
        raise Interrupted("stopped", signal=signal.SIGINT)

    first = run_one(fail)
    told: list[dict[str, Any]] = []
    again = make_kernel().resume("small-1", on_event=told.append)

    assert again.directory == first.directory
    assert [event["t"] for event in told] == ["run", "stage", "end"]
    assert told[0]["status"] == "resumed"


# --- How a run ends


def test_ctrl_c_goes_through_and_the_record_says_so(run_one):
    """In a notebook, say: there is nothing left to wonder about, and the run can be resumed."""

    def press(_: Context) -> None:
        raise KeyboardInterrupt

    told: list[dict[str, Any]] = []
    with pytest.raises(KeyboardInterrupt):
        run_one(press, on_event=told.append)

    directory = Path(told[0]["directory"])
    assert (told[-1]["t"], told[-1]["status"]) == ("end", "stopped")
    assert told[-1]["error"] == "stopped at once by Ctrl-C"
    assert json.loads((directory / "status.json").read_bytes())["state"] == "stopped"


def test_one_stop_stops_several_runs(make_kernel, tables, fakes):
    """Each of them writes that down; one that ends before takes nothing from the other."""
    stop, both, announced = Stop(), threading.Barrier(3, timeout=20), threading.Event()

    def work(context: Context) -> None:
        while True:
            context.stop.check()

    def listen(event: dict[str, Any]) -> None:
        if event["t"] in {"stage", "note"} and not announced.is_set():
            both.wait()

    def meanwhile() -> None:
        both.wait()
        announced.set()
        stop.request()

    fakes.work = work
    run = [lambda: make_kernel().run(tables, stop=stop, on_event=listen)] * 2
    outcomes = in_threads(*run, meanwhile=meanwhile)

    assert [outcome.status for outcome in outcomes] == ["stopped", "stopped"]
    for outcome in outcomes:
        assert [e["t"] for e in written(outcome)].count("stopping") == 1


def in_threads(*calls: Callable[[], Any], meanwhile: Callable[[], Any] = lambda: None) -> list[Any]:
    """What each call returns; what one raises fails the test."""
    found: dict[int, Any] = {}

    def keep(number: int) -> None:
        try:
            found[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001  # compared below
            found[number] = error

    threads = [threading.Thread(target=keep, args=[n]) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join(60)
    return [found[number] for number in range(len(calls))]


# --- Several at once


def test_stages_of_two_runs_do_not_overlap(make_kernel, tables, fakes):
    """Of one kernel and of two: a process has one random state, and they take turns."""
    inside, most = 0, 0

    def work(context: Context) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(20):
            context.stop.check()
            threading.Event().wait(0.002)
        inside -= 1

    fakes.work = work
    one, two = make_kernel(), make_kernel()
    outcomes = in_threads(*(lambda k=k: k.run(tables) for k in (one, one, two)))

    assert [outcome.status for outcome in outcomes] == ["finished"] * 3
    assert most == 1
    assert len({outcome.directory for outcome in outcomes}) == 3
    texts = [e.get("text") for outcome in outcomes for e in written(outcome)]
    assert texts.count("waiting for another run of this process") == 2


def test_a_run_that_waits_for_its_turn_can_be_stopped(make_kernel, tables, fakes):
    """The other one need not end for that."""
    at_work, over, stop = threading.Event(), threading.Event(), Stop()

    def work(_: Context) -> None:
        at_work.set()
        assert over.wait(20)

    def second() -> Outcome:
        assert at_work.wait(20)
        outcome: Outcome = make_kernel().run(
            tables, stop=stop, on_event=lambda e: stop.request() if e["t"] == "note" else None
        )
        return outcome

    def second_and_tell() -> Outcome:
        outcome = second()
        over.set()
        return outcome

    fakes.work = work
    first, stopped = in_threads(lambda: make_kernel().run(tables), second_and_tell)

    assert (first.status, stopped.status) == ("finished", "stopped")
    assert isinstance(stopped.error, Interrupted)


def test_a_run_inside_a_stage_of_another_has_its_turn(make_kernel, tables, fakes):
    """A stage that tries several recipes, say, waits for none but itself."""
    inner: list[Outcome] = []

    def work(_: Context) -> None:
        fakes.work = lambda _: None
        inner.append(make_kernel().run(tables))

    fakes.work = work
    outer = make_kernel().run(tables)

    assert (outer.status, inner[0].status) == ("finished", "finished")
    assert outer.directory != inner[0].directory


# --- Loggers


@pytest.fixture
def heard():
    """What the host's own handlers get, of us and of a library."""
    records: list[tuple[str, str]] = []

    class Hears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append((record.name, record.getMessage()))

    handler = Hears()
    loggers = [logging.getLogger(name) for name in ("llamahome", "transformers")]
    levels = [log.level for log in loggers]
    for log in loggers:
        log.addHandler(handler)
        log.setLevel(logging.WARNING)  # other tests of this process may have made it quieter
    yield records
    for log, level in zip(loggers, levels, strict=True):
        log.removeHandler(handler)
        log.setLevel(level)


def test_each_run_logs_to_its_own_file(make_kernel, tables, heard):
    """Although both go on at once, and the one that began first may end last."""
    both = threading.Barrier(2, timeout=20)
    told = threading.local()

    def listen(event: dict[str, Any]) -> None:
        if event["t"] == "run":
            told.name = event["name"]
            both.wait()
            logging.getLogger("llamahome.x").warning("I am %s", told.name)
            logging.getLogger("transformers.y").warning("loaded by %s", told.name)
            both.wait()

    before = [(n, logging.getLogger(n).handlers[:]) for n in ("llamahome", "transformers")]
    outcomes = in_threads(*[lambda: make_kernel().run(tables, on_event=listen)] * 2)

    for outcome in outcomes:
        name = outcome.directory.name
        said = [line["event"] for line in logged(outcome)]
        assert said == [f"I am {name}", f"loaded by {name}"]
    assert sorted(heard) == [("llamahome.x", "I am small-1"), ("llamahome.x", "I am small-2")]
    assert [(n, logging.getLogger(n).handlers) for n, _ in before] == before


def test_a_thread_of_the_host_is_heard_by_the_host(run_one, heard):
    """A library of the program's own logs while a run goes on: that is not the run's alone."""

    def work(_: Context) -> None:
        other = threading.Thread(target=logging.getLogger("transformers").warning, args=["mine"])
        other.start()
        other.join()

    outcome = run_one(work)

    assert heard == [("transformers", "mine")]
    assert [line["event"] for line in logged(outcome)] == ["mine"]


def test_a_handler_that_the_host_adds_during_a_run_stays(run_one):
    handler = logging.NullHandler()

    run_one(lambda _: logging.getLogger("llamahome").addHandler(handler))

    assert handler in logging.getLogger("llamahome").handlers
    logging.getLogger("llamahome").removeHandler(handler)


def test_a_kernel_installs_no_signal_handler(make_kernel, tables):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    kernel: Kernel = make_kernel()

    kernel.run(tables)

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
