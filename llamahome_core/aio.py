"""A run under asyncio: in a thread of its own, and stopped cleanly where its task is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from llamahome_core.context import Stop
from llamahome_core.values import Outcome


async def run_async(
    run: Callable[..., Outcome], /, *arguments: Any, stop: Stop | None = None, **more: Any
) -> Outcome:
    """Await ``kernel.run`` or ``kernel.resume`` without holding up the event loop.

    Where the task is cancelled, the run finishes its step, saves and ends, and then the
    cancellation goes on. A second one does not wait for that. ``asyncio.timeout`` works the same
    way. ``on_event`` is called in the run's thread.

    Example::

        import asyncio
        from llamahome_core import Kernel, run_async

        outcome = asyncio.run(run_async(Kernel().run, "recipe.toml"))

    Args:
        run: The method.
        *arguments: What it is given.
        stop: Stops the run; one of its own if not given.
        **more: What it is given by name.

    Returns:
        How the run ended.

    Raises:
        LlamaHomeError: What the method raises.
    """
    stop = stop or Stop()
    call = partial(copy_context().run, partial(run, *arguments, stop=stop, **more))
    # Not the loop's own threads: those are few, and a run may take days.
    threads = ThreadPoolExecutor(1, thread_name_prefix="llamahome")
    work = asyncio.get_running_loop().run_in_executor(threads, call)
    threads.shutdown(wait=False)
    work.add_done_callback(lambda done: done.exception())  # or asyncio complains if nobody waits
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.request()
        await asyncio.wait([work])
        raise
