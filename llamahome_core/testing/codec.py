"""A chat codec that needs no tokenizer: each byte of UTF-8 is a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamahome_core import EncodedChat, Message

_BEGIN, _END, _TURN = 256, 257, 258
_NAMES = {_BEGIN: "<begin>", _END: "<end>", _TURN: "<turn>"}


class ByteCodec:
    """A :class:`~llamahome_core.ChatCodec` for tests of objectives and data; it knows no tools."""

    digest = "bytes/1"
    vocab_size = 259
    end_ids = frozenset({_END})

    def encode(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        reply: bool = False,
    ) -> EncodedChat:
        """Each turn is ``<turn>role``, a new line, the content and ``<end>``."""
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        for message in messages:
            ids += self._opening(message["role"])
            start = len(ids)
            ids += [*message["content"].encode(), _END]
            if message["role"] == "assistant":
                spans.append((start, len(ids)))
        if reply:
            ids += self._opening("assistant")
        return EncodedChat(ids=ids, assistant_spans=spans)

    def _opening(self, role: str) -> list[int]:
        return [_TURN, *f"{role}\n".encode()]

    def encode_prompt(self, prompt: str, *, system: str | None = None) -> list[int]:
        """A user's turn, and the opening of a reply."""
        told = [] if system is None else [{"role": "system", "content": system}]
        return self.encode([*told, {"role": "user", "content": prompt}], reply=True).ids

    def encode_text(self, text: str) -> list[int]:
        """``<begin>``, the bytes, ``<end>``."""
        return [_BEGIN, *text.encode(), _END]

    def decode(self, ids: Sequence[int]) -> str:
        """The bytes as text, without special tokens."""
        return bytes(i for i in ids if i < _BEGIN).decode(errors="replace")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Each byte, or the name of the special token."""
        return [_NAMES.get(i) or bytes([i]).decode(errors="replace") for i in ids]
