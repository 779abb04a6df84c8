"""The transform ``dedup``: of equal examples the first is kept, whatever file they are in."""

from __future__ import annotations

import json

import pytest

from llamahome_core import Dropped, Evaluate, Example, Row
from llamahome_core.testing import TransformContract
from llamahome_data.dedup import Dedup
from llamahome_data.plugin import llamahome_transforms

ROW = Row(value={}, source="a", number=1)
CHAT = (
    {"role": "user", "content": "Is it?"},
    {"role": "assistant", "content": "Yes."},
)
DUPLICATE = Dropped("duplicate")


class TestDedup(TransformContract):
    @pytest.fixture
    def make_transform(self):
        return lambda: Dedup(None, None)  # type: ignore[arg-type]  # it has no use for a context


def applied(*examples):
    transform = Dedup(None, None)  # type: ignore[arg-type]  # the same
    return [transform.apply(example, ROW) for example in examples]


def test_the_first_is_kept():
    first, other = Example(text="a"), Example(text="b")

    assert applied(first, other, Example(text="a"), first) == [first, other, DUPLICATE, DUPLICATE]


@pytest.mark.parametrize(
    "other",
    [
        Example(messages=CHAT[:1]),
        Example(messages=(*CHAT, *CHAT)),
        Example(messages=(CHAT[0], {**CHAT[1], "content": "yes."})),
        Example(messages=(CHAT[0], {**CHAT[1], "weight": 1})),
        Example(messages=CHAT, tools=({"type": "function"},)),
        Example(text=json.dumps(CHAT)),
    ],
)
def test_what_differs_in_anything_is_no_duplicate(other):
    """A turn, a letter, a field of a turn, a tool, the form."""
    assert applied(Example(messages=CHAT), other) == [Example(messages=CHAT), other]


def test_the_order_of_fields_makes_no_other_example():
    """JSON does not know it either."""
    turned = tuple(dict(reversed(turn.items())) for turn in CHAT)

    assert applied(Example(messages=CHAT), Example(messages=turned))[1] == DUPLICATE


@pytest.fixture
def dedup(tools):
    (component,) = llamahome_transforms()
    return tools.transform_selection(component=component)


def test_no_row_of_training_is_held_out_as_well(run, data, tools, tmp_path, dedup):
    """Across tables: what was trained on would say little about what was learned."""
    held_out = tools.write_rows(tmp_path / "held.jsonl", tools.chats(10, first=55))

    selection = tools.data_selection(held_out, role="evaluate")
    context, prepared, _ = run(data, selection, transforms=(dedup,))

    assert prepared.summary["rows"] == 70
    assert prepared.summary["evaluation_documents"] == 5
    assert prepared.summary["dropped"] == {"duplicate": 5}
    assert prepared.summary["transforms"] == [
        {"use": "dedup", "changed": 0, "dropped": {"duplicate": 5}}
    ]
    (warning,) = context.events.of("warning")
    assert warning["text"] == ("5 of 70 rows were left out by [[transform]] 1 (dedup) as duplicate")


def test_data_without_duplicates_gives_the_same_documents(run, data, dedup):
    """Bit for bit; under a name of its own."""
    _, plain, _ = run(data, evaluate=Evaluate(split=0.3))
    context, deduplicated, _ = run(data, evaluate=Evaluate(split=0.3), transforms=(dedup,))

    for part in ("_training", "_evaluation"):
        before, after = getattr(plain, part), getattr(deduplicated, part)
        assert before.tokens.tolist() == after.tokens.tolist()
    assert deduplicated.digest != plain.digest
    assert context.events.of("warning") == []


def test_a_second_preparation_begins_with_nothing_seen(run, data, tmp_path, tools, dedup):
    """The same kernel prepares again, and nothing is a duplicate of the time before."""
    run(data, transforms=(dedup,))
    again = tools.write_rows(tmp_path / "again.jsonl", tools.chats(60))
    with again.open("a") as file:
        file.write(json.dumps({"messages": list(CHAT)}) + "\n")

    assert run(again, transforms=(dedup,))[1].summary["dropped"] == {}
