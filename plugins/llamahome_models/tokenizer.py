"""The tokenizer of a model folder: read as it is, and text made ids with it, cut where asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from llamahome_core import ModelError, ModelFolder, files
from llamahome_models.literals import Literals
from llamahome_models.template import CLOCK

VERSION = 3
"""Raised when the same folder and conversation would give other tokens or spans."""

# What decides how text becomes tokens, beside the template; weights and model settings do not.
_TOKENIZER_FILES = (
    "added_tokens.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)

Tokens = tuple[list[int], list[tuple[int, int]]]
"""Ids, and the characters of the text that each stands for."""


class TextTokenizer:
    """Turns text into ids.

    ``tokenizer.json`` is read as it is. transformers' ``AutoTokenizer`` (5.x) rebuilds the
    tokenizer of some classes, ``GPT2Tokenizer`` for one, and loses parts of it on the way.

    Attributes:
        settings: transformers' tokenizer, for its chat template and the names of its tokens.
        backend: The ``tokenizers.Tokenizer``.
        prefix: Ids that belong before a text, such as the begin token.
        literals: Names of special tokens in text.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self.settings = _load(folder)
        self.backend = self.settings.backend_tokenizer
        self.backend.no_truncation()
        self.backend.no_padding()
        self.prefix = self._text_prefix()
        # A byte-level post-processor cuts white space from offsets; the spans need it all.
        self.backend.post_processor = _no_trimming()
        self._divisible = self._is_divisible()
        self.literals = Literals(self.backend)

    def encode(self, text: str, cuts: Sequence[int] = (), *, literal: bool = False) -> Tokens:
        """Tokens of *text*, none of which spans a cut.

        Args:
            text: The text.
            cuts: Places in it, in order.
            literal: Take names of special tokens as text, and their aliases as the tokens.
        """
        encode = self.literals.encode if literal else self._encode
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        edges = [0, *(cuts if self._divisible else ()), len(text)]
        for start, end in pairwise(edges):
            part, places = encode(text[start:end])
            ids += part
            offsets += [(start + a, start + b) for a, b in places]
        return ids, offsets

    def _encode(self, text: str) -> Tokens:
        encoding = self.backend.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def _is_divisible(self) -> bool:
        """Whether the tokens of two texts, one after the other, are tokens of the whole."""
        ids = [i for t in "ab" for i in self.backend.encode(t, add_special_tokens=False).ids]
        return bool(self.backend.decode(ids) == "ab")

    def _text_prefix(self) -> list[int]:
        """What the tokenizer puts before a text, such as its begin token."""
        bare = self.backend.encode("a", add_special_tokens=False).ids
        full = self.backend.encode("a", add_special_tokens=True).ids
        for at in range(len(full) - len(bare) + 1):
            if full[at : at + len(bare)] == bare:
                return list(full[:at])
        return []


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


def digest(folder: Path, template: str | dict[str, str] | None, day: date) -> str:
    """Hash over the tokenizer's files in *folder*, the chat template or templates, and this code.

    The *day* matters where a template asks for it, as that of Llama 3.2 does.
    """
    hashes = {n: files.hash_file(folder / n) for n in _TOKENIZER_FILES if (folder / n).is_file()}
    inputs = {"codec": VERSION, "files": hashes, "template": template}
    if CLOCK in json.dumps(template):
        inputs["day"] = day.isoformat()
    text = json.dumps(inputs, sort_keys=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def generation_ends(folder: Path) -> list[int]:
    """The end tokens that the generation config in *folder* names.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        ends = json.loads((folder / "generation_config.json").read_bytes()).get("eos_token_id")
    except FileNotFoundError:
        return []
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'generation_config.json'} cannot be read: {error}") from error
    return [ends] if isinstance(ends, int) else list(ends or ())
