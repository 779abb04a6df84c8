"""What the stage ``prepare`` refuses or warns of: data that would teach nothing, or nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import Batch, DataError, Evaluate, ModelFolder
from llamahome_data import prepare as stage


def cached(workspace: Path) -> list[str]:
    """The finished folders in the cache."""
    return sorted(p.parent.name for p in workspace.glob(".cache/training/*/MANIFEST.json"))


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
    with pytest.raises(DataError, match=r"\[\[data\]\] 2 \(jsonl of test 1.0\) has no rows"):
        run(data, empty)


def test_data_that_changes_while_it_is_read_is_refused(run, data, tools):
    """The key would name other content than the folder has."""

    def append(_: int) -> None:
        with data.open("a") as file:
            file.write("\n")

    with pytest.raises(DataError, match=r"\[\[data\]\] 1 \(jsonl of test 1.0\) changed while"):
        run(data, objective=tools.TinyObjective(before=append))


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
    (long,) = tools.chats(1)
    long["messages"][0]["content"] = "why " * 300
    tables = {"batch": Batch(max_length=64, overlong="truncate")}
    bad = tools.write_rows(tmp_path / "bad.jsonl", [*tools.chats(2), long, long, long])
    with pytest.raises(DataError, match=r"3 of 5 rows have nothing to learn.*bad\.jsonl:3"):
        run(bad, **tables)
    half = tools.write_rows(tmp_path / "half.jsonl", [*tools.chats(2), long, long])
    context, prepared, _ = run(half, **tables)
    assert prepared.summary["dropped"] == {"nothing_to_learn": 2}
    assert "2 of 4 rows have nothing to learn" in context.events.of("warning")[0]["text"]


def test_data_of_which_nothing_is_left_is_refused(run, tmp_path, tools):
    """Training on nothing must not look like success; the hint fits the cause."""
    data = tools.write_rows(tmp_path / "a.jsonl", tools.chats(3))
    with pytest.raises(DataError, match="of 3 rows, 3 were dropped as overlong") as caught:
        run(data, batch=Batch(max_length=4), evaluate=Evaluate(split=0.1))
    assert caught.value.hint == "raise batch.max_length, or choose another batch.overlong"
    with pytest.raises(
        DataError, match="no documents are left to train on: of 3 rows, all are held out"
    ) as caught:
        run(tools.data_selection(data, role="evaluate"))
    assert caught.value.hint == 'add a [[data]] table without role = "evaluate"'
    with pytest.raises(
        DataError, match="no documents are left to train on: of 3 rows, all are held out"
    ) as caught:
        run(data, evaluate=Evaluate(split=0.9999))
    assert caught.value.hint == "lower evaluate.split, which is 0.9999"


@pytest.mark.parametrize(
    "config",
    [
        {"max_position_embeddings": 70},
        {"n_positions": 70},
        {"text_config": {"max_position_embeddings": 70}, "max_position_embeddings": 4},
    ],
)
def test_a_document_longer_than_the_models_positions_is_refused(
    workspace, codec, tmp_path, tools, config
):
    """With both numbers, the row and the setting; in a run, in a plan, and from the cache."""
    rows = tools.chats(6)
    rows[2]["messages"][1]["content"] = "Really. " * 60
    data = tools.write_rows(tmp_path / "a.jsonl", rows)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(config))
    folder = ModelFolder(path=model, digest="sha256:0", name="tiny")

    def attempt(act: Any, **batch: Any) -> Any:
        context = tools.new_context(workspace, codec, data, batch=Batch(**batch))
        context.put(ModelFolder, folder)
        return act(context)

    for act in (stage.prepare, stage.plan, stage.plan):
        with pytest.raises(
            DataError, match=r"a\.jsonl \(\[\[data\]\] 1\) row 3 has \d+ tokens, and tiny was "
        ) as caught:
            attempt(act)
        assert "for 70 positions" in caught.value.message
        assert "set batch.max_length to 70 or less" in str(caught.value.hint)
    attempt(stage.prepare, max_length=70)
    attempt(stage.prepare, max_length=80)
    attempt(stage.prepare, max_length=70, overlong="truncate")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        "7",
        "{}",
        '{"max_position_embeddings": null}',
        '{"text_config": 7}',
        '{"max_position_embeddings": -1}',
        '{"max_position_embeddings": "many"}',
    ],
)
def test_a_config_that_says_no_positions_sets_no_bound(tmp_path, text):
    """Some models have none; what is wrong with a config, loading the model says."""
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    folder = ModelFolder(path=tmp_path, digest="sha256:0", name="tiny")
    assert stage.max_positions(folder) is None


def test_a_document_larger_than_a_step_fails_before_training(run, data):
    """The stage makes the steps once, so that the error comes now; the fix needs no new tokens."""
    with pytest.raises(DataError, match=r"batch\.tokens"):
        run(data, batch=Batch(tokens=16))
    assert run(data, batch=Batch(tokens=80))[2].encoded == 0
