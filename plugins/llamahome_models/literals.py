"""Names of special tokens in what people write stay text, and steer nothing.

A chat template writes its control tokens by name, and the tokenizer takes every such name for the
token. So a message with ``<|im_end|>`` in it could end its own turn and open another, in training
data and in a prompt alike. Here a template is rendered with such names hidden. What it then
writes by name are its own tokens: they get aliases that nobody can guess, which a second tokenizer
knows, and that one takes names for text. All else stays as the model's tokenizer has it.

Nothing of this is done for a text without such a name, which is nearly every text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import cached_property
from itertools import chain
from typing import Any

# Unicode leaves these two planes to private use; no text in any language has them.
_PRIVATE = range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE)


class Literals:
    """Tells a tokenizer's special tokens from their names in a text.

    Texts keep their length throughout, so that places in one are places in the other.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        added = backend.get_added_tokens_decoder()
        self._special = {token.content: at for at, token in added.items() if token.special}
        self._names = _any_of(list(self._special)) if self._special else r"(?!)"
        self._name = re.compile(self._names)

    def found(self, value: Any) -> str | None:
        """The name of a special token in a text, or in the texts of lists and mappings."""
        if isinstance(value, str):
            match = self._name.search(value)
            return match[0] if match else None
        for inner in _inside(value):
            if name := self.found(inner):
                return name
        return None

    def hide(self, value: Any) -> Any:
        """*value* with another first letter in each name of a special token in its texts."""
        if isinstance(value, str):
            return self._first_letter.sub(lambda match: self._hidden[match[0]], value)
        if isinstance(value, Mapping):
            return {self.hide(key): self.hide(inner) for key, inner in value.items()}
        return [self.hide(inner) for inner in value] if isinstance(value, list | tuple) else value

    def reveal(self, text: str) -> str:
        """What a template wrote of hidden texts, ready for :meth:`encode`."""
        aliased = self._name.sub(lambda match: self._aliases[match[0]], text)
        return aliased.translate({ord(hidden): letter for letter, hidden in self._hidden.items()})

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and their characters; a special token is one only under its alias."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [self._ids.get(i, i) for i in encoding.ids], encoding.offsets

    @cached_property
    def _first_letter(self) -> re.Pattern[str]:
        """Fits the first letter of each name, also of one that begins inside another."""
        return re.compile(rf"(?={self._names}).", re.DOTALL)

    @cached_property
    def _hidden(self) -> dict[str, str]:
        letters = sorted({name[0] for name in self._special})
        chosen = secrets.SystemRandom().sample(_PRIVATE[0], len(letters))
        return dict(zip(letters, map(chr, chosen), strict=True))

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """A text of the same length for each special token, drawn anew in each process."""
        return {
            name: "".join(chr(secrets.choice(_PRIVATE[1])) for _ in name) for name in self._special
        }

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import AddedToken, Tokenizer

        copy: Any = Tokenizer.from_str(self._backend.to_str())
        copy.encode_special_tokens = True  # their names are encoded as any other text
        added = self._backend.get_added_tokens_decoder()
        for name, alias in self._aliases.items():
            like = added[self._special[name]]
            copy.add_tokens(
                [AddedToken(alias, lstrip=like.lstrip, rstrip=like.rstrip, normalized=False)]
            )
        return copy

    @cached_property
    def _ids(self) -> dict[int, int]:
        """The id of each special token by the id of its alias."""
        return {self._tokenizer.token_to_id(self._aliases[n]): i for n, i in self._special.items()}


def _inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return chain(value, value.values())
    return value if isinstance(value, list | tuple) else ()


def _any_of(names: list[str]) -> str:
    """A pattern of *names* that takes the longest, as a tokenizer does.

    It is a tree of letters: a thousand names one after the other would be tried at every ``<``.
    """
    below: dict[str, list[str]] = {}
    for name in filter(None, names):
        below.setdefault(name[0], []).append(name[1:])
    if not below:
        return ""
    branches = [re.escape(letter) + _any_of(rest) for letter, rest in below.items()]
    if len(branches) == 1 and "" not in names:
        return branches[0]
    return f"(?:{'|'.join(branches)})" + ("?" if "" in names else "")
