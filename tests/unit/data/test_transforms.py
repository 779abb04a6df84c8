"""Transforms: their order, their counts, the data's key; and whatever one does wrong names it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import define, frozen

from llamahome_core import (
    DataError,
    Dropped,
    Evaluate,
    Example,
    Interrupted,
    ModelFolder,
    Models,
    StorageError,
)
from llamahome_data import prepare as stage

WHO = r"\[\[transform\]\] 2 \(mine of test 1\.0\)"
HINT = "if its settings are right, tell the makers of test 1.0"


@define
class Mine:
    """Does what the test wants with each example, after the first *good* of them."""

    act: Callable[[Example], Any]
    good: int = 0
    identity: Any = "mine/1"

    def apply(self, example: Example, row: Any) -> Any:
        self.good -= 1
        return example if self.good >= 0 else self.act(example)


def same(example: Example) -> Example:
    return example


def said(example: Example, text: str) -> Example:
    """*example* with *text* added to its last turn."""
    *before, last = example.messages
    return Example(messages=(*before, {**last, "content": last["content"] + text}))


@pytest.fixture
def transformed(run, data, tools):
    """Prepares the rows with what is given as transforms."""

    def act(*transforms: Any, **tables: Any) -> tuple[Any, Any, Any]:
        chosen = tuple(map(tools.transform_selection, transforms))
        context, prepared, objective = run(data, transforms=chosen, **tables)
        return context, prepared, objective

    return act


def test_they_work_one_after_another_in_the_recipes_order(transformed, codec):
    """What the first makes is what the second gets; what it drops is not seen by the second."""
    seen = []

    def note(example: Example) -> Any:
        seen.append(example.messages[-1]["content"][-1])
        return said(example, "?")

    _, prepared, _ = transformed(
        Mine(lambda e: Dropped("short") if "Really" not in str(e) else said(e, "!")), Mine(note)
    )

    kept = prepared.summary["documents"]
    assert seen == ["!"] * kept
    assert 0 < kept < 60
    first = prepared._training.tokens[: prepared._training.starts[1]]
    assert codec.decode(first.tolist()).endswith("!?\n")


def test_what_each_did_is_counted_told_and_planned(transformed):
    """Rows are those that were read; each transform has its own counts, the data their sum."""

    def half(reason: str) -> Callable[[Example], Any]:
        return lambda e: Dropped(reason) if len(str(e)) % 2 else e

    context, prepared, _ = transformed(
        Mine(half("too_odd")),
        Mine(lambda e: said(e, "!")),
        Mine(lambda _: Dropped("too_odd"), good=3),
        Mine(lambda _: Dropped("overlong"), good=2),
    )

    summary = prepared.summary
    first = summary["transforms"][0]["dropped"]["too_odd"]
    assert summary["transforms"] == [
        {"use": "mine", "changed": 0, "dropped": {"too_odd": first}},
        {"use": "mine", "changed": 60 - first, "dropped": {}},
        {"use": "mine", "changed": 0, "dropped": {"too_odd": 57 - first}},
        {"use": "mine", "changed": 0, "dropped": {"overlong": 1}},
    ]
    assert summary["rows"] == 60
    assert summary["documents"] == 2
    assert summary["dropped"] == {"too_odd": 57, "overlong": 1}
    (event,) = context.events.of("data")
    assert event["transforms"] == summary["transforms"]
    # Its "overlong" is no word about batch.max_length.
    assert [event["text"] for event in context.events.of("warning")] == [
        f"{first} of 60 rows were left out by [[transform]] 1 (mine) as too odd",
        f"{57 - first} of 60 rows were left out by [[transform]] 3 (mine) as too odd",
        "1 of 60 rows were left out by [[transform]] 4 (mine) as overlong",
    ]
    assert stage.plan(context)["transforms"] == summary["transforms"]


def test_the_split_goes_by_what_is_trained_on(transformed):
    """Examples that a transform makes equal are on one side, not on both."""
    two = [Example(text=text) for text in ("one", "two three four")]

    prepared = transformed(Mine(lambda e: two[len(str(e)) % 2]), evaluate=Evaluate(split=0.5))[1]

    for documents in (prepared._training, prepared._evaluation):
        assert len(set(documents.lengths.tolist())) == 1


def test_the_plan_of_a_model_that_is_not_here_checks_them_too(data, workspace, codec, tools):
    """Rows are read, and so are transforms tried."""
    bad = tools.transform_selection(Mine(lambda _: 3, good=20))
    context = tools.new_context(workspace, codec, data, fetched=False, transforms=(bad,))

    with pytest.raises(DataError, match=r"train\.jsonl:21: gave 3, which is neither"):
        stage.plan(context)
    assert context.find(ModelFolder) is None
    assert context.get(Models).cached("tiny") is None


# --- The key -------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Settings:
    path: Path = Path("/x")
    words: tuple[str, ...] = ("a", "b")
    most: int = 3


def test_all_that_decides_the_result_is_part_of_the_key(run, data, tools, monkeypatch):
    """Plugin, name, version, settings, identity and order; nothing else."""

    def digest(*selections: Any) -> str:
        found: str = run(data, transforms=selections)[1].digest
        return found

    one = tools.transform_selection(Mine(same), config=Settings())
    two = tools.transform_selection(Mine(same, identity="mine/2"), config=Settings())
    digests = [
        digest(),
        digest(one),
        digest(two),
        digest(one, two),
        digest(two, one),
        digest(attrs.evolve(one, config=Settings(most=4))),
        digest(attrs.evolve(one, config=Settings(words=("a",)))),
        digest(attrs.evolve(one, name="other")),
        digest(attrs.evolve(one, plugin="other")),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(tools.OnePlugin, "__init__", _other_version(tools.OnePlugin.__init__))
        digests.append(digest(one))

    assert len(set(digests)) == len(digests)
    context, prepared, objective = run(data, transforms=(one,))
    assert prepared.digest == digests[1]
    assert objective.encoded == 0
    assert context.events.of("data")[0]["reused"] is True


def _other_version(make: Any) -> Any:
    return lambda self: make(self, origin="test 1.1")


def test_the_figures_of_a_reused_preparation_are_those_of_the_first(transformed):
    """Nothing is applied a second time."""
    first = transformed(Mine(lambda e: said(e, "!")))[1].summary

    def fail(_: Example) -> Any:
        raise AssertionError

    assert transformed(Mine(fail))[1].summary == first


# --- What one does wrong -------------------------------------------------------------------------


class Evil:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "gave None, which is neither an Example nor a Dropped"),
        ("text", "gave 'text', which is neither"),
        (Evil(), "gave <Evil instance at .*, which is neither"),
        ([Example(text="a")], r"gave \[Example.*, which is neither"),
        (Example(), "`messages` must be a list of turns, got an empty list"),
        (Example(text=" "), "`text` is empty"),
        (Example(text=3), "`text` must be text, got 3"),  # type: ignore[arg-type]
        (Example(text="\ud800"), "has half a character"),
        (Example(messages=({"role": "user", "content": "a"},)), "no assistant turn"),
        (Example(messages=("a",)), r"`messages\[0\]` must be an object"),  # type: ignore[arg-type]
        (Example(messages=3), "TypeError: 'int' object is not iterable"),  # type: ignore[arg-type]
        (Example(messages=({},), text="a"), "gave an Example with both messages and text"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_the_row_and_the_transform(
    transformed, workspace, given, words
):
    """The row as its file names it, the table, the component, and what it came with."""
    with pytest.raises(DataError, match=rf"train\.jsonl:4: .*{words}.*; from {WHO}") as caught:
        transformed(Mine(same), Mine(lambda _: given, good=3))

    assert caught.value.exit_code == 1
    assert {p.suffix for p in workspace.glob(".cache/training/*")} <= {".lock"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError("no"), "RuntimeError: no"),
        (SystemExit(0), "SystemExit: 0"),
        (DataError("the row has no answer"), "the row has no answer"),
    ],
)
def test_what_it_raises_is_told_with_the_row_and_the_transform(transformed, error, words):
    def act(_: Example) -> Any:
        raise error

    with pytest.raises(DataError, match=rf"train\.jsonl:4: .*{words}; from {WHO}") as caught:
        transformed(Mine(same), Mine(act, good=3))
    assert caught.value.__cause__ is not None
    assert caught.value.message.endswith("(mine of test 1.0)")


@pytest.mark.parametrize("error", [Interrupted("stop", signal=2), StorageError("full")])
def test_what_explains_itself_is_passed_on(transformed, error):
    def act(_: Example) -> Any:
        raise error

    with pytest.raises(type(error)) as caught:
        transformed(Mine(act))
    assert caught.value is error


def test_a_cancelled_task_is_the_callers(transformed):
    def act(_: Example) -> Any:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        transformed(Mine(act))


@pytest.mark.parametrize("identity", [None, "", 3, b"x"])
def test_an_identity_must_be_text(transformed, identity):
    """Otherwise old data would be taken for new."""
    with pytest.raises(DataError, match=f"^{WHO}: its identity must be text") as caught:
        transformed(Mine(same), Mine(same, identity=identity))
    assert caught.value.hint == HINT


def test_one_that_cannot_be_built_is_named(transformed):
    class Broken:
        @property
        def identity(self) -> str:
            raise OSError("no list of words")

    with pytest.raises(DataError, match=f"^{WHO}: OSError: no list of words"):
        transformed(Mine(same), Broken())


def test_nothing_left_says_what_took_it(transformed):
    with pytest.raises(DataError, match="of 60 rows, 60 were dropped as too odd") as caught:
        transformed(Mine(lambda _: Dropped("too_odd")))
    assert caught.value.hint == "look at what [[transform]] leaves out"
