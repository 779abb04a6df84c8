"""The stage ``prepare``: what it leaves, what makes it start again, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamahome_core import (
    Batch,
    DataError,
    Evaluate,
    Interrupted,
    ModelFolder,
    PreparedData,
    Selection,
    StorageError,
    Train,
    files,
)
from llamahome_data import inputs
from llamahome_data import prepare as stage
from llamahome_data.prepared import EVALUATION, TRAINING, Prepared, total_steps


@pytest.fixture
def data(tmp_path, tools) -> Path:
    path: Path = tools.write_rows(tmp_path / "train.jsonl", tools.chats(60))
    return path


@pytest.fixture
def run(workspace, codec, tools):
    """Runs the stage and returns the context, the data and the objective, which counts."""

    def run(*data: Any, objective: Any = None, **tables: Any) -> tuple[Any, Prepared, Any]:
        objective = objective or tools.TinyObjective()
        context = tools.new_context(workspace, codec, *data, objective=objective, **tables)
        stage.prepare(context)
        prepared: Any = context.find(PreparedData)
        return context, prepared, objective

    return run


def cached(workspace: Path) -> list[str]:
    """The finished folders in the cache."""
    return sorted(p.parent.name for p in workspace.glob(".cache/training/*/MANIFEST.json"))


def evaluated(prepared: Prepared) -> list[int]:
    """Line numbers of the held-out rows."""
    rows: list[int] = prepared._evaluation.rows.tolist()
    return rows


# --- What it leaves -----------------------------------------------------------------------------


def test_the_documents_are_what_the_objective_made_of_the_rows(run, data, codec, tools):
    """Every token of every row, in order, with its flag: nothing is lost on the way to disk."""
    _, prepared, _ = run(data)
    documents = prepared._training
    for number, row in enumerate(tools.chats(60)):
        chat = codec.encode(row["messages"])
        part = slice(documents.starts[number], documents.starts[number + 1])
        assert documents.tokens[part].tolist() == chat.ids
        ((start, end),) = chat.assistant_spans
        flags = documents.trained[part]
        assert flags.sum() == end - start
        assert flags[start:end].all()
        assert documents.rows[number] == number + 1


def test_the_events_tell_phase_progress_format_and_figures(run, data):
    """What the terminal and the studio show."""
    context, prepared, _ = run(data)
    events = context.events
    assert [event["phase"] for event in events.of("phase")] == ["prepare"]
    assert events.of("progress")[-1] | {"done": 60, "total": 60} == events.of("progress")[-1]
    assert events.of("data.format") == [
        {"t": "data.format", "source": str(data), "format": "messages"}
    ]
    (event,) = events.of("data")
    assert event["rows"] == event["documents"] == 60
    assert event["tokens"] == len(prepared._training.tokens)
    assert event["trained_tokens"] == prepared._training.trained.sum()
    assert event["longest"] == prepared._training.lengths.max()
    assert event["dropped"] == {}
    assert event["evaluation_documents"] == 0
    assert event["steps_per_epoch"] == prepared.training(seed=0).per_epoch
    assert event["formats"] == ["messages"]
    assert event["digest"] == prepared.digest
    assert event["reused"] is False
    assert events.of("warning") == []
    json.dumps(event)


def test_the_folder_is_whole_and_verified(run, data, workspace):
    """A manifest with the hash of every file, and what it was made from."""
    _, prepared, _ = run(data)
    folder = workspace / ".cache" / "training" / prepared.digest
    manifest = files.verify_folder(folder)
    assert set(manifest.files) == {TRAINING, EVALUATION}
    assert manifest.metadata["inputs"]["version"] == inputs.PREPARE_VERSION
    assert manifest.metadata["summary"] == prepared.summary


def test_several_sources_are_read_one_after_another(run, data, tmp_path, tools):
    """Each document knows its source and its row; each source has its own form."""
    more = tools.write_rows(tmp_path / "more.jsonl", [{"text": "Paris."}, {"text": "The Seine."}])
    context, prepared, _ = run(data, more)
    assert prepared._training.sources.tolist() == [0] * 60 + [1] * 2
    assert prepared._training.rows.tolist() == [*range(1, 61), 1, 2]
    assert prepared.summary["formats"] == ["messages", "text"]
    assert len(context.events.of("data.format")) == 2


def test_a_source_for_evaluation_is_held_out_whole(run, data, tmp_path, tools):
    """And nothing else is, when no split is asked for."""
    other = tools.write_rows(tmp_path / "heldout.jsonl", tools.chats(5, first=900))
    _, prepared, _ = run(data, tools.data_selection(other, role="evaluate"))
    assert len(prepared._training) == 60
    assert prepared._evaluation.sources.tolist() == [1] * 5
    assert sum(len(step.rows) for step in prepared.evaluation()) == 5


# --- The split ----------------------------------------------------------------------------------


def test_the_split_takes_about_its_share_and_every_row_is_on_one_side(run, tmp_path, tools):
    """1000 rows, a tenth: 100 give or take four standard deviations of 9.5."""
    data = tools.write_rows(tmp_path / "a.jsonl", tools.chats(1000))
    _, prepared, _ = run(data, evaluate=Evaluate(split=0.1))
    held_out = evaluated(prepared)
    assert 62 <= len(held_out) <= 138
    assert sorted(held_out + prepared._training.rows.tolist()) == list(range(1, 1001))


def test_the_split_is_stable_when_the_data_grows_or_is_shuffled(run, tmp_path, tools):
    """What was held out stays held out: an old evaluation stays comparable."""
    rows = tools.chats(300)

    def held_out(rows: list[Any]) -> set[str]:
        data = tools.write_rows(tmp_path / "a.jsonl", rows)
        _, prepared, _ = run(data, evaluate=Evaluate(split=0.2))
        return {json.dumps(rows[number - 1]) for number in evaluated(prepared)}

    before = held_out(rows)
    grown = held_out(tools.chats(100, first=1000) + rows[::-1])
    assert before == grown & {json.dumps(row) for row in rows}


def test_equal_rows_are_on_the_same_side(run, tmp_path, tools):
    """A row that is trained on says nothing when it is held out too."""
    data = tools.write_rows(tmp_path / "a.jsonl", tools.chats(50) * 2)
    _, prepared, _ = run(data, evaluate=Evaluate(split=0.3))
    held_out = set(evaluated(prepared))
    assert held_out
    assert all((row + 50 in held_out) for row in held_out if row <= 50)
    assert len(held_out) % 2 == 0


def test_a_split_that_holds_out_nothing_is_told(run, tmp_path, tools):
    """With three rows a hundredth is nobody, and a missing loss would be a riddle."""
    data = tools.write_rows(tmp_path / "a.jsonl", tools.chats(3))
    context, _, _ = run(data, evaluate=Evaluate(split=0.01))
    (warning,) = context.events.of("warning")
    assert "holds out none" in warning["text"]


# --- The key ------------------------------------------------------------------------------------


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
    digests.append(run(tools.data_selection(data, limit=59))[1].digest)
    held_out = tools.data_selection(data, role="evaluate")
    digests.append(run(data, held_out)[1].digest)
    digests.append(run(data, data)[1].digest)
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "PREPARE_VERSION", 2)
        digests.append(run(data)[1].digest)
    with monkeypatch.context() as patch:
        patch.setattr(codec, "digest", "other tokenizer or template")
        digests.append(run(data)[1].digest)
    assert len(set(digests)) == 7
    assert run(data)[1].digest == digests[0]


# --- Damage and interruption --------------------------------------------------------------------


@pytest.mark.parametrize("name", [TRAINING, EVALUATION, "MANIFEST.json"])
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

    class Stopping(tools.TinyObjective):
        def encode(self, example: Any, codec: Any) -> Any:
            if self.encoded == 5:
                context.stop.request()
            return super().encode(example, codec)

    context = tools.new_context(workspace, codec, data, objective=Stopping())
    with pytest.raises(Interrupted):
        stage.prepare(context)
    assert context.find(PreparedData) is None
    assert [p.name for p in workspace.glob(".cache/training/*") if not p.name.endswith(".lock")] == []


def test_waiting_for_another_process_can_be_stopped(run, data, workspace, codec, tools):
    """Who waits for a lock still hears Ctrl-C."""
    _, prepared, _ = run(data)
    context = tools.new_context(workspace, codec, data)
    context.stop.request()
    lock = workspace / ".cache" / "training" / f"{prepared.digest}.lock"
    with files.lock(lock), pytest.raises(Interrupted):
        with stage._alone(lock.with_suffix(""), context):
            pytest.fail("the lock is held")
    assert "wait for another process" in context.events.of("phase")[0]["phase"]


def test_where_locks_do_nothing_the_slower_process_takes_what_it_finds(
    workspace, data, codec, tools
):
    """Some network file systems grant every lock to everyone."""

    class Overtaken(tools.TinyObjective):
        def encode(self, example: Any, codec: Any) -> Any:
            if self.encoded == 0:
                with_no_lock(tools.new_context(workspace, codec, data))
            return super().encode(example, codec)

    def with_no_lock(context: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.fcntl, "flock", lambda *_: None)
            patch.setattr(stage, "_sweep", lambda _: None)
            stage.prepare(context)

    context = tools.new_context(workspace, codec, data, objective=Overtaken())
    stage.prepare(context)
    assert len(context.get(PreparedData).training(seed=0).step(0).rows) > 0
    assert len(cached(workspace)) == 1


def test_a_disk_that_fails_is_told_and_leaves_nothing(run, data, workspace, monkeypatch):
    """The error is the disk's, in one line."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "fsync_file", full)
    with pytest.raises(StorageError, match="No space left on device"):
        run(data)
    assert cached(workspace) == []


