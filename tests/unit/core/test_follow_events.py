"""Who follows a run from elsewhere gets every event once, and knows when no more will come."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import EventLog, files, follow_events

KILLED = """
import os, sys
from pathlib import Path
from llamahome_core import EventLog, files
folder = Path(sys.argv[1])
with files.lock(folder / ".lock"):
    log = EventLog(folder / "events.jsonl")
    log.emit("run")
    log.emit("train", step=1)
    print("there", flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


def kinds(found: Any) -> list[str]:
    return [event["t"] for _, event in found]


def test_the_events_of_a_run_come_as_they_are_written(tmp_path):
    """Before the next one, and the following ends with the run, before it lets go of its lock."""
    path, written = tmp_path / "events.jsonl", threading.Event()
    seen: list[tuple[str, float]] = []

    def follow() -> None:
        seen.extend((e["t"], time.monotonic()) for _, e in follow_events(path, poll=0.01))

    with files.lock(tmp_path / ".lock"):
        follower = threading.Thread(target=follow)
        follower.start()
        log = EventLog(path)
        times = []
        for kind in ("run", "train", "end"):
            times.append(time.monotonic())
            log.emit(kind)
            written.wait(0.5)
        follower.join(10)
        assert not follower.is_alive()
        log.close()

    assert [kind for kind, _ in seen] == ["run", "train", "end"]
    assert times[0] < seen[0][1] < times[1] < seen[1][1] < times[2] < seen[2][1]


def test_a_run_that_is_over_is_read_to_its_end_at_once(tmp_path):
    """Also one that was stopped and resumed: the first `end` is not the last."""
    log = EventLog(tmp_path / "events.jsonl")
    for kind in ("run", "end", "run", "train", "end"):
        log.emit(kind)
    log.close()

    found = list(follow_events(log.path, poll=1000))

    assert kinds(found) == ["run", "end", "run", "train", "end"]
    assert kinds(follow_events(log.path, found[2][0], poll=1000)) == ["train", "end"]


def test_a_run_that_was_killed_ends_the_following(tmp_path):
    """There is no `end` then, and nobody who could write one."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "there\n"
        found = []
        for _, event in follow_events(tmp_path / "events.jsonl", poll=0.01):
            found.append(event["t"])
            if event["t"] == "train":
                process.stdin.write("\n")
                process.stdin.flush()

    assert found == ["run", "train"]


def test_the_follower_can_leave_before_the_run_ends(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("run")
    left = threading.Event()

    with files.lock(tmp_path / ".lock"):
        threading.Timer(0.05, left.set).start()
        found = list(follow_events(log.path, stop=left.is_set, poll=0.01))
    log.close()

    assert kinds(found) == ["run"]


@pytest.mark.parametrize("made", [True, False])
def test_where_no_run_is_there_is_nothing_to_follow(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "run-1"
    if made:
        folder.mkdir()

    assert list(follow_events(folder / "events.jsonl", poll=1000)) == []
