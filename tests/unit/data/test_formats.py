"""Rows to examples: which form a row has, and which rules it may not break."""

from __future__ import annotations

from typing import Any

import pytest

from llamahome_core import DataError, Example, Row
from llamahome_data.formats import detect, read_example


def row(**value: Any) -> Row:
    return Row(value=value, source="train.jsonl", number=17)


def turn(role: Any, content: Any = "text", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def conversation(*turns: Any, **more: Any) -> Example:
    return read_example(row(messages=list(turns), **more), "messages")


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [], "text": "a"}, "messages"),
        ({"messages": None, "text": "a"}, "text"),
        ({"prompt": "a", "completion": "b"}, "prompt-completion"),
        ({"prompt": "a", "text": "b"}, "text"),
    ],
)
def test_the_form_is_the_first_that_a_row_has_all_fields_of(value, form):
    """A field that is null is not there."""
    assert detect(row(**value)) == form


def test_a_row_of_no_form_lists_its_fields():
    """The row is named, and what it should have."""
    with pytest.raises(DataError, match=r"train\.jsonl:17: no known form.*'prompt'"):
        detect(row(prompt="a"))
    with pytest.raises(DataError, match="its fields are none"):
        detect(row())
    with pytest.raises(DataError, match=r"its fields are 'completion' \(null\), 'prompt'\n"):
        detect(row(prompt="a", completion=None))


def test_a_prompt_with_its_completion_is_a_conversation_of_two_turns():
    """From here on there is one way to handle both."""
    example = read_example(row(prompt="a", completion="b"), "prompt-completion")
    assert example == conversation(turn("user", "a"), turn("assistant", "b"))


def test_plain_text_stays_plain():
    """Spaces and all: data is not edited."""
    assert read_example(row(text=" a\n"), "text") == Example(text=" a\n")


def test_a_conversation_keeps_its_turns_its_tools_and_their_other_fields():
    """Templates use fields that this code does not know."""
    tool = {"type": "function", "function": {"name": "f"}}
    example = conversation(
        turn("system"),
        turn("user"),
        turn("assistant", None, tool_calls=[{"id": "1"}]),
        turn("tool", tool_call_id="1"),
        turn("tool", tool_call_id="2"),
        turn("assistant", "I look", reasoning_content="so", tool_calls=[{"id": "3"}]),
        turn("user"),
        tools=[tool],
    )
    roles = [message["role"] for message in example.messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    assert example.messages[2] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "1"}],
    }
    assert example.messages[3]["tool_call_id"] == "1"
    assert example.messages[5]["reasoning_content"] == "so"
    assert example.messages[5]["content"] == "I look"
    assert example.tools == (tool,)


