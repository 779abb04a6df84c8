"""Reads a configuration of another tool, YAML or JSON, with the line of each of its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from attrs import define, field, frozen

from llamahome_core import DataError, clean

LARGEST = 2**20
_SHOWN = 80


@frozen
class Entry:
    """One setting.

    Attributes:
        line: Where it stands, from 1.
        value: Its value; None where nothing is set.
        items: If it is a list of tables, each of them with lines of its own.
    """

    line: int
    value: Any
    items: tuple[Config, ...] = ()


@define
class Config:
    """The settings of a file, and which of them were read.

    Attributes:
        path: The file.
        entries: The settings by key, in file order.
        twice: Keys that stand in the file more than once, with their lines; the last one counts.
        prefix: What comes before a key in messages: ``datasets[0].``.
    """

    path: Path
    entries: dict[str, Entry]
    prefix: str = ""
    twice: list[tuple[str, int]] = field(factory=list)
    _read: set[str] = field(factory=set)

    def __contains__(self, key: str) -> bool:
        """Whether *key* is set to something."""
        return self.peek(key) is not None

    def peek(self, key: str) -> Any:
        """The value of *key*; None if it is not set."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value

    def take(self, key: str) -> Any:
        """The same; *key* is accounted for."""
        self._read.add(key)
        return self.peek(key)

    def is_read(self, key: str) -> bool:
        """Whether *key* is accounted for."""
        return key in self._read

    def line(self, key: str) -> int | None:
        """Where *key* stands."""
        entry = self.entries.get(key)
        return None if entry is None else entry.line

    def left(self) -> Iterator[str]:
        """Keys that nobody took."""
        return (key for key in self.entries if key not in self._read)


def read_config(path: Path) -> Config:
    """The settings in the YAML or JSON file *path*; JSON is read as the YAML that it is.

    Raises:
        DataError: It cannot be read, or holds no settings.
    """
    try:
        data = path.read_bytes()
        text = data.decode()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", hint="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8") from error
    if len(data) > LARGEST:
        raise DataError(f"{path} is larger than a configuration can be")
    try:
        node = yaml.compose(text.replace("\t", "    "), Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            raise DataError(
                f"{path} holds no settings", hint="name a YAML or JSON file of settings"
            )
        return _config(path, node, yaml.SafeLoader(""))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path} is neither YAML nor JSON: {clean(said)[:200]}") from error


def _config(path: Path, node: Any, loader: yaml.SafeLoader, prefix: str = "") -> Config:
    loader.flatten_mapping(node)  # what `<<: *other` brings
    config = Config(path, {}, prefix)
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in config.entries:
            config.twice.append((key, config.entries[key].line))
        items = tuple(
            _config(path, item, loader, f"{prefix}{key}[{number}].")
            for number, item in enumerate(value_node.value)
            if isinstance(value_node, yaml.SequenceNode) and isinstance(item, yaml.MappingNode)
        )
        config.entries[key] = Entry(line, loader.construct_object(value_node, deep=True), items)
    return config


def shown(value: Any) -> str:
    """*value* on one short line, for comments and messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else repr(value)
    text = clean(" ".join(text.split()))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
