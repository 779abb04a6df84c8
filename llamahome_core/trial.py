"""Tries installed plugins in a child process: one that ends or blocks it never harms the command.

What a plugin raises can be caught where it is imported. What ends the process, blocks it, takes all
memory or closes its files cannot: it must be met elsewhere first. The child is a fork, so that a
trial costs little more than the imports themselves.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define

from llamahome_core import hookspecs
from llamahome_core.discovery import Plugin
from llamahome_core.terminal import RESULTS, aside

SECONDS = 10.0
"""How long importing and declaring may take, for each plugin."""
MEMORY = 4 * 2**30
"""Bytes of data that importing and declaring may take, where the system can limit them."""

_TICK = 0.05  # seconds between two looks at a child that says nothing
_STANDARD = ("standard input", "standard output", "standard error")
_PASSED, _PHASE, _REFUSED = b"+", b"=", b"!"
_THREADS = "threads"


def seconds_from(environ: Mapping[str, str]) -> float:
    """How long a plugin may take, as ``LLAMAHOME_TRIAL`` says; 0 tries none.

    Raises:
        ConfigError: It is no number of seconds.
    """
    text = environ.get("LLAMAHOME_TRIAL", "").strip()
    with contextlib.suppress(ValueError):
        seconds = float(text or SECONDS)
        if 0 <= seconds < threading.TIMEOUT_MAX:
            return seconds
    from llamahome_core.config import ConfigError, Problem

    message = f"LLAMAHOME_TRIAL must be a number of seconds, got {text!r}"
    raise ConfigError([Problem("C111", message, fix="write 60, or 0 to try no plugin")])


def try_out(plugins: Iterable[Plugin], seconds: float = SECONDS) -> None:
    """Say of each of *plugins* that must not be imported here why: its ``verdict``.

    One that merely raises is left alone: it raises here as well, and that error tells more.
    Nothing is tried where a process with threads would have to be forked.

    Args:
        plugins: What is about to be loaded.
        seconds: How long each may take.
    """
    waiting = list(plugins)
    while waiting and threading.active_count() == 1:
        watch, fault = _trial(waiting, seconds)
        waiting = waiting[watch.passed :]
        if fault is None:
            return
        # A thread of an earlier one may have done it: then once more, in a process without it.
        if not watch.has_threads:
            waiting.pop(0).verdict = fault


def _trial(plugins: Sequence[Plugin], seconds: float) -> tuple[Watch, str | None]:
    """Try *plugins* in one child: how far it got, and what the next one did."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            be_tried(plugins, writing, seconds)
        finally:
            os._exit(0)
    os.close(writing)
    watch = Watch(child, reading, seconds)
    try:
        fault = watch.fault(len(plugins))
    finally:
        os.close(reading)
        watch.end()
    return watch, fault


