"""Contract of transforms."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest

from llamahome_core import Dropped, Example, Message, Row, Transform

Result = Example | Dropped


class TransformContract:
    """What every transform keeps to.

    Give the fixture ``make_transform``: a function that makes a new one with the same settings
    each time. Its examples are conversations and texts, some of them twice; if it leaves all of
    them as they are, give ``examples`` that it does not.
    """

    @pytest.fixture
    def make_transform(self) -> Callable[[], Transform]:
        """Makes the transform; the author's part."""
        raise NotImplementedError("give a fixture `make_transform`")

    @pytest.fixture
    def examples(self) -> list[Example]:
        """What it is given, in this order."""
        chats = [_chat("What is a run?", "A folder."), _chat("Is it?", "Yes.", "Ü?", "Yes.")]
        texts = [Example(text="A run is a folder."), Example(text="a run is a folder.")]
        return [*chats, *texts, *copy.deepcopy([*chats, *texts])]

    def test_it_does_something(
        self, make_transform: Callable[[], Transform], examples: list[Example]
    ) -> None:
        """One of the examples at least is changed or dropped."""
        assert _results(make_transform(), examples) != examples, "give a fixture `examples`"

    def test_what_goes_on_can_be_learned_from(
        self, make_transform: Callable[[], Transform], examples: list[Example]
    ) -> None:
        """A conversation or a text, and not both; no turn is empty, and the assistant has one."""
        for result in _results(make_transform(), examples):
            assert isinstance(result, Result)
            if isinstance(result, Example):
                _check(result)

    def test_a_new_one_does_the_same(
        self, make_transform: Callable[[], Transform], examples: list[Example]
    ) -> None:
        """What it remembers lies in it alone: data is prepared again, and must be the same."""
        first = _results(make_transform(), examples)

        assert _results(make_transform(), examples) == first

    def test_two_at_once_do_not_disturb_each_other(
        self, make_transform: Callable[[], Transform], examples: list[Example]
    ) -> None:
        """Two preparations may go on in one process."""
        alone = _results(make_transform(), examples)
        first, second = make_transform(), make_transform()
        both = [
            (first.apply(example, row), second.apply(example, row))
            for example, row in zip(examples, _rows(examples), strict=True)
        ]

        assert [one for one, _ in both] == alone
        assert [other for _, other in both] == alone

    def test_no_example_is_changed_in_place(
        self, make_transform: Callable[[], Transform], examples: list[Example]
    ) -> None:
        """What changes is a copy, for nobody could count what was changed otherwise."""
        before, rows = copy.deepcopy(examples), _rows(examples)
        transform = make_transform()
        for example, row in zip(examples, rows, strict=True):
            transform.apply(example, row)

        assert examples == before
        assert rows == _rows(before)

    def test_its_identity_stays(
        self, make_transform: Callable[[], Transform], examples: list[Example]
    ) -> None:
        """Whatever it has seen: prepared data is kept under it."""
        transform = make_transform()
        before = transform.identity
        _results(transform, examples)

        assert isinstance(before, str)
        assert before
        assert transform.identity == make_transform().identity == before


def _chat(*texts: str) -> Example:
    roles = ("user", "assistant") * len(texts)
    turns = zip(roles, texts, strict=False)
    messages: list[Message] = [{"role": role, "content": text} for role, text in turns]
    return Example(messages=tuple(messages))


def _rows(examples: list[Example]) -> list[Row]:
    """A row for each, as a source would give it."""
    return [
        Row(
            value={"messages": list(one.messages)} if one.text is None else {"text": one.text},
            source="examples.jsonl",
            number=number,
        )
        for number, one in enumerate(examples, 1)
    ]


def _results(transform: Transform, examples: list[Example]) -> list[Result]:
    pairs = zip(copy.deepcopy(examples), _rows(examples), strict=True)
    return [transform.apply(example, row) for example, row in pairs]


def _check(example: Example) -> None:
    assert json.dumps([example.messages, example.text, example.tools], allow_nan=False)
    if example.text is not None:
        assert example.text.strip()
        assert not example.messages
        return
    assert any(turn["role"] == "assistant" for turn in example.messages)
    assert isinstance(example.messages, tuple)
    for turn in example.messages:
        assert turn["content"].strip() or turn.get("tool_calls")
