"""A data source may be anybody's code: whatever it does wrong names it, its place and its row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from llamahome_core import DataError, Evaluate, Interrupted, Row, Selection, StorageError
from llamahome_data import prepare as stage
from llamahome_data import write as writing

WHO = r"\[\[data\]\] 2 \(shout of test 1\.0\)"


def good(number: int) -> Row:
    return Row(value={"text": f"row {number}"}, source="a.txt", number=number)


@define
class Reader:
    """Three good rows, and then whatever the test wants."""

    last: Callable[[], Any]
    made_of: Any = "content"

    def digest(self) -> Any:
        return self.made_of() if callable(self.made_of) else self.made_of

    def rows(self) -> Iterator[Any]:
        yield from map(good, (1, 2, 3))
        yield self.last()


@define
class Just:
    """Gives just these rows."""

    rows: Callable[[], Any]

    def digest(self) -> str:
        return "content"


def selection(tools: Any, reader: Any) -> Selection:
    return Selection(
        kind="data", name="shout", plugin="shout", component=tools.Ready(reader), config=None
    )


@pytest.fixture
def read(run, data, tools):
    """Prepares a good file, and then what a reader gives."""
    return lambda reader: run(data, selection(tools, reader))


class Evil:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


class EvilError(Exception):
    """Cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError


def raised(error: BaseException | type[BaseException]) -> Callable[[], Any]:
    def act() -> None:
        raise error

    return act


def nothing_kept(workspace: Path) -> bool:
    return {p.suffix for p in workspace.glob(".cache/training/*")} <= {".lock"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "gave None, which is no Row"),
        ("text", "gave 'text', which is no Row"),
        ({"messages": [1, 2]}, r"gave \{'messages': \[1, 2\]\}, which is no Row"),
        (object(), "gave <object obj.*, which is no Row"),
        (Evil(), "gave <Evil instance at .*which is no Row"),
        ("x" * 10_000, "gave 'xxx.{,40}', which is no Row"),
        (Row(value=None, source="a", number=1), "must be a dict of named fields, got None"),  # type: ignore[arg-type]
        (Row(value={1: "a"}, source="a", number=1), r"named fields, got \{1: 'a'\}"),  # type: ignore[dict-item]
        (Row(value={}, source=None, number=1), "source of a Row must be text, got None"),  # type: ignore[arg-type]
        (Row(value={}, source="a", number="1"), "must count from 1, got '1'"),  # type: ignore[arg-type]
        (Row(value={}, source="a", number=True), "must count from 1, got True"),
        (Row(value={}, source="a", number=0), "must count from 1, got 0"),
        (Row(value={}, source="a", number=2**63), "must count from 1, got 9223372036854775808"),
    ],
)
def test_what_is_no_row_is_refused_with_source_place_and_number(read, workspace, given, words):
    """The fourth row of the second table, the component, and what it came with."""
    with pytest.raises(DataError, match=rf"^{WHO}, row 4: .*{words}") as caught:
        read(Reader(lambda: given))
    assert caught.value.hint == "if its settings are right, tell the makers of test 1.0"
    assert caught.value.exit_code == 1
    assert nothing_kept(workspace)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such column"), "ValueError: no such column"),
        (KeyError("text"), "KeyError: 'text'"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), "FileNotFoundError: .*a.txt"),
        (StopIteration(), "RuntimeError: generator raised StopIteration"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (MemoryError(), "MemoryError"),
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit"),
        (EvilError(), "EvilError: <exception str"),
    ],
)
def test_what_a_source_raises_in_the_middle_is_told_with_the_row(read, workspace, error, words):
    """Even what would end the process with success; the traceback is kept as the cause."""
    with pytest.raises(DataError, match=rf"^{WHO}, row 4: .*{words}") as caught:
        read(Reader(raised(error)))
    assert caught.value.__cause__ is not None
    assert nothing_kept(workspace)


@pytest.mark.parametrize(
    "error", [DataError("a.txt:4: torn"), StorageError("disk"), Interrupted("stop", signal=2)]
)
def test_an_error_that_explains_itself_is_passed_on(read, workspace, error):
    """A source that says file and line says it better."""
    with pytest.raises(type(error)) as caught:
        read(Reader(raised(error)))
    assert caught.value is error
    assert nothing_kept(workspace)


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_ctrl_c_and_a_cancelled_task_are_no_errors_of_the_source(read, error):
    """They are the user's, and the program's that embeds the kernel."""
    with pytest.raises(error):
        read(Reader(raised(error)))


def test_a_row_that_breaks_a_rule_names_its_source_too(read, workspace):
    """Numbers where the turns of a conversation belong."""
    row = Row(value={"text": 5}, source="a.txt", number=9)
    with pytest.raises(DataError, match=rf"^a\.txt:9: `text` must be text, got 5; from {WHO}"):
        read(Reader(lambda: row))
    assert nothing_kept(workspace)


class Strange(dict[str, Any]):
    """A turn whose fields cannot be read."""

    def get(self, *_: Any) -> Any:
        raise ValueError("ambiguous")


def test_a_row_that_cannot_even_be_looked_at_names_itself_and_its_source(run, tools, workspace):
    """What other libraries hold in place of plain values has its own ideas of comparing."""
    turns = [Strange(role="user", content="a")]
    row = Row(value={"messages": turns}, source="a.txt", number=1)
    reader = Just(lambda: [row])
    with pytest.raises(DataError, match=r"^a\.txt:1: ValueError: ambiguous; from \[\[data\]\] 1"):
        run(selection(tools, reader))
    assert nothing_kept(workspace)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_row_that_cannot_become_tokens_is_named(run, tools, data, workspace, share):
    """Whoever is to blame, source, objective or template, the row is where to look."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    row = Row(value={"messages": turns, "tools": [{"a": {1}}]}, source="a.txt", number=7)
    reader = Just(lambda: [row])
    evaluate = Evaluate(split=share)
    with pytest.raises(DataError, match=r"^a\.txt:7: .*TypeError: .*set is not JSON serializable"):
        run(data, selection(tools, reader), evaluate=evaluate)
    assert nothing_kept(workspace)


@pytest.mark.parametrize("rows", [lambda: None, raised(ValueError("no")), raised(SystemExit)])
def test_rows_that_cannot_be_begun_are_told(run, tools, data, rows):
    """A method that returns nothing, or fails before its first row."""
    with pytest.raises(DataError, match=rf"^{WHO}, row 1: "):
        run(data, selection(tools, Just(rows)))


@pytest.mark.parametrize(
    ("made_of", "words"),
    [
        (None, ": its digest must be text, got None"),
        (b"abc", ": its digest must be text, got b'abc'"),
        ("", ": its digest must be text, got ''"),
        (raised(SystemExit(0)), ": SystemExit: 0"),
        (raised(OSError("gone")), ": OSError: gone"),
    ],
)
def test_a_digest_that_says_nothing_is_refused(read, workspace, made_of, words):
    """Without one, old rows would be taken for the new ones."""
    with pytest.raises(DataError, match=f"^{WHO}{words}"):
        read(Reader(lambda: good(4), made_of))
    assert nothing_kept(workspace)


def test_a_source_that_cannot_be_built_is_named(run, data):
    """Its settings were right, or the recipe would not have got here."""

    class Broken:
        def build(self, config: Any, context: Any) -> Any:
            raise SystemExit(3)

    chosen = Selection(kind="data", name="shout", plugin="s", component=Broken(), config=None)
    with pytest.raises(DataError, match=f"^{WHO}: SystemExit: 3"):
        run(data, chosen)


def test_the_plan_tells_the_same(workspace, codec, tools, data):
    """With and without the model: a plan must not end as if all were well either."""
    for fetched in (True, False):
        chosen = selection(tools, Reader(raised(SystemExit(0))))
        context = tools.new_context(workspace, codec, data, chosen, fetched=fetched)
        with pytest.raises(DataError, match=f"^{WHO}, row 4: SystemExit: 0"):
            stage.plan(context)
    assert nothing_kept(workspace)


def test_a_source_that_calls_each_row_by_another_name_costs_no_more_memory(run, tools, monkeypatch):
    """Beyond a number of names the table has to do; the row is known all the same."""
    monkeypatch.setattr(writing, "_MOST_NAMES", 2)
    rows = [Row(value={"text": "a b c"}, source=f"page {n}", number=n) for n in range(1, 6)]
    reader = Just(lambda: [*rows, rows[0]])
    _, prepared, _ = run(selection(tools, reader))
    documents = prepared._training
    assert [documents.origin([n]) for n in range(6)] == [
        "page 1 ([[data]] 1) row 1",
        "page 2 ([[data]] 1) row 2",
        "[[data]] 1 row 3",
        "[[data]] 1 row 4",
        "[[data]] 1 row 5",
        "page 1 ([[data]] 1) row 1",
    ]