@define
class Watch:
    """Reads what the child tells of its progress, until it is through, has ended, or is late.

    Attributes:
        child: Its process, which leads a group of its own.
        pipe: Where it tells.
        seconds: How long one plugin may take.
        passed: How many did no harm.
        phase: What is going on, in words.
        has_threads: Whether one that passed left threads behind.
    """

    child: int
    pipe: int
    seconds: float
    passed: int = 0
    phase: str = "it was imported"
    has_threads: bool = False
    _has_ended: bool = False
    _rest: bytes = b""
    _deadline: float = 0.0

    def fault(self, count: int) -> str | None:
        """What the next plugin did to the child; None if all *count* passed."""
        self._deadline = time.monotonic() + self.seconds
        is_open, ending = True, None
        while ending is None and time.monotonic() < self._deadline:
            if is_open and select.select([self.pipe], [], [], _TICK)[0]:
                data = os.read(self.pipe, 65536)
                is_open = bool(data)
                if reason := self._read(data):
                    return reason
            else:
                ending = self._ending()
                time.sleep(0 if is_open else _TICK / 50)
            if self.passed == count:
                return None
        if ending is None:
            return f"it took more than {self.seconds:g} seconds while {self.phase}"
        return f"it {ending} while {self.phase}"

    def _read(self, data: bytes) -> str | None:
        """Take in what the child has told; a reason, if it refused a plugin."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line[1:].decode(errors="replace")
            if line[:1] == _REFUSED:
                return text
            if line[:1] == _PASSED:
                self.passed += 1
                self.has_threads = text == _THREADS
                self._deadline = time.monotonic() + self.seconds
            else:
                self.phase = text
        return None

    def _ending(self) -> str | None:
        with contextlib.suppress(ChildProcessError):  # somebody else takes note of children
            process, status = os.waitpid(self.child, os.WNOHANG)
            if process == 0:
                return None
            self._has_ended = True
            code = os.waitstatus_to_exitcode(status)
            return f"ended the process with code {code}" if code >= 0 else _killed(-code)
        return "ended the process"

    def end(self) -> None:
        """Leave nothing behind: neither the child nor what it started."""
        for kill in (os.killpg, os.kill):
            if kill is os.kill and self._has_ended:  # its number may be another's
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.child, 0)


def _killed(number: int) -> str:
    try:
        return f"killed the process with {signal.Signals(number).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed the process with signal {number}"


# --- In the child -------------------------------------------------------------------------------


def be_tried(plugins: Iterable[Plugin], pipe: int, seconds: float) -> None:
    """Import *plugins* one by one, call what declares, and tell *pipe* how far it got."""
    gc.disable()  # it would touch, and so copy, each page of memory that is shared
    _isolate()
    conduct = Conduct()
    for plugin in plugins:
        # Should nobody be there any more to end it.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(seconds) + 5)
        _tell(pipe, _PHASE, "it was imported")
        reason = attempt(plugin, lambda text: _tell(pipe, _PHASE, text))
        if reason := reason or conduct.fault():
            _tell(pipe, _REFUSED, reason)
            return
        _tell(pipe, _PASSED, _THREADS if threading.active_count() > 1 else "")


def _isolate() -> None:
    """No terminal, no output, no core file, no more memory than a declaration can need."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    results = RESULTS.get()
    for number in {0, 1, 2, results.fileno() if results else 2}:
        os.dup2(nowhere, number)
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, MEMORY)):
        hard = resource.getrlimit(limit)[1]
        with contextlib.suppress(ValueError, OSError):  # not every system knows them
            resource.setrlimit(
                limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
            )


def _tell(pipe: int, sign: bytes, text: str) -> None:
    os.write(pipe, sign + text.encode(errors="replace").replace(b"\n", b" ") + b"\n")


def attempt(plugin: Plugin, phase: Callable[[str], None]) -> str | None:
    """Import *plugin* and call what declares; why it must not be imported again, if so."""
    assert plugin.entry is not None  # noqa: S101  # installed plugins are tried, and no others
    error = _raised(plugin.entry.load)
    if error is None:
        for name, hook in _declaring(plugin.entry.load()):
            phase(f"{name} was called")
            error = _raised(partial(_exhaust, hook))
            if reason := _reason(error):
                return reason
    return _reason(error)


def _exhaust(hook: Callable[[], Iterable[Any] | None]) -> None:
    for _ in hook() or ():
        pass


def _raised(call: Callable[[], Any]) -> BaseException | None:
    try:
        with aside():
            call()
    except BaseException as error:  # noqa: BLE001  # it may raise anything
        return error
    return None


def _reason(error: BaseException | None) -> str | None:
    """What is too much for another process; everything else is met there as what it is."""
    chain = error
    while chain is not None:
        if isinstance(chain, MemoryError):
            return f"it took more than {MEMORY // 2**30} GiB of memory"
        chain = chain.__cause__ or chain.__context__
    if error is None or isinstance(error, Exception | SystemExit | GeneratorExit):
        return None
    return f"it raised {type(error).__name__}"


def _declaring(module: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The hooks of *module* that are called to see what it brings."""
    for name, hook in vars(hookspecs).items():
        if name.startswith("llamahome_") and hook.__code__.co_argcount == 0:
            found: Any = getattr(module, name, None)
            if hasattr(found, "llamahome_impl"):
                yield name, found


class Conduct:
    """What a plugin does to its process besides what it raises; for a process of its own."""

    def __init__(self) -> None:
        self._before = [_identity(number) for number in range(3)]
        self._copies: list[int] = []
        # A copy of the command that the plugin makes would do the command's work as well.
        os.register_at_fork(
            after_in_parent=lambda: self._copies.append(1), after_in_child=lambda: os._exit(0)
        )

    def fault(self) -> str | None:
        """What was done that no command survives whole; None if nothing was."""
        if self._copies:
            return "it forked the process"
        for number, identity in enumerate(self._before):
            # The next file to be opened would get its number, and what is meant for the stream.
            if _identity(number) != identity:
                return f"it closed or replaced {_STANDARD[number]}"
        streams = (sys.stdout, sys.stderr)
        if any(stream is None or getattr(stream, "closed", False) for stream in streams):
            return "it closed or removed a standard stream"
        return None


def _identity(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino
