"""Configuration: layers of TOML, YAML, JSON and environment, merged and structured strictly.

Read documents, weakest layer first, `merge` them, `structure` the tables into config classes, and
show what is wrong with `render`::

    merged = merge([read("settings.toml", "project"), *overrides(["train.steps=100"])])
    train, problems = structure(merged.data["train"], Train, at=("train",))
    if problems:
        raise ConfigError(merged.locate(problems))
"""

from __future__ import annotations

from llamahome_core.config.describe import Setting, describe
from llamahome_core.config.document import LAYERS, At, Document, Mark, Origin, Path, Span
from llamahome_core.config.environment import RESERVED, environment
from llamahome_core.config.layers import Merged, merge
from llamahome_core.config.origins import SettingOrigin, origin_text, show_origins
from llamahome_core.config.overrides import overrides, parse_value, runtime
from llamahome_core.config.problems import CODES, ConfigError, Problem, path_text, to_json
from llamahome_core.config.reader import display, read, read_dotenv
from llamahome_core.config.redaction import is_secret
from llamahome_core.config.render import render
from llamahome_core.config.schema import json_schema
from llamahome_core.config.structure import structure, unstructure

__all__ = [
    "CODES",
    "LAYERS",
    "RESERVED",
    "At",
    "ConfigError",
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
    "is_secret",
    "json_schema",
    "merge",
    "origin_text",
    "overrides",
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
