"""Prepared data is made once: what makes it start again, and what damage and stops leave."""

from __future__ import annotations

import fcntl
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamahome_core import (
    Batch,
    Evaluate,
    Interrupted,
    PreparedData,
    StorageError,
    Train,
    files,
)
from llamahome_data import inputs
from llamahome_data import prepare as stage
from llamahome_data.prepared import EVALUATION, FIGURES, TRAINING


def cached(workspace: Path) -> list[str]:
    """The finished folders in the cache."""
    return sorted(p.parent.name for p in workspace.glob(".cache/training/*/MANIFEST.json"))


# --- The key -------------------------------------------------------------------------------------


def test_the_same_again_computes_nothing(run, data):
    """Not one row is encoded a second time."""
    _, first, _ = run(data)
    context, second, objective = run(data)
    assert objective.encoded == 0
    assert second.digest == first.digest
    assert second.summary == first.summary
    (event,) = context.events.of("data")
    assert event["reused"] is True
    np.testing.assert_array_equal(first._training.tokens, second._training.tokens)


def test_a_renamed_and_touched_file_is_the_same_data(run, data, tmp_path):
    """Content counts, not name, place or time."""
    run(data)
    (tmp_path / "elsewhere").mkdir()
    moved = data.rename(tmp_path / "elsewhere" / "other.jsonl")
    moved.touch()
    assert run(moved)[2].encoded == 0


@pytest.mark.parametrize(
    "tables",
    [
        {"seed": 5},
        {"batch": Batch(tokens=2048)},
        {"batch": Batch(rows=3, accumulate=2)},
        {"train": Train(steps=3)},
        {"evaluate": Evaluate(every=5)},
        {"name": "other"},
    ],
)
def test_settings_that_do_not_touch_the_documents_reuse_them(run, data, tables):
    """Another batch or seed is no reason to wait."""
    run(data)
    tables.pop("name", None)
    assert run(data, **tables)[2].encoded == 0


def test_one_changed_byte_is_other_data(run, data):
    """A stale cache is the worst answer."""
    _, first, _ = run(data)
    data.write_text(data.read_text().replace("What is 7 and 7?", "What is 7 and 8?"))
    _, second, objective = run(data)
    assert objective.encoded == 60
    assert second.digest != first.digest


@pytest.mark.parametrize(
    "tables",
    [
        {"batch": Batch(max_length=500)},
        {"batch": Batch(overlong="truncate")},
        {"evaluate": Evaluate(split=0.5)},
    ],
)
def test_settings_that_change_the_documents_change_the_key(run, data, tables):
    """Everything that decides what a document is takes part."""
    _, first, _ = run(data)
    _, second, objective = run(data, **tables)
    assert objective.encoded == 60
    assert second.digest != first.digest


def test_objective_tokenizer_role_limit_and_version_are_part_of_the_key(
    run, data, tools, codec, monkeypatch
):
    """Each alone gives another key."""
    digests = [run(data)[1].digest]
    digests.append(run(data, objective=tools.TinyObjective(identity="tiny2"))[1].digest)
    digests.append(run(data, owner="other")[1].digest)
    digests.append(run(tools.data_selection(data, limit=59))[1].digest)
    held_out = tools.data_selection(data, role="evaluate")
    digests.append(run(data, held_out)[1].digest)
    digests.append(run(data, data)[1].digest)
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "PREPARE_VERSION", inputs.PREPARE_VERSION + 1)
        digests.append(run(data)[1].digest)
    with monkeypatch.context() as patch:
        patch.setattr(codec, "digest", "other tokenizer or template")
        digests.append(run(data)[1].digest)
    assert len(set(digests)) == 8
    assert run(data)[1].digest == digests[0]


# --- Damage and interruption ---------------------------------------------------------------------


@pytest.mark.parametrize("name", [TRAINING, EVALUATION, FIGURES, "MANIFEST.json"])
def test_a_flipped_byte_is_found_and_the_data_is_made_again(run, data, workspace, name):
    """Wherever it is: with a warning, and with the right data in the end."""
    _, first, _ = run(data, evaluate=Evaluate(split=0.2))
    wanted = first._training.tokens.tolist()
    path = workspace / ".cache" / "training" / first.digest / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    context, second, objective = run(data, evaluate=Evaluate(split=0.2))
    assert objective.encoded == 60
    assert second._training.tokens.tolist() == wanted
    (warning,) = context.events.of("warning")
    assert "damaged and is made again" in warning["text"]
    assert run(data, evaluate=Evaluate(split=0.2))[2].encoded == 0


