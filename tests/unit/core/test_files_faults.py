"""Every call that can fail fails once, or kills the process: what is there is old or new, whole."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import StorageError, files
from llamahome_core.files import atomic

CALLS = ("open", "fsync", "rename", "mkdir", "fchmod")


class Faults:
    """Makes the n-th of the calls that change the disk fail; counts them."""

    def __init__(self, patch: pytest.MonkeyPatch, n: int, code: int) -> None:
        self.n, self.code, self.done = n, code, list[str]()
        for name in CALLS:
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        patch.setattr(atomic, "open", self._open, raising=False)

    def hit(self, name: str) -> None:
        if len(self.done) + 1 == self.n:
            self.done.append(f"failed {name}")
            raise OSError(self.code, os.strerror(self.code))
        self.done.append(name)

    @property
    def fired(self) -> bool:
        return len(self.done) >= self.n

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **more: Any) -> Any:
            self.hit(name)
            return call(*arguments, **more)

        return wrapped

    def _open(self, descriptor: int, mode: str) -> Any:
        file: Any = os.fdopen(descriptor, mode)
        write, faults = file.write, self

        class Counted:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> None:
                file.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def write(self, data: bytes) -> None:
                write(data[: len(data) // 2])
                faults.hit("write")
                write(data[len(data) // 2 :])

        return Counted()


def _error_of(act: Callable[[], Any]) -> StorageError | None:
    try:
        act()
    except StorageError as error:
        return error
    return None


def all_faults(act: Callable[[], Any], check: Callable[[Faults], None], code: int) -> int:
    """Fail the first call, the second, and so on until none is left; returns how many there are."""
    for n in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, n, code)
            error = _error_of(act)
        if error is None:
            assert not faults.fired, f"{faults.done} went unnoticed"
            return n - 1
        assert faults.fired, error
        assert os.strerror(code) in error.message
        check(faults)
    raise AssertionError("there is no end of it")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_replaced_file_is_old_or_new_whichever_call_fails(tmp_path, code):
    """New only if nothing but the sync of its name failed; and never a temporary beside it."""
    target = tmp_path / "file"
    target.write_text("old")

    def check(faults: Faults) -> None:
        renamed = "rename" in faults.done
        assert target.read_text() == ("new and longer" if renamed else "old")
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
        target.write_text("old")

    assert all_faults(lambda: files.write_text(target, "new and longer"), check, code) == 7
    assert target.read_text() == "new and longer"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_no_folder_appears_whichever_call_fails(tmp_path, code):
    """Not even when its name alone could not be made durable."""
    target = tmp_path / "made" / "thing"

    def act() -> None:
        with files.new_folder(target, lambda: {"n": 1}) as folder:
            (folder / "a").write_text("alpha")
            (folder / "sub").mkdir()
            (folder / "sub" / "b").write_text("beta")

    def check(faults: Faults) -> None:
        assert not target.exists(), faults.done
        assert not target.parent.exists() or not any(target.parent.iterdir()), faults.done

    assert all_faults(act, check, code) > 12
    assert sorted(files.verify_folder(target).files) == ["a", "sub/b"]


def test_a_temporary_that_cannot_be_removed_does_not_hide_the_reason(tmp_path, monkeypatch):
    """The disk that failed to write may fail to delete as well."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    monkeypatch.setattr(os, "unlink", fails)
    with pytest.raises(StorageError, match=r"cannot write .*file: Input/output error"):
        files.write_text(tmp_path / "file", "new")


# The program forks for each point, so that a thousand kills cost no start of Python.
KILLS = """
import os, signal, sys, json
from pathlib import Path
from llamahome_core import files, IntegrityError
root = Path(sys.argv[1])
NAMES = ("open", "fsync", "rename", "mkdir", "fchmod", "close", "unlink", "rmdir")

def act():
    files.write_text(root / "file", "new and longer")
    with files.new_folder(root / "thing") as folder:
        (folder / "a").write_text("alpha")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_text("beta")
    files.discard(root / "old")

def arm(n):
    count = 0
    def wrap(call):
        def wrapped(*args, **more):
            nonlocal count
            count += 1
            if count == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **more)
        return wrapped
    for name in NAMES:
        setattr(os, name, wrap(getattr(os, name)))

def reset():
    files.discard(root / "thing")
    files.write_text(root / "file", "old")
    if not (root / "old").exists():
        with files.new_folder(root / "old") as folder:
            (folder / "a").write_text("alpha")

n, seen = 0, set()
while True:
    n += 1
    reset()
    pid = os.fork()
    if not pid:
        arm(n)
        act()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    text = (root / "file").read_text()
    assert text in ("old", "new and longer"), text
    for name in ("thing", "old"):
        if (root / name).exists():
            files.verify_folder(root / name)
    visible = sorted(p.name for p in root.iterdir() if not p.name.startswith("."))
    seen.add((text, *visible))
    files.sweep(root)
    assert sorted(p.name for p in root.iterdir()) == visible
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(json.dumps([n, sorted(seen)]))
"""


def test_kill_9_at_any_call_leaves_old_or_new_and_what_sweep_removes(tmp_path):
    """Every point of writing a file, making a folder and removing one; nothing is half there."""
    # Not measured: what a killed process leaves of its measurements is torn.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert done.returncode == 0, done.stderr
    points, seen = json.loads(done.stdout)
    assert points > 30
    assert seen == [
        ["new and longer", "file", "old"],
        ["new and longer", "file", "old", "thing"],
        ["new and longer", "file", "thing"],
        ["old", "file", "old"],
    ]


FULL = """
import resource, sys
from pathlib import Path
from llamahome_core import files, StorageError
root = Path(sys.argv[1])
files.write_text(root / "file", "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    files.write_text(root / "file", "n" * 20000)
except StorageError as error:
    print(error.message)
try:
    with files.new_folder(root / "thing") as folder:
        (folder / "a").write_text("n" * 20000)
except StorageError as error:
    print(error.message)
"""


def test_a_file_that_the_system_cuts_is_not_taken_for_whole(tmp_path):
    """A real limit of the kernel, which tears the write in the middle."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )

    first, second = done.stdout.splitlines()
    assert first.startswith(f"cannot write {tmp_path / 'file'}: File too large")
    assert second.startswith(f"cannot write {tmp_path / 'thing'}: File too large")
    assert (tmp_path / "file").read_text() == "old"
    assert [p.name for p in Path(tmp_path).iterdir()] == ["file"]
