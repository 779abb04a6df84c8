"""The text of a recipe: TOML with a comment on each setting, from the schema of recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit

from llamahome_core import Kernel, Kind, clean

ORDER = (
    "model",
    "data",
    "transform",
    "batch",
    "objective",
    "adapter",
    "optimizer",
    "schedule",
    "train",
    "trainer",
    "evaluate",
    "sample",
    "checkpoint",
    "monitor",
    "publish",
)
"""The tables, in the order of the work."""

_WIDEST = 44

MINIMAL: dict[str, Any] = {
    "seed": None,
    "batch": {"tokens": 4096, "max_length": None, "overlong": None},
    "objective": {"use": "sft"},
    "adapter": {"use": "lora", "rank": None},
    "optimizer": {"use": "adamw", "learning_rate": None},
    "schedule": {"use": "cosine", "warmup": None},
    "train": {"epochs": 3, "precision": None},
    "evaluate": {"split": 0.1, "every": 50},
    "sample": {"prompts": ["What can you do?"], "every": 50},
    "checkpoint": {"every": None},
    "publish": {"tags": None},
}
"""What a new recipe says, besides its model and data; None is the default."""


def render(tables: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """*tables* as TOML: what is no table first, then the tables in the order of the work.

    Args:
        tables: Plain values; a list of tables becomes an array of tables.
        comments: ``table.key``, ``table.0.key`` or ``table`` to its comment.
    """
    plain = {key: value for key, value in tables.items() if not _is_table(value)}
    blocks = [_lines(plain, comments, "")]
    for name in sorted((k for k in tables if k not in plain), key=_place):
        value = tables[name]
        listed = isinstance(value, list)
        for number, table in enumerate(value if listed else [value]):
            head = f"[[{name}]]" if listed else f"[{name}]"
            about = comments.get(name) if not number else None
            at = f"{name}.{number}." if listed else f"{name}."
            blocks.append([_line(head, about, 0), *_lines(table, comments, at)])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(v, dict) for v in value)
    )


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER)), name


def _lines(table: Mapping[str, Any], comments: Mapping[str, str], at: str) -> list[str]:
    pairs = [(key, f"{_key(key)} = {value_text(value)}") for key, value in table.items()]
    wide = max((len(text) for _, text in pairs if len(text) <= _WIDEST), default=0)
    return [_line(text, comments.get(at + key), wide) for key, text in pairs]


def _line(text: str, comment: str | None, wide: int) -> str:
    return f"{text.ljust(wide)}  # {one_line(comment)}" if comment else text


def _key(key: str) -> str:
    return tomlkit.key(key).as_string()


def value_text(value: Any) -> str:
    """*value* as TOML has it."""
    text: str = tomlkit.item(value).as_string()
    return text


def one_line(text: str) -> str:
    """*text* as it may stand in a comment: on one line, without what a terminal would obey."""
    return clean(" ".join(text.split()))


def minimal_recipe(
    kernel: Kernel, name: str, model: str, data: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """A recipe with the main tables and a comment on each line, from the docstrings.

    Returns:
        The tables, and their comments.
    """
    schema = kernel.schema()
    tables: dict[str, Any] = {"schema": 1, "name": name}
    tables["model"] = {"from": model}
    tables["data"] = [{"use": _source(kernel, data), "path": data}]
    for key, value in MINIMAL.items():
        if isinstance(value, dict):
            told = _described(schema, key, value.get("use"))
            tables[key] = {k: _default(told, k) if v is None else v for k, v in value.items()}
        else:
            tables[key] = _default(_resolved(schema, schema).get("properties", {}), key)
    return tables, dict(_comments(schema, tables))


def _source(kernel: Kernel, path: str) -> str:
    """The data source that is named like the file's suffix, if there is one."""
    suffix = path.rpartition(".")[2].lower()
    names = {c.name for _, c in kernel.catalog.components(Kind.DATA_SOURCE)}
    return suffix if suffix in names else "jsonl"


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """*node*, or what it refers to."""
    for inner in node.get("allOf", [node]):
        if reference := inner.get("$ref"):
            found: dict[str, Any] = schema["definitions"][reference.rpartition("/")[2]]
            return found
    return node


def _described(schema: dict[str, Any], table: str, use: Any) -> dict[str, Any]:
    """The settings of *table*, those of the component *use* if it is a component's."""
    node = _resolved(schema["properties"][table], schema)
    node = node.get("items", node)
    settings: dict[str, Any] = dict(node.get("properties", {}))
    for rule in node.get("allOf", []):
        chosen = rule.get("if", {}).get("properties", {}).get("use", {}).get("enum", [])
        if use in chosen:  # it says more where components have settings of one name
            own = rule["then"].get("properties", {})
            settings |= {key: about for key, about in own.items() if about}
    return settings


def _default(settings: dict[str, Any], key: str) -> Any:
    return settings[key]["default"]


def _comments(schema: dict[str, Any], tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in tables.items():
        about = schema["properties"].get(name, {}).get("description", "")
        if not _is_table(value):
            yield name, _first(about)
            continue
        yield name, _first(about)
        for number, table in enumerate(value if isinstance(value, list) else [value]):
            told = _described(schema, name, table.get("use"))
            at = f"{name}.{number}." if isinstance(value, list) else f"{name}."
            for key in table:
                yield at + key, _first(told.get(key, {}).get("description", ""))


def _first(text: str) -> str:
    """What the first sentence begins with, without markup or full stop."""
    sentence = one_line(text).replace("`", "").split(". ")[0]
    return sentence.split("; ")[0].rstrip(".")