def test_a_folder_that_was_made_from_something_else_is_not_believed(run, data, workspace):
    """A key is a hash, and what stands behind it is compared as well."""
    _, first, _ = run(data)
    path = workspace / ".cache" / "training" / first.digest / "MANIFEST.json"
    manifest = json.loads(path.read_text())
    manifest["metadata"]["inputs"]["codec"] = "other"
    path.write_text(json.dumps(manifest))
    context, _, objective = run(data)
    assert objective.encoded == 60
    assert "other inputs" in context.events.of("warning")[0]["text"]


def test_being_asked_to_stop_leaves_nothing_behind(workspace, data, codec, tools):
    """The stage polls at each row, and a half-made folder never looks like a whole one."""

    def ask_to_stop(encoded: int) -> None:
        if encoded == 5:
            context.stop.request()

    stopping = tools.TinyObjective(before=ask_to_stop)
    context = tools.new_context(workspace, codec, data, objective=stopping)
    with pytest.raises(Interrupted):
        stage.prepare(context)
    assert context.find(PreparedData) is None
    assert {p.suffix for p in workspace.glob(".cache/training/*")} == {".lock"}


def test_waiting_for_another_process_can_be_stopped(run, data, workspace, codec, tools):
    """Who waits for a lock still hears Ctrl-C."""
    _, prepared, _ = run(data)
    context = tools.new_context(workspace, codec, data)
    emit = context.events.emit

    def then_stop(kind: str, **fields: Any) -> None:
        emit(kind, **fields)
        context.stop.request()

    context.events = type("Stopping", (), {"emit": staticmethod(then_stop)})()
    lock = workspace / ".cache" / "training" / f"{prepared.digest}.lock"
    with files.lock(lock), pytest.raises(Interrupted):
        stage.prepare(context)
    assert context.find(PreparedData) is None
    (event,) = emit.__self__.of("phase")
    assert "wait for another process" in event["phase"]


def test_where_locks_do_nothing_the_slower_process_takes_what_it_finds(
    workspace, data, codec, tools
):
    """Some network file systems grant every lock to everyone."""

    def be_overtaken(encoded: int) -> None:
        if encoded == 0:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(fcntl, "flock", lambda *_: None)
                patch.setattr(files, "sweep", lambda *_: [])  # this one lost the race to sweep
                stage.prepare(tools.new_context(workspace, codec, data))

    overtaken = tools.TinyObjective(before=be_overtaken)
    context = tools.new_context(workspace, codec, data, objective=overtaken)
    stage.prepare(context)
    assert len(context.get(PreparedData).training(seed=0).step(0).rows) > 0
    assert len(cached(workspace)) == 1


def test_what_cannot_be_swept_does_not_stop_the_work(run, data, workspace, monkeypatch):
    """On a shared machine it may be another user's, and it is in nobody's way."""
    _, first, _ = run(data)
    folder = workspace / ".cache" / "training"
    files.discard(folder / first.digest)
    (folder / ".trash-1").mkdir()

    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("llamahome_core.files.folders._remove", refuse)
        assert run(data)[1].digest == first.digest
    assert (folder / ".trash-1").exists()


def test_a_disk_that_fails_is_told_and_leaves_nothing(run, data, workspace, monkeypatch):
    """The error is the disk's, in one line."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llamahome_core.files.folders.fsync_file", full)
    with pytest.raises(StorageError, match="No space left on device"):
        run(data)
    assert cached(workspace) == []


def test_what_a_killed_process_left_is_swept_before_the_work_begins(run, data, workspace):
    """Its own key's leftovers and old rubbish, and not what others are writing."""
    _, first, _ = run(data)
    folder = workspace / ".cache" / "training"
    files.discard(folder / first.digest)
    for name in (f".{first.digest}.tmp-1", ".trash-1", ".other.tmp-1"):
        (folder / name).mkdir()
    assert run(data)[1].digest == first.digest
    names = {p.name for p in folder.iterdir()}
    assert names == {first.digest, f"{first.digest}.lock", ".other.tmp-1"}


def test_who_waits_goes_on_when_the_other_is_done(run, data, workspace, monkeypatch):
    """The lock is looked at again and again, and announced once."""
    monkeypatch.setattr(files.locks, "POLL", 0.01)
    _, first, _ = run(data)
    lock = workspace / ".cache" / "training" / f"{first.digest}.lock"
    held = files.lock(lock)
    held.__enter__()
    timer = threading.Timer(0.3, held.__exit__, (None, None, None))
    timer.start()
    context, second, objective = run(data)
    timer.join()
    assert objective.encoded == 0
    assert second.digest == first.digest
    assert len(context.events.of("phase")) == 1
