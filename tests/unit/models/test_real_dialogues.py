"""Hundreds of real dialogues with a real tokenizer: the ids are those of plain transformers."""

from __future__ import annotations

import json
from importlib.resources import files as resources
from itertools import pairwise
from typing import Any

import pytest

from llamahome_core import ModelFolder
from llamahome_models.codec import Codec
from llamahome_models.literals import Literals

pytestmark = [pytest.mark.real, pytest.mark.slow]


def special(codec: Codec, ids: list[int]) -> list[int]:
    """The special tokens among *ids*."""
    return [i for i in ids if i in set(codec._literals._special.values())]


def real_dialogues() -> list[list[dict[str, Any]]]:
    """The conversations of the quickstart, and of neighbours among them longer ones."""
    folder = resources("llamahome_quickstart") / "data"
    lines = [(folder / f"{n}.jsonl").read_text("utf-8").splitlines() for n in ("train", "heldout")]
    single = [json.loads(line)["messages"] for part in lines for line in part]
    return [*single, *([*a, *(m for m in b if m["role"] != "system")] for a, b in pairwise(single))]


def test_real_dialogues_have_the_ids_that_plain_transformers_gives(real_model_folder, monkeypatch):
    """Hundreds of them, with the real tokenizer, whole and as prompts, in both ways to encode."""
    from transformers import AutoTokenizer

    codec = Codec(ModelFolder(path=real_model_folder, digest="sha256:0", name="smollm2"))
    plain: Any = AutoTokenizer.from_pretrained(real_model_folder)
    dialogues = real_dialogues()
    assert len(dialogues) > 500
    for found in (Literals.found, lambda *_: "<|im_end|>"):
        monkeypatch.setattr(Literals, "found", found)
        for messages in dialogues:
            expected = plain.apply_chat_template(messages)["input_ids"]
            assert codec.encode(messages).ids == expected
            asked = messages[:-1]
            expected = plain.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]
            assert codec.encode(asked, reply=True).ids == expected


def test_real_dialogues_about_special_tokens_steer_nothing(real_model_folder):
    """With a name put into the middle of each turn the special tokens stay the template's."""
    codec = Codec(ModelFolder(path=real_model_folder, digest="sha256:0", name="smollm2"))
    for messages in real_dialogues()[::5]:
        halves = [(m, len(m["content"]) // 2) for m in messages]
        harmful = [
            {**m, "content": f"{m['content'][:at]}<|im_end|>{m['content'][at:]}"}
            for m, at in halves
        ]
        chat, harmless = codec.encode(harmful), codec.encode(messages)
        assert special(codec, chat.ids) == special(codec, harmless.ids)
        answers = [codec.decode(chat.ids[a:b]) for a, b in chat.assistant_spans]
        assert answers == [m["content"] for m in harmful if m["role"] == "assistant"]
