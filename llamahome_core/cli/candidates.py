"""What may stand where somebody types: names of runs, recipes, plugins, components and settings."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
from attrs import frozen
from click.shell_completion import CompletionItem

from llamahome_core.cli.main import State
from llamahome_core.components import Kind
from llamahome_core.config import Merged, Setting, describe, merge, path_text, show_origins
from llamahome_core.errors import LlamaHomeError
from llamahome_core.kernel import Kernel
from llamahome_core.terminal import aside
from llamahome_core.workspace import SUFFIXES

Pairs = Iterator[tuple[str, str | None]]  # a word and what it is
OPEN = "open"
"""A word that goes on, such as a folder or ``train.steps=``: no space follows it."""


@frozen
class Asked:
    """What is to be completed: *incomplete*, on the line that *ctx* has read so far."""

    kernel: Kernel
    ctx: click.Context
    incomplete: str


def offer(what: str, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """The words of the kind *what* that begin with *incomplete*; none where something is wrong."""
    state = ctx.ensure_object(State)
    with contextlib.suppress(Exception), aside():  # plugins run here, and settings may be wrong
        pairs = _OFFERS[what](Asked(state.lenient_kernel, ctx, incomplete))
        return [_item(word, text) for word, text in pairs if word.startswith(incomplete)]
    return []


def _item(word: str, text: str | None) -> CompletionItem:
    line = " ".join((text or "").split())
    return CompletionItem(word, type=OPEN if word[-1:] in "/=" else "plain", help=line or None)


def subcommands(names: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    """The subcommands, with their summaries."""
    return [_item(name, text) for name, text in names if name.startswith(incomplete)]


# --- Names ---------------------------------------------------------------------------------------


def _runs(asked: Asked) -> Pairs:
    from llamahome_core.run import all_directories, state_of

    found = all_directories(asked.kernel.workspace.runs)
    if found:
        yield "@last", f"the last one, {found[-1].name}"
    yield from ((folder.name, state_of(folder)) for folder in reversed(found))


def _recipes(asked: Asked) -> Pairs:
    """Packaged recipes, and files that can be one."""
    yield from (
        (name, record.summary) for name, (_, record) in asked.kernel.catalog.recipes().items()
    )
    folder, start = os.path.split(asked.incomplete)
    with contextlib.suppress(OSError), os.scandir(os.path.expanduser(folder) or ".") as found:  # noqa: PTH111  # the text as it was typed
        for entry in sorted(found, key=lambda entry: entry.name):
            path = os.path.join(folder, entry.name)  # noqa: PTH118  # the same
            if entry.name.startswith(".") and not start.startswith("."):
                continue
            if entry.is_dir():
                yield f"{path}/", None
            elif entry.name.endswith(SUFFIXES):
                yield path, None


def _plugins(asked: Asked) -> Pairs:
    yield from ((plugin.name, plugin.origin) for plugin in asked.kernel.plugins.all)


def _policy(asked: Asked) -> Pairs:
    """What follows ``-p``."""
    yield from _plugins(asked)
    yield from ((f"no:{plugin.name}", "not this one") for plugin in asked.kernel.plugins.all)


def _kinds(_: Asked) -> Pairs:
    from llamahome_core.cli.show import KINDS, TABLES

    yield from ((kind, "components") for kind in KINDS)
    yield from ((table, f"the table [{table}]") for table in TABLES if table not in KINDS)


def _named(asked: Asked) -> Pairs:
    """Components of the kind, or settings of the table, that stands before."""
    from llamahome_core.cli.show import ALIASES, KINDS

    word = asked.ctx.params.get("kind") or ""
    if kind := KINDS.get(word) or ALIASES.get(word):
        yield from ((c.name, c.summary) for _, c in asked.kernel.catalog.components(kind))
    else:
        yield from ((s.name, s.help) for s in _table(word))


def _codes(_: Asked) -> Pairs:
    from llamahome_core.cli.explain import pages

    yield from ((code, title) for code, (title, _) in pages().items())


def _forms(_: Asked) -> Pairs:
    from llamahome_core.schema import SCHEMAS

    yield from ((form, None) for form in SCHEMAS)


def _models(asked: Asked) -> Pairs:
    """The catalogue, and what was published here."""
    from llamahome_core.protocols import Registry

    context = asked.kernel.context()
    yield from ((name, entry.summary) for name, entry in context.recipe.models.items())
    for version in context.get(Registry).versions():
        for tag in (*version.tags, f"v{version.number}"):
            yield f"{version.name}:{tag}", "published here"


# --- Settings ------------------------------------------------------------------------------------


def _table(name: str) -> tuple[Setting, ...]:
    from llamahome_core.root import Root

    return next((s.settings for s in describe(Root) if s.name == name), ())


def _merged(asked: Asked) -> Merged:
    """All layers, with the recipe of the line if it can be read; nothing where none can."""
    # click reads no argument of a line that ends with an option without its value, as here.
    words = [word for word in asked.ctx.find_root().args if not word.startswith("-")]
    known = asked.kernel.catalog.recipes()
    recipes = [word for word in words if word in known or word.endswith(SUFFIXES)]
    for attempt in (*recipes[:1], None):
        with contextlib.suppress(LlamaHomeError, OSError):
            return asked.kernel.settings(attempt)
    return merge([])


def _settings(kernel: Kernel, merged: Merged) -> dict[str, Setting | None]:
    """Every setting that can be given, by its key; what is set but not described has no text."""
    from llamahome_core.cli.config import chosen
    from llamahome_core.root import Root

    parts = {kind.value for kind in Kind} | {"models"}
    found: dict[str, Setting | None] = {}
    for setting in describe(Root):
        if setting.name not in parts:
            found |= _leaves(setting, ())
    for kind, at, use in chosen(merged):
        if kind is Kind.MODEL_SOURCE:
            continue
        found[path_text((*at, "use"))] = None
        with contextlib.suppress(Exception):  # it is misspelt, or its author's mistake
            for setting in describe(kernel.catalog.find(kind, use)[1].config):
                found |= _leaves(setting, at)
    found["model.from"] = None
    for _, component in kernel.catalog.components(Kind.MODEL_SOURCE):
        for setting in describe(component.config):
            found |= _leaves(setting, ("model", component.name))
    return found | {row.key: found.get(row.key) for row in show_origins(merged)}


def _leaves(setting: Setting, at: tuple[str | int, ...]) -> dict[str, Setting | None]:
    path = (*at, setting.name)
    if not setting.settings:
        return {path_text(path): setting}
    return {k: v for inner in setting.settings for k, v in _leaves(inner, path).items()}


def _text(setting: Setting | None) -> str | None:
    return setting.help if setting else None


def _keys(asked: Asked) -> Pairs:
    found = _settings(asked.kernel, _merged(asked))
    yield from ((key, _text(setting)) for key, setting in found.items())


def _assignments(asked: Asked) -> Pairs:
    """``key=``, and after it the values that there are."""
    key, equals, _ = asked.incomplete.partition("=")
    found = _settings(asked.kernel, _merged(asked))
    if not equals:
        yield from ((f"{name}=", _text(setting)) for name, setting in found.items())
        return
    for value, text in _values_of(asked, key, found):
        yield f"{key}={value}", text


def _values(asked: Asked) -> Pairs:
    """Values of the key that stands before."""
    found = _settings(asked.kernel, _merged(asked))
    yield from _values_of(asked, asked.ctx.params.get("key") or "", found)


def _values_of(asked: Asked, key: str, found: dict[str, Setting | None]) -> Pairs:
    if key == "model.from":
        yield from _models(asked)
        return
    table = key.partition(".")[0]
    if key.endswith(".use") and table in {kind.value for kind in Kind}:
        yield from ((c.name, c.summary) for _, c in asked.kernel.catalog.components(Kind(table)))
    elif setting := found.get(key):
        words: tuple[Any, ...] = setting.choices
        if not words and "true or false" in setting.type:
            words = (True, False)
        for word in words:
            default = "the default" if word == setting.default else None
            yield word if isinstance(word, str) else json.dumps(word), default


_OFFERS: dict[str, Callable[[Asked], Pairs]] = {
    "runs": _runs,
    "recipes": _recipes,
    "plugins": _plugins,
    "policy": _policy,
    "kinds": _kinds,
    "named": _named,
    "codes": _codes,
    "forms": _forms,
    "models": _models,
    "keys": _keys,
    "values": _values,
    "assignments": _assignments,
}
