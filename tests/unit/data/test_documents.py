"""Examples to documents: what is checked, what is cut, and that everything left out is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llamahome_core import Batch, DataError, Encoded, Example, ModelError, Row
from llamahome_data.documents import Document, Encoder

ROW = Row(value={}, source="train.jsonl", number=3)


class Fixed:
    """An objective that gives what the test says."""

    identity = "fixed"

    def __init__(self, ids: list[int], trained: list[bool] | None = None) -> None:
        self.result = Encoded(ids=ids, trained=[True] * len(ids) if trained is None else trained)

    def encode(self, example: Any, codec: Any) -> Encoded:
        return self.result

    def loss(self, logits: Any, targets: Any) -> Any:
        raise NotImplementedError


def encode(
    encoder: Encoder, messages: tuple[dict[str, Any], ...] = (), text: str | None = None
) -> list[Document]:
    return list(encoder.documents(Example(messages=messages, text=text), ROW))


def chat(answer: str, question: str = "What?") -> tuple[dict[str, Any], ...]:
    return ({"role": "user", "content": question}, {"role": "assistant", "content": answer})


@pytest.fixture
def make(codec, tools):
    def make(objective: Any = None, **batch: Any) -> Encoder:
        return Encoder(objective or tools.TinyObjective(), codec, Batch(**batch))

    return make


def test_the_trained_tokens_are_the_answer_and_its_end_token(make, codec):
    """What is learned, decoded, is what the assistant said, and where it stopped."""
    (document,) = encode(make(), chat("It is Paris."))
    learned = document.ids[document.trained]
    assert codec.decode(learned) == "It is Paris."
    assert learned[-1] == codec.stop


def test_the_first_token_is_never_trained(make):
    """Nothing comes before it that could predict it."""
    (document,) = encode(make(Fixed([5, 6, 7])))
    assert document.trained.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("ids", "trained", "words"),
    [
        ([5, 100_000], None, "token id 100000 is outside the model's vocabulary of"),
        ([5, -1], None, "token id -1 is outside"),
        ([5, 6, 7], [True], "gave 3 tokens and 1 flags"),
        ([0, 0, 7], None, "begins with <s> twice"),
    ],
)
def test_tokens_that_cannot_be_right_are_refused_with_their_row(make, ids, trained, words):
    """A wrong id crashes deep in the model, and a doubled begin token quietly spoils it."""
    with pytest.raises(DataError, match=rf"^train\.jsonl:3: .*{words}"):
        encode(make(Fixed(ids, trained)))


def test_a_word_that_is_written_twice_is_no_doubled_begin_token(make, codec):
    """Only tokens that text cannot contain count."""
    (word,) = codec._ids("a")
    encoder = make(Fixed([word, word]))
    assert len(encode(encoder)) == len(encode(encoder)) == 1


def test_text_that_brings_its_own_begin_token_is_refused(make):
    """It happens with data that was prepared for another tool."""
    with pytest.raises(DataError, match="begins with <s> twice"):
        encode(make(), text="<s>Paris")


@pytest.mark.parametrize("kind", [DataError, ModelError])
def test_an_error_of_objective_or_template_gets_the_row(make, kind):
    """The objective does not know which row it has."""

    class Failing(Fixed):
        def encode(self, example: Any, codec: Any) -> Encoded:
            raise kind("no answer here", hint="write one")

    with pytest.raises(DataError) as caught:
        encode(make(Failing([])))
    assert caught.value.message == "train.jsonl:3: no answer here"
    assert caught.value.hint == "write one"


def test_rows_with_nothing_to_learn_are_dropped_and_counted(make):
    """They would divide by zero, or waste a step."""
    encoder = make(Fixed([5, 6], [True, False]))
    assert encode(encoder) == []
    assert encode(encoder) == []
    assert encoder.tally.rows == 2
    assert encoder.tally.dropped == {"nothing_to_learn": 2}
    assert encoder.tally.first_untaught == "train.jsonl:3"
    assert encode(make(Fixed([]))) == []


LONG = list(range(10, 30))


def test_a_document_of_exactly_the_limit_is_kept_whole(make):
    """The limit is the largest length, not the first forbidden one."""
    for overlong in ("drop", "truncate", "split", "error"):
        encoder = make(Fixed(LONG), max_length=20, overlong=overlong)
        (document,) = encode(encoder)
        assert document.ids.tolist() == LONG
        assert encoder.tally.dropped == {}
        assert encoder.tally.truncated == encoder.tally.split == 0


def test_drop_counts_what_it_drops(make):
    """Never in silence."""
    encoder = make(Fixed(LONG), max_length=19, overlong="drop")
    assert encode(encoder) == []
    assert encoder.tally.dropped == {"overlong": 1}


def test_error_names_row_length_and_limit(make):
    """For those who want to know before anything is lost."""
    with pytest.raises(DataError, match=r"train\.jsonl:3: 20 tokens, and batch\.max_length is 19"):
        encode(make(Fixed(LONG), max_length=19, overlong="error"))


def test_truncate_keeps_the_end_token_and_what_the_template_puts_after_it(make, codec):
    """A model that never sees an answer end does not learn to stop."""
    encoder = make(max_length=30, overlong="truncate")
    (document,) = encode(encoder, chat("It is Paris, a city on the river. " * 10))
    assert len(document.ids) == 30
    assert document.ids[-2] == codec.stop
    assert document.trained[-2]
    assert codec.decode(document.ids[document.trained]).startswith("It is Paris")
    assert encoder.tally.truncated == 1


def test_truncate_of_plain_text_without_an_end_token_cuts_the_end(make):
    """There is nothing to keep."""
    (document,) = encode(make(Fixed(LONG), max_length=8, overlong="truncate"))
    assert document.ids.tolist() == LONG[:8]


def test_a_row_whose_answer_is_cut_off_has_nothing_to_learn(make):
    """An end token right behind half a question would teach the model to say nothing."""
    encoder = make(max_length=20, overlong="truncate")
    assert encode(encoder, chat("It is Paris.", "What is the capital of France? " * 10)) == []
    assert encoder.tally.dropped == {"nothing_to_learn": 1}
    assert encoder.tally.truncated == 0


@pytest.mark.parametrize("limit", range(2, 20))
def test_split_gives_all_tokens_once_in_pieces_within_the_limit(make, limit):
    """The pieces are nearly equal: no crumb at the end."""
    encoder = make(Fixed(LONG), max_length=limit, overlong="split")
    pieces = encode(encoder)
    sizes = [len(piece.ids) for piece in pieces]
    assert np.concatenate([piece.ids for piece in pieces]).tolist() == LONG
    assert max(sizes) <= limit
    assert max(sizes) - min(sizes) <= 1
    assert not any(piece.trained[0] for piece in pieces)
    assert encoder.tally.split == 1
    assert encoder.tally.rows == 1


def test_pieces_without_anything_to_learn_are_dropped_and_counted(make):
    """Such as the pieces of a long question."""
    trained = [i >= 10 for i in range(20)]
    encoder = make(Fixed(LONG, trained), max_length=10, overlong="split")
    (piece,) = encode(encoder)
    assert piece.ids.tolist() == LONG[10:]
    assert encoder.tally.dropped == {"piece_without_learning": 1}