def test_parts_of_text_are_joined():
    """OpenAI's form allows a list of parts where text is meant."""
    parts = [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]
    assert conversation(turn("user", parts), turn("assistant")).messages[0]["content"] == "a b"


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ("text", "`messages` must be a list of turns, got 'text'"),
        ([], "`messages` must be a list of turns, got an empty list"),
        (["text"], r"`messages\[0\]` must be an object with role and content, got 'text'"),
        ([turn("human")], r"`messages\[0\]\.role` must be system.* got 'human'"),
        ([turn(None)], r"`messages\[0\]\.role` must be .* got null"),
        ([{}], r"`messages\[0\]` has no `role`; its fields are none"),
        ([{"rol": "user", "content": "a"}], "has no `role`; its fields are 'rol', 'content'"),
        ([turn(["user"])], r"`messages\[0\]\.role` must be"),
        ([turn("assistant")], r"`messages\[0\]`: a turn of assistant cannot stand at the start"),
        ([turn("tool")], "a turn of tool cannot stand at the start"),
        ([turn("user"), turn("user")], "a turn of user cannot stand after one of user"),
        ([turn("user"), turn("system")], r"`messages\[1\]`: a turn of system cannot stand after"),
        ([turn("user"), turn("assistant"), turn("assistant")], r"`messages\[2\]`.*assistant"),
        ([turn("user"), turn("tool")], "a turn of tool cannot stand after one of user"),
        ([turn("user", "")], r"`messages\[0\]\.content` is empty"),
        ([turn("user", " \n")], r"`messages\[0\]\.content` is empty"),
        ([turn("user", [])], r"`messages\[0\]\.content` is empty"),
        ([turn("user", None)], r"`messages\[0\]\.content` is null"),
        ([{"role": "user"}], r"`messages\[0\]` has no `content`; its fields are 'role'"),
        ([turn("user"), {"role": "assistant", "text": "a"}], r"`messages\[1\]` has no `content`"),
        ([turn("user"), turn("assistant", None)], r"`messages\[1\]\.content` is null"),
        ([turn("user", 7)], "must be text, got 7"),
        ([turn("user", {})], "must be text, got an object"),
        ([turn("user", "\ud83d")], r"half a character \(\\ud83d\)"),
        ([turn("user", ["a"])], r"`messages\[0\]\.content\[0\]` must be a part of text, got 'a'"),
        ([turn("user", [{"type": "image_url"}])], "part of text, got 'image_url'"),
        ([turn("user"), turn("assistant", "")], r"`messages\[1\]\.content` is empty"),
        ([turn("user"), turn("assistant", "", tool_calls=7)], "tool_calls` must be a list, got 7"),
        ([turn("user"), turn("assistant", [1, 2])], r"content\[0\]` must be a part"),
        ([turn("user"), turn("assistant", weight=0)], r"`messages\[1\]\.weight` is not supported"),
        ([turn("system"), turn("user")], "`messages` has no assistant turn"),
    ],
)
def test_a_conversation_that_breaks_a_rule_names_row_and_field(turns, words):
    """Each of these has silently spoilt training somewhere."""
    with pytest.raises(DataError, match=rf"^train\.jsonl:17: .*{words}"):
        read_example(row(messages=turns), "messages")


@pytest.mark.parametrize("tools", ["f", [1], {"a": 1}])
def test_tools_must_be_objects(tools):
    """A template would print anything into the prompt."""
    with pytest.raises(DataError, match="`tools` must be a list of objects"):
        conversation(turn("user"), turn("assistant"), tools=tools)


@pytest.mark.parametrize(
    ("role", "hint"),
    [
        ("human", "did you mean 'user'?"),
        ("GPT", "did you mean 'assistant'?"),
        ("usr", "did you mean 'user'?"),
        ("User", "did you mean 'user'?"),
        ("assisttant", "did you mean 'assistant'?"),
        ("xyz", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_wrong_role_gets_the_right_one_for_a_hint(role, hint):
    """Those of other conventions, and misspelt ones; where none is near there is no guess."""
    with pytest.raises(DataError) as caught:
        conversation(turn(role))
    assert caught.value.hint == hint


def test_a_weight_of_one_changes_nothing_and_is_allowed():
    """It is what every turn has."""
    assert conversation(turn("user"), turn("assistant", weight=1)).messages[1]["weight"] == 1


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        ({"text": "a"}, "messages", "no `messages`, which the rows before it have"),
        ({"prompt": "a"}, "prompt-completion", "no `completion`, which the rows before it have"),
        ({"prompt": "a", "completion": None}, "prompt-completion", "`completion` is null\n"),
        ({"text": None}, "text", "`text` is null\n"),
        ({"messages": None}, "messages", "`messages` must be a list of turns, got null"),
        ({"prompt": "", "completion": "b"}, "prompt-completion", "`prompt` is empty"),
        ({"prompt": "a", "completion": 3}, "prompt-completion", "`completion` must be text, got 3"),
        ({"text": ["a"]}, "text", r"`text\[0\]` must be a part of text"),
    ],
)
def test_every_row_has_the_form_of_the_first(value, form, words):
    """A file that changes its form half way is a mistake, and not a mixture."""
    with pytest.raises(DataError, match=words):
        read_example(row(**value), form)


@pytest.mark.parametrize("field", ["messages", "conversations"])
def test_turns_of_sharegpt_are_named_as_such(field):
    """In the right field or another: what is read instead is in the hint."""
    wrong = row(**{field: [{"from": "human", "value": "a"}]})
    with pytest.raises(DataError) as caught:
        read_example(wrong, detect(wrong))
    assert "ShareGPT" in str(caught.value.hint)
    assert "`messages` with `role`" in str(caught.value.hint)
