"""Names of special tokens in what people write stay text, and steer nothing.

A chat template writes its control tokens by name, and the tokenizer takes every such name for the
token. So a message with ``<|im_end|>`` in it could end its own turn and open another, in training
data and in a prompt alike. Here a template is rendered with such names hidden. What it then
writes by name are its own tokens: they get aliases that nobody can guess. A second tokenizer, in
which these stand in the place of the names, has no token that a name could become. All else stays
as the model's tokenizer has it; what that does not know at all still is its unknown token.

Nothing of this is done for a text without such a name, which is nearly every text. A tokenizer may
make a name of other text, such as letters of full width, when it normalises it. That counts as one.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import chain
from typing import Any

# Unicode leaves these two planes to private use; no language is written with them.
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
        self._normalised = self._made_by_normaliser(added) if backend.normalizer else {}
        self._normal_name = re.compile(_any_of(list(self._normalised)))

    def found(self, value: Any) -> str | None:
        """The name of a special token in a text, or in the texts of lists and mappings."""
        if isinstance(value, str):
            if match := self._name.search(value):
                return match[0]
            if not self._normalised:
                return None
            match = self._normal_name.search(self._backend.normalizer.normalize_str(value))
            return self._normalised[match[0]] if match else None
        for inner in _inside(value):
            if name := self.found(inner):
                return name
        return None

    def letters(self, value: Any) -> dict[str, str]:
        """For the first letter of each name, a letter that is nowhere in *value*."""
        # from the end of the plane: fonts for terminals have icons at its beginning
        used = json.dumps(value, ensure_ascii=False, default=str)
        free = (letter for letter in map(chr, reversed(_PRIVATE[0])) if letter not in used)
        return dict(zip(sorted({name[0] for name in self._special}), free, strict=False))

    def hide(self, value: Any, letters: Mapping[str, str]) -> Any:
        """*value* with another first letter in each name of a special token in its texts."""
        if isinstance(value, str):
            return self._first_letter.sub(lambda match: letters[match[0]], value)
        if isinstance(value, Mapping):
            return {self.hide(k, letters): self.hide(v, letters) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide(inner, letters) for inner in value]
        return value

    def reveal(self, text: str, letters: Mapping[str, str]) -> str:
        """What a template wrote of texts hidden by *letters*, ready for :meth:`encode`."""
        aliased = self._name.sub(lambda match: self._aliases[match[0]], text)
        return aliased.translate({ord(hidden): letter for letter, hidden in letters.items()})

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and their characters; a special token is one only under its alias."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def _made_by_normaliser(self, added: Mapping[int, Any]) -> dict[str, str]:
        """The names, as they are and normalised, that normalised text would be taken for."""
        model, normalise = self._backend.model, self._backend.normalizer.normalize_str
        names = [
            name
            for name, at in self._special.items()
            if added[at].normalized
            # the model may make a piece of text into the token without being told that it is one
            or (model.token_to_id(name) == at and at in {p.id for p in model.tokenize(name)})
        ]
        return {normalise(name): name for name in names} | {name: name for name in names}

    @cached_property
    def _first_letter(self) -> re.Pattern[str]:
        """Fits the first letter of each name, also of one that begins inside another."""
        return re.compile(rf"(?={self._names}).", re.DOTALL)

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """A text of the same length for each special token, drawn anew in each process."""
        return {
            name: "".join(chr(secrets.choice(_PRIVATE[1])) for _ in name) for name in self._special
        }

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        renamed = json.loads(self._backend.to_str())
        for token in renamed["added_tokens"]:
            token["content"] = self._alias(token["content"])
        _rename(renamed["model"], self._alias)
        renamed["post_processor"] = None  # it names tokens, and is not asked for any
        return Tokenizer.from_str(json.dumps(renamed))

    def _alias(self, token: str) -> str:
        return self._aliases.get(token, token)


def _rename(model: dict[str, Any], alias: Callable[[str], str]) -> None:
    """Put *alias* of each token into the JSON of a tokenizer's *model*; ids stay the same."""
    if isinstance(model["vocab"], list):
        model["vocab"] = [[alias(token), score] for token, score in model["vocab"]]
    else:
        model["vocab"] = {alias(token): at for token, at in model["vocab"].items()}
    if model.get("unk_token"):
        model["unk_token"] = alias(model["unk_token"])
    if "merges" in model:
        prefix = len(model.get("continuing_subword_prefix") or "")
        model["merges"] = [
            [left, right]
            for left, right in model["merges"]
            if all(alias(part) == part for part in (left, right, left + right[prefix:]))
        ]


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
