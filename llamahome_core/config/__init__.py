"""Configuration: layers of TOML, YAML, JSON and environment, merged and structured strictly.

Read documents, weakest layer first, `merge` them, `structure` the tables into config classes, and
show what is wrong with `render`::

    merged = merge([read("settings.toml", "project"), *overrides(["train.steps=100"])])
    train, problems = structure(merged.data["train"], Train, at=("train",))
    if problems:
        raise ConfigError(merged.locate(problems))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamahome_core.config.assignments import overrides, parse_key, parse_value, runtime
    from llamahome_core.config.description import Setting, describe
    from llamahome_core.config.document import LAYERS, At, Document, Mark, Origin, Path, Span
    from llamahome_core.config.layers import Merged, merge
    from llamahome_core.config.origins import SettingOrigin, origin_text, show_origins
    from llamahome_core.config.problems import (
        CODES,
        ConfigError,
        Problem,
        in_table,
        path_text,
        to_json,
    )
    from llamahome_core.config.reader import display, parse, read, read_dotenv
    from llamahome_core.config.redaction import is_secret
    from llamahome_core.config.rendering import render
    from llamahome_core.config.schema import Definitions, json_schema
    from llamahome_core.config.structuring import structure, unstructure
    from llamahome_core.config.variables import PREFIX, PUBLIC, RESERVED, environment

_HOME = {
    **dict.fromkeys(("overrides", "parse_key", "parse_value", "runtime"), "assignments"),
    **dict.fromkeys(("Setting", "describe"), "description"),
    **dict.fromkeys(("LAYERS", "At", "Document", "Mark", "Origin", "Path", "Span"), "document"),
    **dict.fromkeys(("Merged", "merge"), "layers"),
    **dict.fromkeys(("SettingOrigin", "origin_text", "show_origins"), "origins"),
    **dict.fromkeys(
        ("CODES", "ConfigError", "Problem", "in_table", "path_text", "to_json"), "problems"
    ),
    **dict.fromkeys(("display", "parse", "read", "read_dotenv"), "reader"),
    "is_secret": "redaction",
    "render": "rendering",
    **dict.fromkeys(("Definitions", "json_schema"), "schema"),
    **dict.fromkeys(("structure", "unstructure"), "structuring"),
    **dict.fromkeys(("PREFIX", "PUBLIC", "RESERVED", "environment"), "variables"),
}
"""Which module a name lives in. No module is called like a name: its import would hide the name."""

__all__ = [
    "CODES",
    "LAYERS",
    "PREFIX",
    "PUBLIC",
    "RESERVED",
    "At",
    "ConfigError",
    "Definitions",
    "Document",
    "Mark",
    "Merged",
    "Origin",
    "Path",
    "Problem",
    "Setting",
    "SettingOrigin",
    "Span",
    "describe",
    "display",
    "environment",
    "in_table",
    "is_secret",
    "json_schema",
    "merge",
    "origin_text",
    "overrides",
    "parse",
    "parse_key",
    "parse_value",
    "path_text",
    "read",
    "read_dotenv",
    "render",
    "runtime",
    "show_origins",
    "structure",
    "to_json",
    "unstructure",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: most commands need few of these modules."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
