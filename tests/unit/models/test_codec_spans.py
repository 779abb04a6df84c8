"""The tokens before an answer, and the answer's span, for each family of templates."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamahome_core import ModelFolder
from llamahome_models.codec import Codec

END_TOKENS = {
    "chatml": "<|im_end|>",
    "tools": "<|im_end|>",
    "llama3": "<|eot_id|>",
    "mistral": "</s>",
    "gemma": "<end_of_turn>",
    "marked": "<|im_end|>",
    "short-mark": "<|im_end|>",
}
DIALOGUE = [
    {"role": "user", "content": "What is 2 plus 2?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "And in words, é 你好?"},
    {"role": "assistant", "content": "Four 你好!\nThat is all."},
]
SYSTEM = {"role": "system", "content": "Be brief."}


def template(name: str) -> str:
    """A chat template of the folder beside this file."""
    return (Path(__file__).parent / "templates" / f"{name}.jinja").read_text(encoding="utf-8")


@pytest.fixture
def codecs(make_codec: Any) -> Callable[[str], Codec]:
    """A codec for each family, made once in a test."""
    return cache(lambda family: make_codec(template(family)))


def answers(codec: Codec, messages: list[dict[str, Any]], **more: Any) -> list[str]:
    """The text of each assistant span."""
    chat = codec.encode(messages, **more)
    return ["".join(codec.pieces(chat.ids[a:b])) for a, b in chat.assistant_spans]


@pytest.mark.parametrize("family", END_TOKENS)
def test_each_answer_is_marked_with_its_end_token_and_nothing_else(family, make_codec):
    """The decoded spans are the answers and their end-of-turn token, for each family."""
    end = END_TOKENS[family]
    codec = make_codec(template(family))
    space = " " if family == "mistral" else ""
    expected = [space + m["content"] + end for m in DIALOGUE if m["role"] == "assistant"]
    assert answers(codec, DIALOGUE) == expected


@pytest.mark.parametrize("family", END_TOKENS)
def test_a_prompt_is_the_same_in_training_and_in_serving(family, make_codec):
    """The ids before each answer are those of encoding the turns before it for a reply."""
    codec = make_codec(template(family))
    dialogues = [DIALOGUE] if family in {"gemma", "mistral"} else [DIALOGUE, [SYSTEM, *DIALOGUE]]
    for messages in dialogues:
        chat = codec.encode(messages)
        turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
        assert len(turns) == len(chat.assistant_spans)
        for turn, (start, _) in zip(turns, chat.assistant_spans, strict=True):
            assert codec.encode(messages[:turn], reply=True).ids == chat.ids[:start]


@pytest.mark.parametrize("family", END_TOKENS)
def test_the_ids_are_those_of_plain_transformers(family, make_codec, tmp_path):
    """Encoding equals AutoTokenizer's apply_chat_template, so other programs serve alike."""
    from transformers import AutoTokenizer

    codec = make_codec(template(family))
    plain: Any = AutoTokenizer.from_pretrained(tmp_path / "model")
    cases = [(True, DIALOGUE[:1]), (False, DIALOGUE), (True, DIALOGUE[:3])]
    # GPT-2's rule splits the two newlines before an answer otherwise in one go (see codec.py)
    for reply, messages in cases[: 1 if family == "llama3" else 3]:
        expected = plain.apply_chat_template(messages, add_generation_prompt=reply)["input_ids"]
        assert codec.encode(messages, reply=reply).ids == expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.text(max_size=20), question=st.text(max_size=8))
@pytest.mark.parametrize("family", ["chatml", "llama3", "short-mark"])
def test_whatever_is_said_the_prompt_stays_the_same(family, answer, question, codecs):
    """No text of question or answer makes the tokens before an answer depend on it."""
    codec = codecs(family)
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
        *DIALOGUE[:2],
    ]
    chat = codec.encode(messages)
    starts = [start for start, _ in chat.assistant_spans]
    assert codec.encode(messages[:1], reply=True).ids == chat.ids[: starts[0]]
    assert codec.encode(messages[:3], reply=True).ids == chat.ids[: starts[-1]]


def test_white_space_does_not_merge_across_the_opening_of_an_answer(make_codec, tokenizer):
    """Tokenised in one go, the two newlines would be one token that no answer can begin with."""
    codec = make_codec(template("chatml"))
    assert len(tokenizer.encode("\n\n").ids) == 1
    messages = [DIALOGUE[0], {"role": "assistant", "content": "\n4."}]
    assert answers(codec, messages) == ["\n4.<|im_end|>"]


def test_a_token_across_the_opening_belongs_to_the_prompt(tmp_path):
    """Where the text cannot be cut, what straddles the opening is not trained."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [*"\u2581:?abhkostwy", ":\u2581", ":\u2581o"]
    vocabulary = {token: at for at, token in enumerate(letters)}
    merges = [(":", "\u2581"), (":\u2581", "o")]
    sentence = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    sentence.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    sentence.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=sentence, eos_token="</s>")  # noqa: S106  # a token of text, no secret
    fast.chat_template = (
        "{% for m in messages %}{{ 'ask:' if m.role == 'user' else 'say:' }}{{ m.content }}"
        "{{ eos_token if m.role == 'assistant' else ' ' }}{% endfor %}"
        "{{ 'say:' if add_generation_prompt }}"
    )
    fast.save_pretrained(tmp_path / "model")
    codec = Codec(ModelFolder(path=tmp_path / "model", digest="sha256:0", name="sp"))
    messages = [{"role": "user", "content": "what?"}, {"role": "assistant", "content": " ok"}]
    chat = codec.encode(messages)
    ((start, end),) = chat.assistant_spans
    assert fast.convert_ids_to_tokens(chat.ids[start - 1 : end]) == [":\u2581o", "k", "</s>"]
