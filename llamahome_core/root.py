"""The form of a recipe and of the settings: every table, and the choice where nothing is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs
from attrs import field, frozen, validators

from llamahome_core import config
from llamahome_core.components import Kind
from llamahome_core.config import Merged, Problem
from llamahome_core.recipe import NAME, Tables

DEFAULTS = {
    Kind.OBJECTIVE: "sft",
    Kind.ADAPTER: "full",
    Kind.OPTIMIZER: "adamw",
    Kind.SCHEDULE: "cosine",
    Kind.TRAINER: "torch",
    Kind.CACHE: "lru",
    Kind.STORE: "local",
}
"""What a recipe that does not say gets."""

# Lengths and step sizes are alternatives: the one that a stronger layer sets replaces the others.
ALTERNATIVES = (
    (("batch", "tokens"), ("batch", "rows")),
    (("train", "epochs"), ("train", "steps"), ("train", "tokens")),
)

Table = dict[str, Any]


@frozen(kw_only=True)
class Root(Tables):
    """The tables of a recipe and of the settings; component tables are open until their ``use``."""

    schema: Literal[1] = 1
    """Version of the recipe's form."""
    resolved: bool = False
    """The recipe holds every value: no settings and no environment are added to it."""
    extends: str | None = None
    """The recipe that this one builds on: a path from here, or a packaged recipe's name."""
    name: str | None = field(
        default=None, validator=validators.optional(validators.matches_re(NAME))
    )
    """Name of the runs and of the published model; the file's name if not set."""
    seed: int = field(default=0, validator=[validators.ge(0), validators.lt(2**63)])
    """Seed of everything random."""
    required: tuple[str, ...] = ()
    """Distributions that must be installed, such as `llamahome-foo>=1.2`."""
    model: Table = field(factory=dict)
    """The model to start from: `from = "name:tag"`, `"hub:org/name@revision"`, a path."""
    data: tuple[Table, ...] = ()
    """Where the rows come from; several tables are read one after another."""
    transform: tuple[Table, ...] = ()
    """What changes or drops examples before they become tokens, one after another."""
    objective: Table = field(factory=dict)
    """What is learned."""
    adapter: Table = field(factory=dict)
    """Which weights are trained."""
    optimizer: Table = field(factory=dict)
    """How gradients become updates."""
    schedule: Table = field(factory=dict)
    """The learning rate over time."""
    trainer: Table = field(factory=dict)
    """What executes a step."""
    cache: Table = field(factory=dict)
    """Where small results are kept for a while."""
    store: Table = field(factory=dict)
    """Where published versions are kept."""
    monitor: tuple[Table, ...] = ()
    """What shows or forwards the run's events, besides the console."""
    command: dict[str, Table] = field(factory=dict)
    """Settings of the commands that plugins bring, one table for each."""


def drop_alternatives(merged: Merged) -> None:
    """Of settings that exclude each other, keep what the strongest layer sets."""
    order = config.LAYERS.index
    for group in ALTERNATIVES:
        layers = {
            path: order(merged.origins[path].layer)
            for path in group
            # null unsets: it is no choice of the other form
            if table_of(merged.data, path[0]).get(path[-1]) is not None and path in merged.origins
        }
        for path, layer in layers.items():
            if layer < max(layers.values()):
                del merged.data[path[0]][path[-1]]
                del merged.origins[path]


_LATE: dict[Any, tuple[str, str]] = {
    "plugins": ("plugins are loaded before a recipe is read", ", or use llamahome -p"),
    "command": ("a recipe has no use for the settings of a command", ""),
}


def late(merged: Merged) -> Iterator[Problem]:
    """Settings in a recipe, or later, that only the settings can hold: they would be ignored."""
    refused = set()
    for path, origin in merged.origins.items():
        is_late = origin.layer in {"recipe", "runtime", "command line"}
        is_setting = len(path) > 1 and path[0] in _LATE and isinstance(path[1], str)
        if not (is_late and is_setting) or any(path[:n] in refused for n in range(2, len(path))):
            continue
        refused.add(path)
        message, fix = _LATE[str(path[0])]
        fix = f"set it in .config/llamahome.toml{fix}"
        yield Problem("C104", message, path, "key", fix)


def places(key: str) -> list[str]:
    """Tables of the kernel that have a setting *key*, for a key that stands in the wrong one."""
    attrs.resolve_types(Tables)
    tables = {table.name: table.type for table in attrs.fields(Tables)}
    return [
        f"{name}.{key}"
        for name, cls in tables.items()
        if cls and attrs.has(cls) and key in attrs.fields_dict(cls)
    ]


def table_of(data: Mapping[str, Any], key: str) -> Table:
    """The table under *key*; an empty one if there is none."""
    found = data.get(key)
    return found if isinstance(found, dict) else {}
