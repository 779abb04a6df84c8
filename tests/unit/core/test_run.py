"""A run's folder: numbered without collisions, described whatever a crash left, found by name."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import RunError, RunLockedError, RunNotFoundError, StorageError
from llamahome_core.files import lock
from llamahome_core.run import (
    all_directories,
    describe,
    environment,
    find_directory,
    held,
    new_directory,
)


def make_run(runs: Path, name: str, *events: dict[str, Any], state: object = None) -> Path:
    """The folder of a run as a process left it."""
    directory = runs / name
    directory.mkdir(parents=True)
    text = "".join(json.dumps(event) + "\n" for event in events)
    if events:
        (directory / "events.jsonl").write_text(text)
    if state is not None:
        (directory / "status.json").write_text(json.dumps(state))
    return directory


# --- Folders


def test_runs_of_a_name_are_numbered(tmp_path):
    """From the highest number there is, whatever else lies there."""
    for name in ("bot-1", "bot-7", "bot-x", "other-9", "bot-3-2"):
        (tmp_path / name).mkdir(parents=True)

    assert new_directory(tmp_path, "bot").name == "bot-8"
    assert new_directory(tmp_path, "other").name == "other-10"
    assert new_directory(tmp_path / "new" / "runs", "bot").name == "bot-1"


def test_a_name_with_a_dot_is_no_pattern(tmp_path):
    (tmp_path / "aXb-5").mkdir()

    assert new_directory(tmp_path, "a.b").name == "a.b-1"


NUMBER = """
import sys
from pathlib import Path
from llamahome_core.run import new_directory
sys.stdin.readline()
for _ in range(5):
    print(new_directory(Path(sys.argv[1]), "bot").name)
"""


def test_twenty_processes_get_numbers_of_their_own(tmp_path):
    """All at once: no number twice, none left out."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", NUMBER, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(20)
    ]
    for child in children:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    found = [name for child in children for name in child.communicate()[0].split()]

    assert sorted(found) == sorted(f"bot-{number}" for number in range(1, 101))


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", fails)
    with pytest.raises(StorageError, match=r"cannot make .*bot-1: No space left on device"):
        new_directory(tmp_path, "bot")


# --- Locks


def test_a_run_that_is_going_on_says_in_which_process(tmp_path):
    """And how to look at it."""
    directory = make_run(tmp_path, "bot-1")
    with (
        held(directory),
        pytest.raises(RunLockedError, match=r"run bot-1 is going on: .*process") as caught,
        held(directory),
    ):
        pytest.fail("two hold it")
    assert caught.value.hint == "llamahome runs show bot-1"


# --- What a folder tells


TRAIN = {"t": "train", "time": "T1", "step": 3, "steps": 10, "loss": 2.5}


def test_a_finished_run_tells_how_it_went(tmp_path):
    directory = make_run(
        tmp_path,
        "bot-1",
        {"t": "run", "time": "T0"},
        TRAIN,
        {"t": "eval", "time": "T2", "step": 3, "loss": 2.0},
        {"t": "published", "time": "T3", "label": "bot:v1"},
        state={"state": "finished"},
    )

    info = describe(directory)

    assert (info.name, info.state, info.step, info.steps) == ("bot-1", "finished", 3, 10)
    assert (info.loss, info.evaluation, info.started, info.published) == (2.5, 2.0, "T0", "bot:v1")


def test_a_run_whose_process_died_without_a_word_is_lost(tmp_path):
    """While its lock is held, it is running."""
    directory = make_run(tmp_path, "bot-1", TRAIN, state={"state": "running"})
    assert describe(directory).state == "lost"
    assert not (directory / ".lock").exists(), "looking changes nothing"

    with lock(directory / ".lock"):
        assert describe(directory).state == "running"


DAMAGED = [[], 5, {}, {"stat": "finished"}, {"state": ["finished"]}, {"state": "fine"}]


@pytest.mark.parametrize("state", DAMAGED)
def test_a_run_whose_status_is_damaged_is_in_an_unknown_state(tmp_path, state):
    """Nobody can tell whether it is lost; while its lock is held, it is running."""
    directory = make_run(tmp_path, "bot-1", TRAIN, state=state)
    assert describe(directory).state == "unknown"

    with lock(directory / ".lock"):
        assert describe(directory).state == "running"


def test_a_status_that_is_missing_is_a_lost_run(tmp_path):
    assert describe(make_run(tmp_path, "bot-1", TRAIN)).state == "lost"


