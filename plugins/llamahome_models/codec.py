"""The one place where a conversation becomes tokens, in training and in serving alike.

A conversation is rendered by the model's chat template, and the text is tokenised from one opening
of an answer to the next. So the tokens before an answer are always those that the model is given
when it has to answer, whatever the answer begins with. Tokenised in one go they need not be:
GPT-2's rule splits two newlines at the end of a prompt in another way than before a word, and an
answer that begins with white space merges with the template's own.

A tokenizer that puts a space before each text, as SentencePiece does, cannot be cut in this way.
There the text is tokenised as a whole, and a token that straddles the opening belongs to the
prompt: a model that is given the prompt alone could never produce it.

An answer, found by character offsets, ends with its end-of-turn token and includes nothing after
it, such as a newline.

Special tokens come from the template alone: their names in messages, tools and plain text are text.

A template that asks for the time is told a day, the same for all that a codec encodes: that on
which the run began. A run that is resumed later goes on with the prompts that it began with.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from llamahome_core import (
    Cache,
    Context,
    DataError,
    EncodedChat,
    Message,
    ModelError,
    ModelFolder,
    UnknownNameError,
    read_events,
)
from llamahome_models.prompts import PromptCache
from llamahome_models.template import ChatTemplate, plain_messages
from llamahome_models.tokenizer import TextTokenizer, digest, generation_ends


def make_codec(context: Context) -> Codec:
    """The codec of the run's model.

    Raises:
        ModelError: No model was fetched before.
    """
    folder = context.find(ModelFolder)
    if folder is None:
        raise ModelError("no model was fetched yet, so there is no tokenizer")
    cache: Cache | None = None
    with contextlib.suppress(UnknownNameError):  # without caches it works as well, only slower
        cache = context.get(Cache)
    return Codec(folder, cache, context.warn, _day(context))


def _day(context: Context) -> date:
    """The day on which the run began, by its first event; outside a run, today. In UTC."""
    if context.directory is not None:
        with contextlib.suppress(FileNotFoundError):
            for _, event in read_events(context.directory / "events.jsonl"):
                return datetime.fromisoformat(event["time"]).date()
    return datetime.now(UTC).date()


class Codec:
    """A :class:`~llamahome_core.ChatCodec` over the tokenizer of a model folder."""

    def __init__(
        self,
        folder: ModelFolder,
        cache: Cache | None = None,
        warn: Callable[[str], None] | None = None,
        day: date | None = None,
    ) -> None:
        self._name = folder.name
        self._prompts = None if cache is None else PromptCache(cache)
        self._warn = warn
        self._text = TextTokenizer(folder)
        self._settings, self._literals = self._text.settings, self._text.literals
        self._day = day or datetime.now(UTC).date()
        self._digest = digest(folder.path, self._settings.chat_template, self._day)
        self._added = frozenset(self._settings.added_tokens_decoder)
        self._templates: dict[bool, ChatTemplate] = {}
        self._end_ids = self._find_end_ids(folder.path)

    @property
    def digest(self) -> str:
        """Hash over the tokenizer, the chat template, and the day if the template asks for it."""
        return self._digest

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return int(max(self._settings.get_vocab().values())) + 1

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end an answer: of the tokenizer, the generation config and the template."""
        return self._end_ids

    def encode(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        reply: bool = False,
    ) -> EncodedChat:
        """A conversation as tokens.

        Args:
            messages: Turns in OpenAI's form.
            tools: JSON-schema tool descriptions.
            reply: End with the opening of an assistant turn, for the model to go on. Earlier
                answers are then a part of the prompt, and there are no spans.

        Raises:
            DataError: The template refuses the conversation, or rewrites earlier turns, or does
                not end an answer with a token that a model could learn to stop at.
            ModelError: The model has no chat template.
        """
        if not reply:
            return self._encode(messages, tools)
        if self._prompts is None:
            return EncodedChat(ids=self._prompt(messages, tools), assistant_spans=[])
        key = self._prompts.key(self._digest, messages, tools)
        ids = self._prompts.ids(key, lambda: self._prompt(messages, tools))
        return EncodedChat(ids=ids, assistant_spans=[])

    def _prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        _, ids, _, _ = self._render(messages, tools, reply=True)
        return ids

    def _encode(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]
    ) -> EncodedChat:
        text, ids, offsets, ranges = self._render(messages, tools, reply=False)
        spans = [self._span(text, ids, offsets, at) for at in ranges]
        return EncodedChat(ids=ids, assistant_spans=spans)

    def _render(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, reply: bool
    ) -> tuple[str, list[int], list[tuple[int, int]], list[tuple[int, int]]]:
        """A conversation's text and tokens, their characters, and those of the answers."""
        template, turns = self._template(tools=bool(tools)), plain_messages(messages)
        letters: dict[str, str] = {}
        if literal := self._has_name(turns) or self._has_name(tools):
            letters = self._literals.letters([turns, tools])
            turns, tools = (self._literals.hide(value, letters) for value in (turns, tools))
        text, ranges = template.render(turns, tools, reply=reply)
        if literal:
            text = self._literals.reveal(text, letters)
        cuts = [start for start, _ in ranges]
        return text, *self._text.encode(text, cuts, literal=literal), ranges

    def encode_prompt(self, prompt: str, *, system: str | None = None) -> list[int]:
        """What the model is given to answer *prompt*; without a chat template, text to go on with.

        Raises:
            DataError: The template refuses such a conversation.
            ModelError: There is a *system* text and no template to put it into.
        """
        if self._settings.chat_template is None and not system:
            return self._document(prompt)
        messages: list[Message] = [{"role": "system", "content": system}] if system else []
        return self.encode([*messages, {"role": "user", "content": prompt}], reply=True).ids

    def encode_text(self, text: str) -> list[int]:
        """Plain text as one document.

        The begin token comes first if the tokenizer adds one. The end token always comes last, if
        the tokenizer has one.
        """
        end = self._settings.eos_token_id
        return self._document(text) + ([] if end is None else [end])

    def _document(self, text: str) -> list[int]:
        """The begin of a document."""
        return self._text.prefix + self._text.encode(text, literal=self._has_name(text))[0]

    def _has_name(self, value: Any) -> bool:
        """Whether *value* has the name of a special token in it; the first time, tell the user."""
        name = self._literals.found(value)
        if name and self._warn:
            self._warn(
                f"there is text with {name} in it, which is read as text and not as the special "
                "token; only a chat template writes those, for conversations given as messages"
            )
            self._warn = None  # once is enough
        return name is not None

    def decode(self, ids: Sequence[int]) -> str:
        """Text of *ids*, without special tokens."""
        return str(self._text.backend.decode(list(ids), skip_special_tokens=True))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token, special tokens included; joined they are the text.

        A character of several tokens stands at its last one; the others are empty.
        """
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=False)
        return [stream.step(self._text.backend, token) or "" for token in ids]

    def _template(self, *, tools: bool) -> ChatTemplate:
        if tools not in self._templates:
            if self._settings.chat_template is None:
                raise ModelError(
                    f"{self._name} has no chat template: it can continue text, not converse",
                    hint="use an instruct model, or rows with `text`, or put a "
                    "chat_template.jinja into the model's folder",
                )
            source = self._settings.get_chat_template(tools=[] if tools else None)
            variables = {k: str(v) for k, v in self._settings.special_tokens_map.items()}
            self._templates[tools] = ChatTemplate(source, variables, self._name, self._day)
        return self._templates[tools]

    def _span(
        self, text: str, ids: list[int], offsets: list[tuple[int, int]], at: tuple[int, int]
    ) -> tuple[int, int]:
        """The tokens of the answer that lies between the characters *at*."""
        first, behind = (bisect_left(offsets, edge, key=itemgetter(0)) for edge in at)
        last = behind
        while last > first and ids[last - 1] not in self._added and _blank(text, offsets[last - 1]):
            last -= 1
        if last > first and ids[last - 1] in self._added:
            return first, last
        # A {% generation %} mark may stop short of the end-of-turn token.
        if behind < len(ids) and ids[behind] in self._added:
            return first, behind + 1
        raise DataError(
            f"the chat template of {self._name} writes no end-of-turn token after an answer, so a "
            "model trained with it would never learn to stop",
            hint="write {{ eos_token }} after the assistant's content in chat_template.jinja",
        )

    def _find_end_ids(self, folder: Path) -> frozenset[int]:
        ends = set(generation_ends(folder))
        if self._settings.eos_token_id is not None:
            ends.add(self._settings.eos_token_id)
        # Models exist whose template ends a turn with a token that no file calls an end.
        with contextlib.suppress(DataError, ModelError):
            turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
            chat = self.encode(turns)
            ends |= {chat.ids[end - 1] for _, end in chat.assistant_spans}
        return frozenset(ends)


def _blank(text: str, offset: tuple[int, int]) -> bool:
    return not text[offset[0] : offset[1]].strip()
