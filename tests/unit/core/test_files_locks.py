"""Locks die with their holder, name who has them, and say when they are waited for."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import HeldError, StorageError, files

HOLDER = """
import sys, time
from pathlib import Path
from llamahome_core import files
with files.lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(path: Path) -> Iterator[Any]:
    """Another process that holds the lock until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Not measured: what a killed process leaves of its measurements is torn.
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process


def test_a_lock_names_its_holder_and_is_free_when_that_is_killed(tmp_path):
    """Kill -9 leaves no stale lock behind."""
    path = tmp_path / "made" / "lock"
    with holder(path) as process:
        assert files.is_held(path)
        with (
            pytest.raises(HeldError, match=f"lock is held by process {process.pid} on "),
            files.lock(path, wait=False),
        ):
            pytest.fail("two hold it")
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert not files.is_held(path)
    with files.lock(path, wait=False):
        assert str(os.getpid()) in path.read_text()


def test_waiting_for_a_lock_takes_it_when_the_holder_is_done(tmp_path):
    path = tmp_path / "lock"
    with holder(path) as process:
        order = []

        def wait() -> None:
            with files.lock(path):
                order.append("mine")

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.2)
        assert order == []
        process.communicate(b"")
        thread.join(20)
        assert order == ["mine"]


def test_who_waits_is_told_once_and_asked_again_and_again(tmp_path, monkeypatch):
    """Who holds it, and then a call at each look, until the lock is free."""
    monkeypatch.setattr(files.locks, "POLL", 0.01)
    path, told, polls = tmp_path / "lock", list[str](), list[int]()
    with holder(path) as process:

        def poll() -> None:
            polls.append(1)
            if len(polls) == 3:
                process.communicate(b"")

        with files.lock(path, on_wait=told.append, poll=poll):
            assert len(polls) >= 3
        with files.lock(path, on_wait=told.append, poll=poll):
            pass

    assert told == [f"{path} is held by process {process.pid} on {socket.gethostname()}"]


def test_what_a_poll_raises_ends_the_waiting(tmp_path):
    """So that a stop is heard; the lock stays with its holder."""

    def stop() -> None:
        raise KeyboardInterrupt

    path = tmp_path / "lock"
    with holder(path):
        with pytest.raises(KeyboardInterrupt), files.lock(path, poll=stop):
            pytest.fail("two hold it")
        assert files.is_held(path)


def test_looking_whether_a_lock_is_held_changes_nothing(tmp_path):
    """No file appears, and nobody who looks is taken for a holder."""
    path = tmp_path / "lock"
    assert not files.is_held(path)
    assert not path.exists()

    path.write_text("process 1 on somewhere")
    assert not files.is_held(path)
    assert path.read_text() == "process 1 on somewhere"


def test_a_lock_can_be_taken_while_somebody_looks_for_a_moment(tmp_path, monkeypatch):
    """The list of runs, asked for again and again, does not make a resume fail."""
    path = tmp_path / "lock"
    path.touch()
    looker = path.open("rb")
    fcntl.flock(looker, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: looker.close())

    with files.lock(path, wait=False):
        assert looker.closed


def test_a_lock_holds_on_a_full_disk_too(tmp_path, monkeypatch):
    """That its file cannot say who holds it is no reason to fail."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "lock"
    monkeypatch.setattr(os, "pwrite", full)
    with (
        files.lock(path),
        pytest.raises(HeldError, match="held by another process"),
        files.lock(path, wait=False),
    ):
        pytest.fail("two hold it")


def test_a_lock_that_cannot_be_made_or_locked_is_a_storage_error(tmp_path, monkeypatch):
    """A folder of that name, and a file system without locks."""
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(StorageError, match=r"cannot open .*folder: Is a directory"),
        files.lock(tmp_path / "folder"),
    ):
        pytest.fail("it is held")

    def fails(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fails)
    with (
        pytest.raises(StorageError, match=r"cannot lock .*lock: No locks available"),
        files.lock(tmp_path / "lock"),
    ):
        pytest.fail("it is held")
