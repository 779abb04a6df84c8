"""A run under asyncio: the loop goes on, and a cancelled task leaves a run that is saved."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest

from llamahome_core import ConfigError, Context, Stop, read_events, run_async

NUMBER: ContextVar[int] = ContextVar("number", default=0)


@pytest.fixture
def small(make_kernel, tables, fakes):
    """A kernel's run of one stage, for which a test sets what it does."""

    class Small:
        kernel = make_kernel()
        recipe = tables

        def do(self, work: Any) -> Small:
            fakes.work = work
            return self

        @property
        def kinds(self) -> list[str]:
            (folder,) = self.kernel.workspace.runs.iterdir()
            return [e["t"] for _, e in read_events(folder / "events.jsonl")]

        @property
        def state(self) -> str:
            (folder,) = self.kernel.workspace.runs.iterdir()
            return str(json.loads((folder / "status.json").read_bytes())["state"])

    return Small()


def wait(context: Context) -> None:
    """As a training does: until somebody asks to stop."""
    context.events.emit("note", text="at work")
    while True:
        context.stop.check()
        time.sleep(0.005)


def test_the_outcome_is_awaited_and_the_loop_goes_on(small):
    """The stage waits for what the loop does meanwhile; context variables are those of the task."""
    go_on, seen = threading.Event(), []

    def work(_: Context) -> None:
        seen.append((NUMBER.get(), threading.current_thread() is threading.main_thread()))
        assert go_on.wait(20)

    async def main() -> Any:
        NUMBER.set(7)
        task = asyncio.create_task(run_async(small.do(work).kernel.run, small.recipe))
        await asyncio.sleep(0.05)
        go_on.set()
        return await task

    outcome = asyncio.run(main())

    assert outcome.status == "finished"
    assert outcome.directory.name == "small-1"
    assert seen == [(7, False)]


def test_what_the_kernel_raises_is_raised(small):
    with pytest.raises(ConfigError, match="unknown key"):
        asyncio.run(run_async(small.kernel.run, small.recipe | {"trane": {}}))


def test_a_task_that_is_cancelled_ends_when_its_run_has_ended(small):
    """Cleanly, as by a signal: then its record is whole."""

    async def main() -> None:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def listen(event: dict[str, Any]) -> None:
            if event["t"] == "note":
                loop.call_soon_threadsafe(begun.set)

        run = run_async(small.do(wait).kernel.run, small.recipe, on_event=listen)
        task = asyncio.create_task(run)
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert small.state == "stopped"

    asyncio.run(main())

    assert small.kinds == ["run", "stage", "note", "stopping", "end"]


def test_a_timeout_stops_a_run(small):
    async def main() -> None:
        async with asyncio.timeout(0.3):
            await run_async(small.do(wait).kernel.run, small.recipe)

    with pytest.raises(TimeoutError):
        asyncio.run(main())

    assert small.state == "stopped"


def test_ctrl_c_in_a_program_of_asyncio_stops_a_run_cleanly(small):
    """asyncio cancels the main task, and raises when that has ended."""

    def work(context: Context) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        wait(context)

    async def main() -> None:
        await run_async(small.do(work).kernel.run, small.recipe)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())

    assert {"stopping", "end"} < set(small.kinds)
    assert small.state == "stopped"


def test_a_second_cancellation_does_not_wait(small):
    """The run saves and ends nevertheless."""
    begun, slow, ended = threading.Event(), threading.Event(), threading.Event()

    def work(context: Context) -> None:
        begun.set()
        while not context.stop.requested:
            time.sleep(0.005)
        slow.set()
        time.sleep(0.5)
        ended.set()
        context.stop.check()

    async def main() -> bool:
        task = asyncio.create_task(run_async(small.do(work).kernel.run, small.recipe))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.to_thread(slow.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ended.is_set()

    assert asyncio.run(main()) is False
    for _ in range(200):
        if small.state == "stopped":
            break
        time.sleep(0.05)
    assert small.state == "stopped"


def test_a_stop_of_the_caller_is_used_and_resume_is_awaited_as_well(small):
    stop = Stop()
    stop.request(signal.SIGTERM)

    first: Any = asyncio.run(run_async(small.kernel.run, small.recipe, stop=stop))
    again = asyncio.run(run_async(small.kernel.resume, first.directory.name))

    assert (first.status, first.error.signal) == ("stopped", signal.SIGTERM)
    assert (again.status, again.directory) == ("finished", first.directory)
