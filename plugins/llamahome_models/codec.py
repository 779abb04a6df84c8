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
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
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
    files,
)
from llamahome_models.prompts import PromptCache
from llamahome_models.template import ChatTemplate, plain_messages

VERSION = 1
"""Raised when the same folder and conversation would give other tokens or spans."""

# What decides how text becomes tokens; weights and model settings do not.
_TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def make_codec(context: Context) -> Codec:
    """The codec of the run's model.

    Raises:
        ModelError: No model was fetched before.
    """
    folder = context.find(ModelFolder)
    if folder is None:
        raise ModelError("no model was fetched yet, so there is no tokenizer")
    try:
        cache = context.get(Cache)
    except UnknownNameError:  # a kernel without caches works as well, only slower
        return Codec(folder)
    return Codec(folder, cache)


class Codec:
    """A :class:`~llamahome_core.ChatCodec` over the tokenizer of a model folder.

    ``tokenizer.json`` is read as it is. transformers' ``AutoTokenizer`` (5.x) rebuilds the
    tokenizer of some classes, ``GPT2Tokenizer`` for one, and loses parts of it on the way.
    """

    def __init__(self, folder: ModelFolder, cache: Cache | None = None) -> None:
        self._name = folder.name
        self._prompts = None if cache is None else PromptCache(cache)
        self._tokenizer = _load(folder)
        self._backend = self._tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._prefix = self._text_prefix()
        # A byte-level post-processor cuts white space from offsets; the spans need it all.
        self._backend.post_processor = _no_trimming()
        self._divisible = self._is_divisible()
        self._digest = _digest(folder.path)
        self._added = frozenset(self._tokenizer.added_tokens_decoder)
        self._templates: dict[bool, ChatTemplate] = {}
        self._end_ids = self._find_end_ids(folder.path)

    @property
    def digest(self) -> str:
        """Hash over the tokenizer's files and the chat template."""
        return self._digest

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return int(max(self._tokenizer.get_vocab().values())) + 1

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end an answer: of the tokenizer, the generation config and the template."""
        return self._end_ids

    @property
    def has_template(self) -> bool:
        """Whether the model has a chat template; without one it only continues text."""
        return self._tokenizer.chat_template is not None

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
        template = self._template(tools=bool(tools))
        text, ranges = template.render(plain_messages(messages), tools, reply=True)
        return self._tokenise(text, [start for start, _ in ranges])[0]

    def _encode(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]
    ) -> EncodedChat:
        template = self._template(tools=bool(tools))
        text, ranges = template.render(plain_messages(messages), tools, reply=False)
        ids, offsets = self._tokenise(text, [start for start, _ in ranges])
        spans = [self._span(text, ids, offsets, at) for at in ranges]
        return EncodedChat(ids=ids, assistant_spans=spans)

    def encode_text(self, text: str) -> list[int]:
        """Plain text as one document.

        The begin token comes first if the tokenizer adds one, and only once if *text* begins with
        it already. The end token always comes last, if the tokenizer has one.
        """
        ids, _ = self._tokenise(text)
        if self._prefix and ids[: len(self._prefix)] != self._prefix:
            ids = self._prefix + ids
        end = self._tokenizer.eos_token_id
        return ids if end is None or ids[-1:] == [end] else [*ids, end]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of *ids*, without special tokens."""
        return str(self._backend.decode(list(ids), skip_special_tokens=True))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token, special tokens included; joined they are the text.

        A character of several tokens stands at its last one; the others are empty.
        """
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=False)
        return [stream.step(self._backend, token) or "" for token in ids]

    def _tokenise(
        self, text: str, cuts: Sequence[int] = ()
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids, and the characters of *text* that each stands for; no token spans a cut."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        edges = [0, *(cuts if self._divisible else ()), len(text)]
        for start, end in pairwise(edges):
            encoding = self._backend.encode(text[start:end], add_special_tokens=False)
            ids += encoding.ids
            offsets += [(start + a, start + b) for a, b in encoding.offsets]
        return ids, offsets

    def _is_divisible(self) -> bool:
        """Whether the tokens of two texts, one after the other, are tokens of the whole."""
        ids = [i for t in "ab" for i in self._backend.encode(t, add_special_tokens=False).ids]
        return bool(self._backend.decode(ids) == "ab")

    def _template(self, *, tools: bool) -> ChatTemplate:
        if tools not in self._templates:
            if not self.has_template:
                raise ModelError(
                    f"{self._name} has no chat template: it can continue text, not converse",
                    hint="use an instruct model, or rows with `text`, or put a "
                    "chat_template.jinja into the model's folder",
                )
            source = self._tokenizer.get_chat_template(tools=[] if tools else None)
            variables = {k: str(v) for k, v in self._tokenizer.special_tokens_map.items()}
            self._templates[tools] = ChatTemplate(source, variables, self._name)
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

    def _text_prefix(self) -> list[int]:
        """What the tokenizer puts before a text, such as its begin token."""
        bare = self._backend.encode("a", add_special_tokens=False).ids
        full = self._backend.encode("a", add_special_tokens=True).ids
        for at in range(len(full) - len(bare) + 1):
            if full[at : at + len(bare)] == bare:
                return list(full[:at])
        return []

    def _find_end_ids(self, folder: Path) -> frozenset[int]:
        ends = set(_generation_ends(folder))
        if self._tokenizer.eos_token_id is not None:
            ends.add(self._tokenizer.eos_token_id)
        # Models exist whose template ends a turn with a token that no file calls an end.
        with contextlib.suppress(DataError, ModelError):
            turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
            chat = self.encode(turns)
            ends |= {chat.ids[end - 1] for _, end in chat.assistant_spans}
        return frozenset(ends)


def _blank(text: str, offset: tuple[int, int]) -> bool:
    return not text[offset[0] : offset[1]].strip()


def _no_trimming() -> Any:
    from tokenizers.processors import ByteLevel

    return ByteLevel(trim_offsets=False)


def _load(folder: ModelFolder) -> Any:
    from transformers import PreTrainedTokenizerFast

    if not (folder.path / "tokenizer.json").is_file():
        raise ModelError(
            f"{folder.name} has no tokenizer.json in {folder.path}",
            hint="write one with transformers: "
            f"AutoTokenizer.from_pretrained({str(folder.path)!r}).save_pretrained(…)",
        )
    try:
        return PreTrainedTokenizerFast.from_pretrained(str(folder.path), local_files_only=True)
    except Exception as error:
        # tokenizers raises bare Exception for a file that it cannot parse
        raise ModelError(f"the tokenizer of {folder.name} cannot be read: {error}") from error


def _digest(folder: Path) -> str:
    hashes = {n: files.hash_file(folder / n) for n in _TOKENIZER_FILES if (folder / n).is_file()}
    text = json.dumps({"codec": VERSION, "files": hashes}, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _generation_ends(folder: Path) -> list[int]:
    try:
        ends = json.loads((folder / "generation_config.json").read_bytes()).get("eos_token_id")
    except FileNotFoundError:
        return []
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'generation_config.json'} cannot be read: {error}") from error
    return [ends] if isinstance(ends, int) else list(ends or ())
