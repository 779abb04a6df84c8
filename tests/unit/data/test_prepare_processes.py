"""Preparing in processes of their own: killed, and two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import llamahome_core
import llamahome_data

ROOTS = [str(Path(m.__file__ or "").parent.parent) for m in (llamahome_core, llamahome_data)]


@pytest.fixture
def start(tools, tokenizer_file, workspace):
    """Starts a process that prepares a file, so many seconds for each row."""
    started = []

    def start(data: Path, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, tools.__file__, str(tokenizer_file), str(data), str(workspace)]
        process = subprocess.Popen(
            [*command, str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def left(workspace: Path) -> list[Path]:
    return list(workspace.glob(".cache/training/.*.tmp-*"))


def finished(workspace: Path) -> list[Path]:
    return list(workspace.glob(".cache/training/*/MANIFEST.json"))


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_kill_9_leaves_nothing_that_looks_complete(start, workspace, tmp_path, tools, delay):
    """The next process does all of it, and sweeps up what the dead one left."""
    data = tools.write_rows(tmp_path / "a.jsonl", tools.chats(200))
    process = start(data, 0.02)
    wait_until(lambda: left(workspace))
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert finished(workspace) == []
    assert len(left(workspace)) == 1
    assert result(start(data, 0))["encoded"] == 200
    assert len(finished(workspace)) == 1
    assert left(workspace) == []


@pytest.mark.slow
def test_of_two_processes_one_does_the_work(start, workspace, tmp_path, tools):
    """The other waits, says so, and uses the result."""
    data = tools.write_rows(tmp_path / "a.jsonl", tools.chats(100))
    first = start(data, 0.02)
    wait_until(lambda: left(workspace))
    second = start(data, 0.02)
    results = [result(first), result(second)]
    assert [found["encoded"] for found in results] == [100, 0]
    assert results[0]["digest"] == results[1]["digest"]
    assert results[1]["phases"] == ["wait for another process that prepares the same data"]
    assert len(finished(workspace)) == 1