# --- What it refuses ----------------------------------------------------------------------------


def test_a_bad_row_stops_the_stage_with_its_line(run, tmp_path, tools, workspace):
    """Nothing appears in the cache."""
    rows = [*tools.chats(3), {"messages": [{"role": "user", "content": "hello"}]}]
    data = tools.write_rows(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"a\.jsonl:4: `messages` has no assistant turn"):
        run(data)
    assert cached(workspace) == []


def test_an_empty_source_is_refused_by_name(run, tmp_path, data):
    """The second table is the empty one."""
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(DataError, match=r"\[\[data\]\] 2 \(jsonl\) has no rows"):
        run(data, empty)


def test_data_that_changes_while_it_is_read_is_refused(run, data, tools):
    """The key would name other content than the folder has."""

    class Writing(tools.TinyObjective):
        def encode(self, example: Any, codec: Any) -> Any:
            with data.open("a") as file:
                file.write("\n")
            return super().encode(example, codec)

    with pytest.raises(DataError, match=r"\[\[data\]\] 1 \(jsonl\) changed while it was read"):
        run(data, objective=Writing())


def test_rows_that_are_left_out_are_counted_and_told(run, tmp_path, tools):
    """Once when they are made, and again when they are reused."""
    rows = tools.chats(10)
    rows[3]["messages"][1]["content"] = "very long " * 500
    data = tools.write_rows(tmp_path / "a.jsonl", rows)
    for _ in range(2):
        context, prepared, _ = run(data)
        (warning,) = context.events.of("warning")
        assert warning["text"] == (
            "1 of 10 rows are longer than batch.max_length = 1024 and were left out"
        )
        assert prepared.summary["dropped"] == {"overlong": 1}
        assert prepared.summary["documents"] == 9


