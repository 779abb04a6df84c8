"""Lines are whole or cut off; locks die with their holder and name who has them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import HeldError, StorageError, files
from llamahome_core.files import LineWriter, lines

# --- Lines


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"one\n", b"one\n"),
        (b"one\ntwo", b"one\n"),
        (b"torn", b""),
        (b"one\n" + bytes(3000), b"one\n"),
    ],
)
def test_a_torn_tail_is_cut_off_when_the_file_is_opened(tmp_path, before, after):
    """What a crash left is never glued to the next line."""
    path = tmp_path / "log" / "lines"
    path.parent.mkdir()
    path.write_bytes(before)

    writer = LineWriter(path)
    writer.write("new")
    writer.close()

    assert path.read_bytes() == after + b"new\n"


def test_a_tail_longer_than_a_block_is_cut_too(tmp_path, monkeypatch):
    """The last newline is searched block by block, from the end."""
    monkeypatch.setattr(lines, "_CHUNK", 8)
    path = tmp_path / "lines"
    path.write_bytes(b"first line\n" + b"x" * 100)

    LineWriter(path).close()

    assert path.read_bytes() == b"first line\n"


def test_a_file_that_cannot_be_cut_is_closed_again(tmp_path, monkeypatch):
    """A run that tries again and again would run out of descriptors."""
    opened = []
    cut = os.ftruncate

    def refuse(descriptor: int, _: int) -> None:
        opened.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", refuse)
    with pytest.raises(StorageError, match=r"cannot append to .*: Input/output error"):
        LineWriter(tmp_path / "lines")

    monkeypatch.setattr(os, "ftruncate", cut)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_two_appenders_never_tear_a_line(tmp_path):
    """Each line is one write, so that two processes may note into one file."""
    path = tmp_path / "lines"
    path.touch()
    program = (
        "import sys; from pathlib import Path\n"
        "from llamahome_core.files import LineWriter\n"
        "writer = LineWriter(Path(sys.argv[1]))\n"
        "print('open', flush=True); sys.stdin.readline()\n"
        "for n in range(300): writer.write(sys.argv[2] * (n * 7 % 2000 + 1))\n"
        "writer.close()\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), letter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for letter in "ab"
    ]
    for child in children:  # nobody cuts a tail while another writes
        assert child.stdout
        assert child.stdout.readline() == b"open\n"
    for child in children:
        child.communicate(b"\n")

    found = path.read_text().splitlines()
    assert len(found) == 600
    assert sum(line.count("a") == len(line) for line in found) == 300
    assert sum(line.count("b") == len(line) for line in found) == 300


FULL = """
import resource, sys
from pathlib import Path
from llamahome_core import StorageError
from llamahome_core.files import LineWriter
path = Path(sys.argv[1])
writer = LineWriter(path)
writer.write("x" * 99)
resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        writer.write("y" * 99)
    except StorageError as error:
        print(error.message.rpartition(": ")[2])
    print(path.stat().st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY))
writer.write("z")
writer.close()
"""


def test_a_full_disk_leaves_no_part_of_a_line_and_writing_goes_on_when_there_is_room(tmp_path):
    """A real limit of the kernel, which takes half a line."""
    path = tmp_path / "lines"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    )

    assert done.stdout.split("\n")[:4] == ["the disk is full", "100", "the disk is full", "100"]
    assert path.read_bytes() == b"x" * 99 + b"\nz\n"


def test_every_failure_of_a_line_writer_is_a_storage_error(tmp_path, monkeypatch):
    """Opening, writing, syncing and writing when it is closed."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"cannot append to .*folder: Is a directory"):
        LineWriter(tmp_path / "folder")

    writer = LineWriter(tmp_path / "lines")

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(StorageError, match=r"cannot sync .*lines: Input/output error"):
            writer.sync()
        with pytest.raises(StorageError, match="cannot sync"):
            writer.close()
    writer.close()  # again: it is closed, and that is no error
    with pytest.raises(StorageError, match="Bad file descriptor"):
        writer.write("late")


def test_a_line_with_half_a_surrogate_pair_is_still_utf_8(tmp_path):
    """A prompt or a file's name may hold one."""
    writer = LineWriter(tmp_path / "lines")
    writer.write('"x\udce9 ü"')
    writer.close()

    assert (tmp_path / "lines").read_text(encoding="utf-8") == '"x\\udce9 ü"\n'


# --- Locks


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
