"""What a conversion knows: the recipe so far, and a note on every setting of the other tool."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from attrs import define, evolve, field, frozen

from llamahome_core import Kind
from llamahome_scaffold.foreign import Config, shown

Sort = Literal["mapped", "assumed", "same", "unset", "unmapped"]


# Not every token is one: `pad_token` is a sign, `max_tokens` a count.
_NAME = r"(hub|hf|auth|access|api|bearer|wandb|comet)\w*token|secret|passw|api_?key|credential"
_SECRET_NAME = re.compile(rf"{_NAME}|(^|\.)env(\.|$)", re.IGNORECASE)
_SECRET = re.compile(rf"{_NAME}|://[^/\s@]*:[^/\s@]*@|\b(hf_|sk-|ghp_)\w", re.IGNORECASE)


@frozen
class Note:
    """What became of one setting, or one assumption.

    Attributes:
        sort: ``mapped`` into the recipe; ``assumed`` where the file does not say, or says it in
            another way; ``same``: LlamaHome does so without a setting; ``unset`` in the file;
            ``unmapped``.
        key: The setting of the other tool; None for an assumption that rests on none.
        line: Where it stands.
        value: Its value, as short text.
        why: The reason; for ``mapped`` the setting of the recipe.
    """

    sort: Sort
    key: str | None
    line: int | None
    value: str
    why: str

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"key": self.key, "line": self.line, "value": self.value, "why": self.why}

    def __str__(self) -> str:
        """On one line."""
        place = f"line {self.line}: " if self.line else ""
        setting = "" if self.key is None else f"{shown(self.key)} = {self.value}: "
        return f"{place}{setting}{self.why}"


@define
class Conversion:
    """A recipe that grows, and what is to be said of it.

    Attributes:
        config: The other tool's settings.
        offers: Whether a component of this kind and name is installed.
        tables: The recipe.
        comments: Path of a setting, such as ``train.epochs``, to its comment.
        notes: What became of each setting.
    """

    config: Config
    offers: Callable[[Kind, str], bool]
    tables: dict[str, Any] = field(factory=dict)
    comments: dict[str, str] = field(factory=dict)
    notes: list[Note] = field(factory=list)

    def put(self, path: str, value: Any, key: str) -> None:
        """Set *path* to *value*, which the setting *key* means."""
        self._set(path, value)
        line = self.config.line(key)
        self.comments[path] = f"{key}, line {line}" if line else key
        self.note("mapped", key, path)

    def assume(self, path: str, value: Any, why: str, key: str | None = None) -> None:
        """Set *path* to *value*, which the file does not say so; *why* tells the reader."""
        self._set(path, value)
        line = self.config.line(key) if key else None
        self.comments[path] = f"assumed, from {key}, line {line}" if line else "assumed, see below"
        self.note("assumed", key, f"{path} = {shown(value)}: {why}")

    def _set(self, path: str, value: Any) -> None:
        *tables, last = path.split(".")
        table = self.tables
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = value

    def note(self, sort: Sort, key: str | None, why: str) -> None:
        """Remember what became of *key*, which is accounted for."""
        value = None if key is None else self.config.take(key)
        line = None if key is None else self.config.line(key)
        name = None if key is None else f"{self.config.prefix}{key}"
        told = "" if value is None else shown(value)
        if _SECRET_NAME.search(str(name)) or _SECRET.search(told):
            told = "••••"  # a recipe is committed, and so are the notes in it
        self.notes.append(Note(sort, name, line, told, why))

    def below(self, config: Config) -> Conversion:
        """The same for one table of a list: notes are shared, the table and its comments new."""
        return evolve(self, config=config, tables={}, comments={})

    def add(self, path: str, made: Conversion) -> None:
        """Put the table that was made below into the list at *path*."""
        rows = self.tables.setdefault(path, [])
        at = f"{path}.{len(rows)}."
        rows.append(made.tables)
        self.comments |= {at + key: text for key, text in made.comments.items()}

    def drop(self, key: str, why: str) -> None:
        """*key*, if nobody took it, has no place in a recipe; one that is off is as it is here."""
        if key not in self.config or self.config.is_read(key):
            return
        if is_off(self.config.peek(key)):
            self.note("same", key, "off, as here")
        else:
            self.note("unmapped", key, why)

    def drop_all(self, keys: Iterable[str], why: str) -> None:
        """Each of *keys* has no place in a recipe."""
        for key in keys:
            self.drop(key, why)

    def same(self, key: str, why: str) -> None:
        """LlamaHome does what *key*, if nobody took it, asks for without a setting."""
        if key in self.config and not self.config.is_read(key):
            self.note("same", key, why)

    def number(self, path: str, key: str, *, whole: bool = False) -> bool:
        """Map a number, which YAML may have read as text (``2e-5`` has no dot); whether it is."""
        if key not in self.config:
            return False
        found = as_number(self.config.peek(key))
        if found is None or (whole and found != int(found)):
            self.note("unmapped", key, f"no {'whole ' if whole else ''}number for {path}")
            return False
        self.put(path, int(found) if whole else found, key)
        return True

    def finish(self) -> None:
        """Account for what is left: settings that are not set, that stand twice, or are unknown."""
        for key in list(self.config.left()):
            if self.config.peek(key) is None:
                self.note("unset", key, "nothing is set")
            else:
                self.note("unmapped", key, "this converter does not know it")
        for key, line in self.config.twice:
            why = f"it is set again in line {self.config.line(key)}, which counts"
            self.notes.append(Note("unmapped", key, line, "…", why))

    def of(self, sort: Sort) -> list[Note]:
        """The notes of one sort, in file order; those without a line first."""
        return sorted((n for n in self.notes if n.sort == sort), key=lambda note: note.line or 0)


def is_off(value: Any) -> bool:
    """Whether *value* switches something off."""
    return value in (False, 0, "", "no", "none", "false", "off", "None") or value in ([], {})


def is_on(value: Any) -> bool:
    """Whether *value* switches something on."""
    return value is True or (isinstance(value, str) and value.lower() in {"true", "yes", "on"})


def as_number(value: Any) -> float | int | None:
    """*value* as a finite number; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    if found != found or found in (float("inf"), float("-inf")):  # noqa: PLR0124  # NaN is not itself
        return None
    return value if isinstance(value, int) else found
