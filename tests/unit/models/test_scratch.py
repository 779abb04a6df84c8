"""A folder for the time being: of one process at a time, and gone when that is dead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llamahome_core import Interrupted
from llamahome_models.scratch import scratch

HOLD = """
import os, signal, sys
from pathlib import Path
from llamahome_core import Kernel, Workspace
from llamahome_models.scratch import scratch

root, then = sys.argv[1:]
context = Kernel(workspace=Workspace(Path(root)), environ={}).context()
with scratch(context, context.workspace.scratch / "publish") as folder:
    (folder / "half").write_bytes(b"x")
    print(folder, flush=True)
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def test_the_folder_is_empty_and_gone_after_the_block(context):
    """After an error too; folders beside it are left alone."""
    home = context.workspace.scratch / "publish"
    (context.workspace.scratch / "torch").mkdir(parents=True)

    def fail() -> None:
        with scratch(context, home) as folder:
            assert list(folder.iterdir()) == []
            (folder / "file").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert {path.name for path in home.parent.iterdir()} == {"publish.lock", "torch"}


def test_what_a_killed_process_left_is_removed_by_the_next(context):
    """Half a model may be gigabytes."""
    command = [sys.executable, "-c", HOLD, str(context.workspace.root), "die"]
    dead = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    left = Path(dead.stdout.strip())
    assert (left / "half").is_file()
    with scratch(context, context.workspace.scratch / "publish") as folder:
        assert [path for path in left.parent.iterdir() if path.is_dir()] == [folder]


def test_the_folder_of_a_living_process_is_never_touched(context, events):
    """Who wants the same waits for it, says so, and hears a stop; others do not wait."""
    command = [sys.executable, "-c", HOLD, str(context.workspace.root), "live"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout
        folder = Path(living.stdout.readline().strip())
        context.stop.request()
        publish = context.workspace.scratch / "publish"
        with pytest.raises(Interrupted), scratch(context, publish):
            pass
        with scratch(context, publish.with_name("versions")) as other:
            assert other.is_dir()
        assert (folder / "half").is_file()
        assert f"held by process {living.pid}" in events.of("warning")[0]["text"]
        living.communicate()
    assert not folder.exists()
