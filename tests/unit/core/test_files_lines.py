"""Lines are whole or cut off, whatever ends the process that writes them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from llamahome_core import StorageError
from llamahome_core.files import LineWriter, lines


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