@pytest.mark.parametrize(
    ("overlong", "words"), [("truncate", "lost their end"), ("split", "were split")]
)
def test_rows_that_are_cut_are_counted_and_told(run, tmp_path, tools, overlong, words):
    """Cutting changes what is learned: it is not silent either."""
    rows = tools.chats(4)
    rows[3]["messages"][1]["content"] = "very long " * 500
    data = tools.write_rows(tmp_path / "a.jsonl", rows)
    context, prepared, _ = run(data, batch=Batch(overlong=overlong))
    (warning,) = context.events.of("warning")
    assert words in warning["text"]
    assert prepared.summary["longest"] <= 1024


def test_data_that_mostly_teaches_nothing_is_refused(run, tmp_path, tools):
    """Three of five: something is wrong with the data or the settings, and not with the rows."""
    long = {"messages": [{"role": "user", "content": "why " * 300}, *tools.chats(1)[0]["messages"][1:]]}
    tables = {"batch": Batch(max_length=64, overlong="truncate")}
    bad = tools.write_rows(tmp_path / "bad.jsonl", [*tools.chats(2), long, long, long])
    with pytest.raises(DataError, match=r"3 of 5 rows have nothing to learn.*bad\.jsonl:3"):
        run(bad, **tables)
    half = tools.write_rows(tmp_path / "half.jsonl", [*tools.chats(2), long, long])
    context, prepared, _ = run(half, **tables)
    assert prepared.summary["dropped"] == {"nothing_to_learn": 2}
    assert "2 of 4 rows have nothing to learn" in context.events.of("warning")[0]["text"]


