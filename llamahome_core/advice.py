"""What was perhaps meant: settings that belong elsewhere, or to another component than the chosen.

These look at every component that is installed; a class of settings knows only its own names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from attrs import evolve

from llamahome_core import config
from llamahome_core.components import Kind
from llamahome_core.config import Merged, Problem
from llamahome_core.errors import LlamaHomeError, suggest
from llamahome_core.recipe import Tables
from llamahome_core.registry import Catalog
from llamahome_core.root import DEFAULTS, Root, places, table_of
from llamahome_core.secrets import has_password


def elsewhere(catalog: Catalog, merged: Merged) -> Callable[[str], list[config.Path]]:
    """Finds the tables that have a setting of a name: the kernel's, and the chosen components'."""

    def find(key: str) -> list[config.Path]:
        found: list[config.Path] = [tuple(place.split(".")) for place in places(key)]
        top = {f.name for f in attrs.fields(Root)} - {f.name for f in attrs.fields(Tables)}
        if key in top - {kind.value for kind in Kind}:
            found.append((key,))
        for kind in DEFAULTS:
            use = table_of(merged.data, kind.value).get("use", DEFAULTS[kind])
            if key in _settings(catalog, kind, use):
                found.append((kind.value, key))
        return found

    return find


def _settings(catalog: Catalog, kind: Kind, use: object) -> set[str]:
    try:
        _, component = catalog.find(kind, str(use))
    except LlamaHomeError:  # that is told where it stands
        return set()
    return _names(component.config)


def _names(cls: type[Any]) -> set[str]:
    return {field.name for field in attrs.fields(cls) if field.init}


def of_another(problem: Problem, kind: Kind, at: config.Path, catalog: Catalog) -> Problem:
    """*problem* with better advice, if its key is a setting of another component of *kind*."""
    key = problem.path[-1] if problem.path else None
    if problem.code != "C101" or problem.path[:-1] != at:
        return problem
    owners = sorted({c.name for _, c in catalog.components(kind) if key in _names(c.config)})
    if not owners:
        return problem
    uses = " or ".join(f'use = "{name}"' for name in owners[:2])
    return evolve(problem, fix=f"`{key}` is a setting of {uses}")


def at_the_top(problem: Problem, catalog: Catalog, merged: Merged) -> Problem:
    """*problem* with better advice, if its key is a component's name, or a table and a key."""
    if problem.code != "C101" or len(problem.path) != 1:
        return problem
    name = str(problem.path[0])
    for kind in Kind:
        if kind is not Kind.MODEL_SOURCE and any(
            c.name == name for _, c in catalog.components(kind)
        ):
            table = f"[[{kind.value}]]" if kind.many else f"[{kind.value}]"
            return evolve(problem, fix=f'write {table} with use = "{name}"')
    if isinstance(merged.data.get(name), dict):
        return problem
    origin = merged.origins.get(problem.path)
    syntax = origin.document.syntax if origin else "toml"
    fix = _in_two_parts(name, syntax, elsewhere(catalog, merged)) or _variable(name, syntax)
    return evolve(problem, fix=fix) if fix else problem


def _in_two_parts(name: str, syntax: str, find: Callable[[str], list[config.Path]]) -> str | None:
    """What to write for ``train_steps``."""
    for index in (index for index, sign in enumerate(name) if sign in "_-."):
        path = (name[:index], name[index + 1 :])
        if path not in find(path[1]):
            continue
        if syntax == "env":
            whole = f"LLAMAHOME_{'__'.join(path).upper()}"
            return f"write {whole}, with two underscores between table and key"
        written = f"--set {'.'.join(path)}=…"
        return f"write {written if syntax == 'set' else f'`{path[1]}` in [{path[0]}]'}"
    return None


def _variable(name: str, syntax: str) -> str | None:
    """Which of the variables that are no settings was meant; a setting as near is not."""
    own = [variable.removeprefix(config.PREFIX).lower() for variable in config.PUBLIC]
    plain = {f.name for f in attrs.fields(Root)} - {f.name for f in attrs.fields(Tables)}
    near = suggest(name, [*own, *sorted(plain - {kind.value for kind in Kind})], limit=1)
    if syntax != "env" or not near or near[0] not in own:
        return None
    return f"did you mean {config.PREFIX}{near[0].upper()}?"


def role(given: object, at: config.Path) -> Problem:
    """What to say of a role that data cannot have."""
    close = suggest(str(given).lower(), ("train", "evaluate"))
    fix = f'did you mean "{close[0]}"?' if close else None
    message = f'`role` must be "train" or "evaluate", got {given!r}'
    return Problem("C105", message, (*at, "role"), fix=fix)


def in_model(name: str, catalog: Catalog) -> str:
    """What to do about the key *name* in ``[model]``, whose only own key is ``from``."""
    if suggest(name, ["from"]):
        return "did you mean `from`?"
    for _, component in catalog.components(Kind.MODEL_SOURCE):
        if name in _names(component.config):
            return f"`{name}` belongs in [model.{component.name}]"
    return "[model] has only `from`"


def passwords(merged: Merged) -> Iterator[Problem]:
    """Addresses with a name or a password in them: a run writes its whole recipe down."""
    for path, text in _texts(merged.data, ()):
        if has_password(text):
            message = f"`{config.path_text(path)}` has a name or password in its address"
            fix = "take it out: a hub reads HF_TOKEN, pip reads PIP_INDEX_URL and ~/.netrc"
            yield Problem("C104", message, path, fix=fix)


def _texts(value: Any, path: config.Path) -> Iterator[tuple[config.Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(item, (*path, key))


def unknown_plugins(merged: Merged, catalog: Catalog) -> Iterator[Problem]:
    """Names in ``[plugins]`` that no installed plugin has.

    One that is blocked and not installed may have been, and is a mistake only if it is misspelt.
    """
    known = {plugin.name for plugin in catalog.plugins.all}
    table = table_of(merged.data, "plugins")
    for key in ("enable", "block"):
        names = table.get(key)
        for index, name in enumerate(names if isinstance(names, list) else ()):
            close = suggest(str(name), known)
            if name in known or not isinstance(name, str) or (key == "block" and not close):
                continue
            fix = f"did you mean {' or '.join(map(repr, close))}?" if close else "llamahome plugins"
            path = ("plugins", key, index)
            yield Problem("C106", f"no plugin is called {name!r}", path, fix=fix)
