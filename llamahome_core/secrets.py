"""Secrets by reference: settings say where a secret is, and only what is built is given it.

Text that leaves the program (log, events, messages) goes through `redact`: code that was given a
secret may put it into an error message, and a library may quote an address with its password.
"""

from __future__ import annotations

import functools
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

import attrs

from llamahome_core.errors import SecretError

T = TypeVar("T")

REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:(?:/|~/)\S.*")
FORM = "`env:NAME` or `file:/path`"
_MARK = "llamahome.secret"
_MOST = 2**16
"""Largest file that a secret is read from, in bytes."""
HIDDEN = "••••••••"
"""What stands in the place of a secret value."""
SHORTEST = 6
"""Characters of a secret that is looked for in texts: a shorter one would be found in any."""

_NAME = re.compile(r"(?:^|[_-])(?:secret|token|password|passphrase|api_?key|apikey)s?(?:$|[_-])")
_WHERE = ("_file", "_path", "_dir", "_home")
# https://name:password@host; only http has addresses in which the name alone is a secret.
_IN_ADDRESS = re.compile(r"((?:https?://)|(?:[a-zA-Z][\w+.-]*://(?=[^/\s@\"']*:)))([^/\s@\"']+)@")
_revealed_here: set[str] = set()
"""What this process was told. Global, as what leaves the process knows no kernel."""


class Secret(str):
    """The text of a secret, which does not show itself in a ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"


def says_secret(name: str) -> bool:
    """Whether the *name* of a setting or variable says that it is a secret.

    ``tokens``, a count in this field, is none.
    """
    name = name.lower()
    return _NAME.search(name) is not None and not name.endswith("tokens")


def has_password(text: str) -> bool:
    """Whether *text* holds an address with a name or password in it."""
    return "@" in text and _IN_ADDRESS.search(text) is not None


def remember(text: str) -> str:
    """*text*, a secret, which `redact` covers from now on."""
    if len(text) >= SHORTEST:
        _revealed_here.add(text)
    return text


@functools.lru_cache(maxsize=1)
def _known(_count: int) -> tuple[str, ...]:
    """Secrets that may turn up in a text, the longest first: one may be part of another.

    Each event and each line of the log asks, so they are looked up anew only when there are more.
    Their number is the key: what another thread reveals meanwhile cannot be missed.
    """
    variables = {
        value
        for name, value in os.environ.items()
        if says_secret(name) and len(value) >= SHORTEST and not name.lower().endswith(_WHERE)
    }
    return tuple(sorted(_revealed_here | variables, key=len, reverse=True))


def redact(text: str, hidden: Callable[[str], str] = lambda _: HIDDEN) -> str:
    """*text* with its secrets covered.

    They are those that were revealed here, those in variables whose name says so (such as
    ``HF_TOKEN``), and names and passwords in addresses.

    Args:
        text: Any text.
        hidden: Makes what stands in the place of a secret.
    """
    for known in _known(len(_revealed_here)):
        if known in text:
            text = text.replace(known, hidden(known))
    if "@" not in text:
        return text
    return _IN_ADDRESS.sub(lambda found: f"{found[1]}{hidden(found[2])}@", text)


def redacted(value: Any) -> Any:
    """A plain value with `redact` done to each text in it."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


class _Covering(io.TextIOWrapper):
    """A text stream that no secret passes."""

    below: TextIO

    def write(self, text: str) -> int:
        """Write *text* with secrets covered."""
        super().write(redact(text))
        return len(text)


def covering(stream: TextIO) -> TextIO:
    """A stream to where *stream* leads, for whatever code prints or warns in this process."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    made = _Covering(
        stream.buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
        write_through=stream.write_through,
    )
    made.below = stream  # it would close the file if nobody held it
    return made


def secret() -> Any:
    """An optional setting that is a secret, for a field of the type ``str | None``.

    The settings hold a reference, ``env:NAME`` or ``file:/path``; what is built finds the secret
    itself in its settings. The field's name must say what it is: `token`, `hub_password`,
    `client_secret`, `api_key`. Example::

        token: str | None = secret()
    """
    return attrs.field(default=None, repr=False, metadata={_MARK: True})


def is_marked(field: attrs.Attribute[Any]) -> bool:
    """Whether the field of a settings class was made by `secret`."""
    return bool(field.metadata.get(_MARK))


def is_reference(value: object) -> bool:
    """Whether *value* says where a secret is, and so is none."""
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def references(settings: Any) -> Iterator[str]:
    """The references in *settings*, an instance of a settings class."""
    if attrs.has(type(settings)):
        for field in attrs.fields(type(settings)):
            value = getattr(settings, field.name)
            if is_marked(field) and is_reference(value):
                yield value
            else:
                yield from references(value)
    elif isinstance(settings, Mapping):
        yield from references(list(settings.values()))
    elif isinstance(settings, list | tuple):
        for item in settings:
            yield from references(item)


def reveal(settings: T, read: Callable[[str], str]) -> T:
    """*settings* with what each reference in a secret field stands for.

    Args:
        settings: An instance of a settings class.
        read: Finds the secret that a reference names.
    """
    revealed: Any = _revealed(settings, read)
    return revealed  # type: ignore[no-any-return]  # it is of the same class


def _revealed(value: Any, read: Callable[[str], str]) -> Any:
    if not any(references(value)):
        return value
    if isinstance(value, Mapping):
        return {key: _revealed(item, read) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_revealed(item, read) for item in value)
    changes = {}
    for field in attrs.fields(type(value)):
        old = getattr(value, field.name)
        marked = is_marked(field) and is_reference(old)
        new = Secret(remember(read(old))) if marked else _revealed(old, read)
        if new is not old:
            changes[field.alias] = new
    return attrs.evolve(value, **changes)


def read_secret(reference: str, variable: Callable[[str], str | None]) -> str:
    """The secret that *reference* names.

    Args:
        reference: ``env:NAME`` or ``file:/path``.
        variable: Finds an environment variable.

    Raises:
        SecretError: It is not there, or empty.
    """
    kind, _, where = reference.partition(":")
    if kind == "env":
        if found := variable(where):
            return remember(found)
        hint = f"export {where}=…, or write it in the workspace's .env"
        raise SecretError(f"the secret {reference} is not there: {where} is not set", hint=hint)
    try:
        with Path(where).expanduser().open("rb") as file:
            text = file.read(_MOST).decode().strip()
    except (OSError, RuntimeError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SecretError(f"the secret {reference} cannot be read: {reason}") from None
    if not text:
        raise SecretError(f"the secret {reference} is not there: the file is empty")
    return remember(text)
