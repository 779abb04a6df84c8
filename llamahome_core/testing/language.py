"""Contracts of what speaks: the services ``ChatCodec`` and ``Generator``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamahome_core import ChatCodec, DataError, Generator, Message

_TEXTS = ("What is a run?", "A folder: its events are the truth.", "Ü 你好\n\n  b", "")


class ChatCodecContract:
    """What every codec keeps to: give the fixture ``codec``, of a model with a chat template."""

    @pytest.fixture
    def codec(self) -> ChatCodec:
        """The codec; the author's part."""
        raise NotImplementedError("give a fixture `codec`")

    @pytest.fixture
    def messages(self) -> list[Message]:
        """A conversation with two answers."""
        turns = (
            ("user", "What is 2?"),
            ("assistant", "Two."),
            ("user", "So?"),
            ("assistant", "Yes!"),
        )
        return [{"role": role, "content": content} for role, content in turns]

    def test_it_says_what_it_is(self, codec: ChatCodec) -> None:
        """An identity that stays, and ids within the vocabulary."""
        assert isinstance(codec.digest, str)
        assert codec.digest == codec.digest != ""
        assert codec.end_ids
        assert all(0 <= i < codec.vocab_size for i in codec.end_ids)

    def test_each_answer_has_its_span(self, codec: ChatCodec, messages: list[Message]) -> None:
        """In order, not overlapping, with the end token; the text in it is the answer."""
        chat = codec.encode(messages)
        ends = [0, *(end for _, end in chat.assistant_spans)]
        answers = [codec.decode(chat.ids[a:b]).strip() for a, b in chat.assistant_spans]

        assert answers == ["Two.", "Yes!"]
        assert all(end <= a < b for end, (a, b) in zip(ends, chat.assistant_spans, strict=False))
        assert all(chat.ids[end - 1] in codec.end_ids for end in ends[1:])
        assert all(0 <= i < codec.vocab_size for i in chat.ids)

    def test_the_same_conversation_gives_the_same_tokens(
        self, codec: ChatCodec, messages: list[Message]
    ) -> None:
        """And is not changed itself."""
        before = [dict(message) for message in messages]

        assert codec.encode(messages) == codec.encode(messages)
        assert messages == before

    def test_a_reply_goes_on_where_training_began(
        self, codec: ChatCodec, messages: list[Message]
    ) -> None:
        """What a model is asked with is what it was trained after, token for token."""
        chat = codec.encode(messages)
        for number, (start, _) in enumerate(chat.assistant_spans):
            asked = codec.encode(messages[: 2 * number + 1], reply=True)
            assert asked.ids == chat.ids[:start]
        assert codec.encode_prompt("What is 2?") == codec.encode(messages[:1], reply=True).ids

    def test_the_name_of_a_special_token_is_text(self, codec: ChatCodec) -> None:
        """What a user writes cannot end a turn."""
        names = codec.pieces(sorted(codec.end_ids))
        plain, named = (
            codec.encode([{"role": "user", "content": text}]).ids
            for text in ("names: ", f"names: {' '.join(names)}")
        )

        assert sum(i in codec.end_ids for i in named) == sum(i in codec.end_ids for i in plain)
        for name in names:
            assert sum(i in codec.end_ids for i in codec.encode_text(name)) <= 1

    @pytest.mark.parametrize("text", _TEXTS)
    def test_text_comes_back(self, codec: ChatCodec, text: str) -> None:
        """Without its special tokens; each token has a piece."""
        ids = codec.encode_text(text)

        assert codec.decode(ids) == text
        assert len(codec.pieces(ids)) == len(ids)


class GeneratorContract:
    """What every generator keeps to: give the fixture ``generator``. Needs transformers."""

    @pytest.fixture
    def generator(self) -> Generator:
        """The generator; the author's part."""
        raise NotImplementedError("give a fixture `generator`")

    @pytest.fixture
    def module(self, tiny_model: Path) -> Any:
        """A tiny Llama with a context of 256 tokens."""
        transformers = pytest.importorskip("transformers")
        return transformers.AutoModelForCausalLM.from_pretrained(tiny_model)

    def test_each_token_is_told_as_it_comes(self, generator: Generator, module: Any) -> None:
        """The new ones and no others, at most as many as were asked for."""
        seen: list[int] = []
        new = generator.generate(module, _PROMPT, max_tokens=9, on_token=seen.append)

        assert seen == new
        assert 0 < len(new) <= 9
        assert generator.generate(module, _PROMPT, max_tokens=0) == []

    def test_without_temperature_it_is_the_likeliest_token(
        self, generator: Generator, module: Any
    ) -> None:
        """Of the whole text so far: a cache changes nothing."""
        torch = pytest.importorskip("torch")
        new = generator.generate(module, _PROMPT, max_tokens=8)
        with torch.no_grad():
            logits = module.eval()(input_ids=torch.tensor([[*_PROMPT, *new]])).logits[0]

        assert new == logits[len(_PROMPT) - 1 : -1].argmax(-1).tolist()

    def test_the_seed_alone_decides(self, generator: Generator, module: Any) -> None:
        """The same seed, the same answer; nobody else's random state is touched."""
        torch = pytest.importorskip("torch")
        before = torch.random.get_rng_state()
        answers = [
            generator.generate(module, _PROMPT, max_tokens=16, temperature=1.5, seed=seed)
            for seed in (1, 1, 2)
        ]

        assert answers[0] == answers[1] != answers[2]
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_each_part_of_the_module_keeps_its_mode(
        self, generator: Generator, module: Any
    ) -> None:
        """A part that was in eval mode still is; even when the caller's function fails."""
        module.train()
        module.model.layers[0].eval()

        def fail(token: int) -> None:
            raise RuntimeError(f"no {token}")

        with pytest.raises(RuntimeError, match="no"):
            generator.generate(module, _PROMPT, on_token=fail)
        assert module.training
        assert module.model.layers[1].training
        assert not module.model.layers[0].training

    def test_what_leaves_no_room_is_refused(self, generator: Generator, module: Any) -> None:
        """An empty prompt, and one that fills the context; one token less is answered."""
        for prompt in ([], [5] * 256, [5] * 300):
            with pytest.raises(DataError):
                generator.generate(module, prompt)

        assert len(generator.generate(module, [5] * 255, max_tokens=9)) <= 1


_PROMPT = [5, 17, 42, 99]
