"""The quickstart's data set keeps its promises: enough rows, one shape, clean text, no leak."""

from __future__ import annotations

import json
import re
import string
from importlib import resources
from typing import Any

import pytest

SPLITS = ("train", "heldout")
MINIMUM_TRAIN_ROWS = 190
NUM_HELDOUT_ROWS = 20
ANSWER_WORDS = range(5, 61)
QUESTION_WORDS = range(3, 25)
PLAIN_CHARACTERS = frozenset(string.ascii_letters + string.digits + string.punctuation + " ")


def read_lines(split: str) -> list[str]:
    """Lines of one file of the installed data set, without their line ends."""
    source = resources.files("llamahome_quickstart") / "data" / f"{split}.jsonl"
    return source.read_text(encoding="utf-8").splitlines()


def read_rows(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_lines(split)]


def read_pairs(split: str) -> list[tuple[str, str]]:
    """Question and answer of each row."""
    return [
        (row["messages"][0]["content"], row["messages"][1]["content"]) for row in read_rows(split)
    ]


def normalise(text: str) -> str:
    """The words of a text: case, punctuation and spacing do not make a question a new one."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def find_repeats(texts: list[str]) -> list[str]:
    seen: set[str] = set()
    repeats = []
    for text in texts:
        if normalise(text) in seen:
            repeats.append(text)
        seen.add(normalise(text))
    return repeats


@pytest.mark.parametrize("split", SPLITS)
def test_every_line_is_one_json_object(split: str) -> None:
    """No line is blank, and each is a complete JSON object."""
    for number, line in enumerate(read_lines(split), start=1):
        assert line.strip(), f"{split}.jsonl:{number} is blank"
        assert isinstance(json.loads(line), dict), f"{split}.jsonl:{number} is no object"


@pytest.mark.parametrize("split", SPLITS)
def test_every_row_is_one_question_and_one_answer(split: str) -> None:
    """A row has the key `messages` alone: one user message, then one assistant message."""
    for row in read_rows(split):
        assert set(row) == {"messages"}, row
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"], row
        for message in row["messages"]:
            assert set(message) == {"role", "content"}, row
            assert isinstance(message["content"], str), row


def test_the_promised_numbers_of_rows_are_there() -> None:
    """At least 190 rows to train on (150 are promised) and exactly 20 held-out ones."""
    assert len(read_rows("train")) >= MINIMUM_TRAIN_ROWS
    assert len(read_rows("heldout")) == NUM_HELDOUT_ROWS


def test_no_question_is_asked_twice() -> None:
    """No question repeats another of either file, even in other case or punctuation.

    A held-out question that stood in train.jsonl would make the held-out loss a lie.
    """
    questions = [question for split in SPLITS for question, _ in read_pairs(split)]
    assert find_repeats(questions) == []


def test_no_heldout_answer_stands_in_train() -> None:
    """A held-out answer states known facts in its own words, so memorising rows does not help."""
    known = {normalise(answer) for _, answer in read_pairs("train")}
    assert [answer for _, answer in read_pairs("heldout") if normalise(answer) in known] == []


@pytest.mark.parametrize("split", SPLITS)
def test_questions_and_answers_are_short(split: str) -> None:
    """Answers have 5 to 60 words and questions 3 to 24, so that a step on a CPU stays short."""
    for question, answer in read_pairs(split):
        assert len(question.split()) in QUESTION_WORDS, question
        assert len(answer.split()) in ANSWER_WORDS, answer


@pytest.mark.parametrize("split", SPLITS)
def test_the_text_is_plain(split: str) -> None:
    """Printable ASCII without curly quotes, tabs, line breaks or double or outer spaces."""
    for pair in read_pairs(split):
        for text in pair:
            assert set(text) <= PLAIN_CHARACTERS, set(text) - PLAIN_CHARACTERS
            assert text == " ".join(text.split()), text


@pytest.mark.parametrize("split", SPLITS)
def test_every_answer_ends_with_a_full_stop_or_code(split: str) -> None:
    """An answer ends with `.` or with a closing backtick, and its backticks come in pairs."""
    for _, answer in read_pairs(split):
        assert answer.endswith((".", "`")), answer
        assert answer.count("`") % 2 == 0, answer


@pytest.mark.parametrize("split", SPLITS)
def test_every_question_stands_on_its_own(split: str) -> None:
    """Each question names LlamaHome (or its variables) and ends as a sentence does."""
    for question, _ in read_pairs(split):
        assert "llamahome" in question.lower(), question
        assert question.endswith(("?", ".")), question


@pytest.mark.parametrize(
    "text", ["What is it?", "what is  it", "What is it.", "WHAT IS IT?"], ids=repr
)
def test_a_repeat_is_found_in_any_dress(text: str) -> None:
    """The check for repeats is not blind: case, spacing and punctuation do not hide one."""
    assert find_repeats(["What is it?", text]) == [text]