def test_data_of_which_nothing_is_left_is_refused(run, tmp_path, tools):
    """Training on nothing must not look like success."""
    data = tools.write_rows(tmp_path / "a.jsonl", tools.chats(3))
    with pytest.raises(DataError, match=r"no documents are left.*\{'overlong': 3\}"):
        run(data, batch=Batch(max_length=4))
    with pytest.raises(DataError, match="no documents are left"):
        run(tools.data_selection(data, role="evaluate"))


def test_a_document_larger_than_a_step_fails_before_training(run, data):
    """The stage makes the steps once, so that the error comes now; the fix needs no new tokens."""
    with pytest.raises(DataError, match=r"batch\.tokens"):
        run(data, batch=Batch(tokens=16))
    assert run(data, batch=Batch(tokens=64))[2].encoded == 0


# --- The plan -----------------------------------------------------------------------------------


def test_the_plan_has_the_figures_of_the_run(workspace, data, codec, tools):
    """And the run finds what the plan prepared."""
    context = tools.new_context(workspace, codec, data, train=Train(epochs=2.5))
    found = stage.plan(context)
    assert context.find(ModelFolder) is not None
    again = tools.TinyObjective()
    context = tools.new_context(workspace, codec, data, objective=again, train=Train(epochs=2.5))
    stage.prepare(context)
    assert again.encoded == 0
    (event,) = context.events.of("data")
    for name in ("rows", "documents", "tokens", "trained_tokens", "dropped", "steps_per_epoch"):
        assert found[name] == event[name]
    assert found["steps"] == total_steps(
        Train(epochs=2.5), found["steps_per_epoch"], found["tokens"]
    )


def test_without_the_model_the_plan_counts_rows_and_says_what_is_missing(
    workspace, data, codec, tools
):
    """A plan fetches nothing; bad rows are still found."""
    context = tools.new_context(workspace, codec, data, fetched=False)
    assert stage.plan(context) == {"rows": 60, "steps": "known once the model is fetched"}
    assert not workspace.exists()
    data.write_text("nonsense")
    with pytest.raises(DataError):
        stage.plan(context)


@pytest.mark.parametrize(
    ("train", "steps"),
    [
        (Train(), 10),
        (Train(epochs=2), 20),
        (Train(epochs=0.25), 3),
        (Train(epochs=0.001), 1),
        (Train(steps=7), 7),
        (Train(tokens=1000), 10),
        (Train(tokens=1001), 11),
        (Train(tokens=1), 1),
    ],
)
def test_the_length_of_a_run_in_steps(train, steps):
    """Ten steps of a hundred tokens in an epoch; what is begun is done."""
    assert total_steps(train, 10, 1000) == steps


def test_a_selection_is_built_by_its_component(data, tools):
    """The stage knows no source: whatever a plugin declares is built the same way."""
    selection: Selection = tools.data_selection(data)
    assert selection.component.name == "jsonl"
    rows = selection.component.build(selection.config, None).rows()
    assert next(rows).number == 1
