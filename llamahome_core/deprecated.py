"""What goes away, in which version, and what to write instead: every such message is here.

A hook or an argument that goes away keeps its spec until then::

    @hookspec(warn_on_impl_args={"old": OLD_ARGUMENT})
    def llamahome_run_started(run, old): ...

with ``OLD_ARGUMENT = LlamaHomeRemovedIn2Warning("…")`` below. A setting says so in its field, and
needs nothing from here: ``old: int = field(default=1, metadata={"deprecated": "write `new`"})``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from llamahome_core.config import Merged, Path
    from llamahome_core.discovery import Plugin
    from llamahome_core.plugins import Plugins


class LlamaHomeDeprecationWarning(DeprecationWarning):
    """Something that still works goes away; the message says what to write instead."""


class LlamaHomeRemovedIn1Warning(LlamaHomeDeprecationWarning):
    """It is gone in version 1.0."""


class LlamaHomeRemovedIn2Warning(LlamaHomeDeprecationWarning):
    """It is gone in version 2.0."""


SETTING = "deprecated"
"""Key of a field's metadata; its value says what to write instead."""


def hooks(plugins: Plugins) -> Iterator[tuple[Plugin, str]]:
    """Deprecated hooks and arguments that active plugins implement, with the line of each.

    pluggy warns too; Python shows that to tests alone, and it names no plugin.
    """
    for name, plugin in plugins.active.items():
        for caller in plugins.manager.get_hookcallers(plugin.module) or ():
            spec = caller.spec
            for implementation in caller.get_hookimpls() if spec else ():
                if implementation.plugin_name == name:
                    for warning in _said(spec, implementation):
                        where = _place(implementation.function)
                        yield plugin, f"{plugin.owner}: {caller.name}{where}: {warning}"


def _said(spec: Any, implementation: Any) -> Iterator[Warning]:
    if spec.warn_on_impl is not None:
        yield spec.warn_on_impl
    arguments: Mapping[str, Warning] = spec.warn_on_impl_args or {}
    yield from (arguments[name] for name in implementation.argnames if name in arguments)


def _place(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({code.co_filename}:{code.co_firstlineno})" if code else ""


def settings(merged: Merged, cls: type[Any], at: Path = ()) -> Iterator[str]:
    """Deprecated settings of *cls* that are set somewhere, with the place of each.

    Args:
        merged: The layers.
        cls: The settings class.
        at: Where its table is.
    """
    from llamahome_core.config import path_text
    from llamahome_core.config.description import table_class
    from llamahome_core.config.editing import child

    table: Any = merged.data
    for part in at:
        table = child(table, part)
    for field in attrs.fields(cls):
        path = (*at, field.name)
        if (value := child(table, field.name)) is None:
            continue
        if advice := field.metadata.get(SETTING):
            origin = merged.origin(path)
            where = f"{origin.place('key')}: " if origin else ""
            yield f"{where}`{path_text(path)}` is deprecated: {advice}"
        if (inner := table_class(field.type)) is not None:
            for below in _tables(value, path):
                yield from settings(merged, inner, below)


def _tables(value: Any, path: Path) -> Iterator[Path]:
    """The tables in *value*: it is one, or a list of them."""
    if isinstance(value, Mapping):
        yield path
    elif isinstance(value, list):
        yield from ((*path, n) for n, item in enumerate(value) if isinstance(item, Mapping))
