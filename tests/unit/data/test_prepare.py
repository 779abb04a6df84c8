"""The stage ``prepare``: what it leaves, what it holds out, and what its plan says."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from llamahome_core import DataError, Evaluate, ModelFolder, Selection, Train, files
from llamahome_data import inputs
from llamahome_data import prepare as stage
from llamahome_data.prepared import EVALUATION, FIGURES, TRAINING, Prepared


def evaluated(prepared: Prepared) -> list[int]:
    """Line numbers of the held-out rows."""
    rows: list[int] = prepared._evaluation.rows.tolist()
    return rows


# --- What it leaves ------------------------------------------------------------------------------


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
    assert set(manifest.files) == {TRAINING, EVALUATION, FIGURES}
    assert manifest.metadata["inputs"]["version"] == inputs.PREPARE_VERSION
    assert json.loads((folder / FIGURES).read_bytes())["summary"] == prepared.summary


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


# --- The split -----------------------------------------------------------------------------------


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


def test_evaluation_that_is_asked_for_without_rows_for_it_is_told(run, data, tools):
    """Otherwise a curve of held-out loss would be waited for in vain."""
    context, _, _ = run(data, evaluate=Evaluate(every=5))
    (warning,) = context.events.of("warning")
    assert "evaluate.every = 5, and no rows are held out" in warning["text"]
    context, _, _ = run(
        data, tools.data_selection(data, role="evaluate"), evaluate=Evaluate(every=5)
    )
    assert context.events.of("warning") == []


# --- The plan ------------------------------------------------------------------------------------


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
    assert found["steps"] == math.ceil(2.5 * found["steps_per_epoch"])
    assert found["rows_split"] == found["rows_truncated"] == 0
    assert "split" not in found, "it would be read as evaluate.split"


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
    assert train.total_steps(10, 1000) == steps


def test_a_selection_is_built_by_its_component(data, tools):
    """The stage knows no source: whatever a plugin declares is built the same way."""
    selection: Selection = tools.data_selection(data)
    assert selection.component.name == "jsonl"
    rows = selection.component.build(selection.config, None).rows()
    assert next(rows).number == 1