ODD: list[Any] = ["text", None, [], {"a": 1}, True, 10**400]


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:8])
def test_fields_of_events_that_are_something_else_are_left_out(tmp_path, value):
    """A run of another version, or a damaged one, is shown as far as it goes."""
    fields = dict.fromkeys(("time", "step", "steps", "loss", "label"), value)
    kinds = ("run", "train", "eval", "published", "rewind")
    directory = make_run(tmp_path, "bot-1", *({"t": kind, **fields} for kind in kinds))

    info = describe(directory)

    assert {type(v) for v in (info.step, info.steps, info.loss)} <= {int, float, type(None)}
    assert {type(v) for v in (info.started, info.published)} <= {str, type(None)}
    assert all_directories(tmp_path) == [directory]


def test_events_that_cannot_be_read_hide_neither_the_run_nor_the_others(tmp_path):
    directory = make_run(tmp_path, "bot-1", state={"state": "finished"})
    (directory / "events.jsonl").mkdir()
    (directory / "status.json").unlink()
    (directory / "status.json").mkdir()

    assert describe(directory).state == "unknown"
    assert all_directories(tmp_path) == [directory]


def test_what_a_crash_left_of_the_events_is_passed_over(tmp_path):
    """Torn and damaged lines, and events of a plugin or of another version without our fields."""
    directory = make_run(
        tmp_path, "bot-1", TRAIN, {"t": "train"}, {"t": "eval"}, {"t": "published"}
    )
    with (directory / "events.jsonl").open("ab") as file:
        file.write(bytes(10) + b'\n{"t": "train", "step": 4, "loss": 1.5}\n{"t": "tra')

    info = describe(directory)

    assert (info.step, info.loss, info.steps, info.started) == (4, 1.5, None, "T1")


def test_steps_that_a_resumed_run_took_back_do_not_count(tmp_path):
    directory = make_run(tmp_path, "bot-1", TRAIN, {"t": "rewind", "step": 1})

    assert describe(directory).step == 0


def test_an_empty_folder_is_a_lost_run(tmp_path):
    info = describe(make_run(tmp_path, "bot-1"))

    assert (info.state, info.step, info.started) == ("lost", 0, None)


# --- Finding


def test_runs_are_in_the_order_in_which_they_were_started(tmp_path):
    """Whatever was written into their folders since."""
    make_run(tmp_path, "b-1", {"t": "run", "time": "2026-01-02"})
    make_run(tmp_path, "a-10", {"t": "run", "time": "2026-01-01"})
    make_run(tmp_path, "a-9", {"t": "run", "time": "2026-01-01"})
    make_run(tmp_path, "new-1")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a-9" / "touched").write_text("")

    assert [p.name for p in all_directories(tmp_path)] == ["a-9", "a-10", "b-1", "new-1"]
    assert find_directory(tmp_path, "@last").name == "new-1"
    assert all_directories(tmp_path / "none") == []


def test_a_run_whose_events_are_empty_has_the_time_of_its_folder(tmp_path):
    make_run(tmp_path, "a-1", {"t": "run", "time": "2020-01-01"})
    (make_run(tmp_path, "b-1") / "events.jsonl").write_text("")

    assert [p.name for p in all_directories(tmp_path)] == ["a-1", "b-1"]


def test_a_run_is_found_by_its_name_or_an_unambiguous_start_of_it(tmp_path):
    for name in ("bot-1", "bot-10", "cat-1"):
        make_run(tmp_path, name)

    assert find_directory(tmp_path, "bot-1").name == "bot-1"
    assert find_directory(tmp_path, "ca").name == "cat-1"
    with pytest.raises(RunError, match="'bot' fits several runs: bot-1, bot-10"):
        find_directory(tmp_path, "bot")
    with pytest.raises(RunNotFoundError, match="no run is called 'bto-1'") as caught:
        find_directory(tmp_path, "bto-1")
    assert caught.value.hint == "did you mean bot-1?"
    for empty in ("", " "):
        with pytest.raises(RunNotFoundError, match="no run has an empty name"):
            find_directory(tmp_path, empty)
    with pytest.raises(RunNotFoundError) as caught:
        find_directory(tmp_path, "wholly else")
    assert caught.value.hint == "llamahome runs list"


@pytest.mark.parametrize("name", ["@last", "bot-1"])
def test_where_there_are_no_runs_it_says_how_to_make_one(tmp_path, name):
    with pytest.raises(RunNotFoundError, match="there are no runs in") as caught:
        find_directory(tmp_path, name)
    assert caught.value.hint == "llamahome run quickstart"


def test_the_record_of_the_machine_has_what_a_reader_asks_for():
    """Versions of what is installed, and no other; nothing secret."""
    found = environment()

    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["processors"] == multiprocessing.cpu_count()
    assert "llamahome" in found["versions"]
    assert set(found) == {"python", "platform", "processors", "executable", "versions"}
