"""Looks at one plugin, loaded beside no other: what it declares, and all that is wrong with it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import define, evolve, field, fields

from llamahome_core import deprecated, hookspecs
from llamahome_core.components import Kind, PackagedRecipe
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.errors import PluginError, suggest
from llamahome_core.hookspecs import PROJECT
from llamahome_core.offers import Offer, offers_of
from llamahome_core.plugins import Plugins
from llamahome_core.registry import Catalog
from llamahome_core.terminal import aside


@define
class Report:
    """What was found.

    Attributes:
        status: ``active`` or ``broken``.
        error: Why it is broken, in a line.
        traceback: The same at length.
        offers: What it declares: kind, name, summary, missing modules, and how to install them.
        problems: All that is wrong, in words.
        warnings: Deprecated hooks and arguments that it implements.
        printed: What it printed in a process of its own.
    """

    status: str = "broken"
    error: str | None = None
    traceback: str | None = None
    offers: list[dict[str, Any]] = field(factory=list)
    problems: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)
    printed: str = ""


def examine(plugin: Plugin, phase: Callable[[str], None] = lambda _: None) -> Report:
    """Load *plugin* beside no other, and look at all that it declares.

    Args:
        plugin: It stays as it is.
        phase: Told what comes next, before code of the plugin runs.
    """
    fresh = evolve(plugin, status="found", error=None)
    problems: list[str] = []
    phase("it was imported")
    plugins = Plugins([fresh], Policy())
    problems += _unmarked(fresh.module)
    phase("it declared what it brings")
    catalog = Catalog(plugins)
    offers = list(offers_of(catalog, problems.append))
    phase("its settings were described")
    problems += _each(_settings(catalog))
    phase("what it names was imported")
    problems += _each(_references(catalog, offers))
    report = Report(fresh.status, offers=[o.plain() for o in offers], problems=problems)
    report.warnings = [text for _, text in deprecated.hooks(plugins)]
    if (error := fresh.error) is not None:
        report.error = f"{type(error).__name__}: {error}".removesuffix(": ")
        report.traceback = "".join(traceback.format_exception(error)).rstrip()
        problems.insert(0, f"the plugin is broken: {report.error}")
    return report


def _unmarked(module: Any) -> Iterator[str]:
    """Functions that look like hooks: pluggy would never call them, and say nothing."""
    hooks = [name for name in vars(hookspecs) if name.startswith(f"{PROJECT}_")]
    found = [name for name in dir(module) if name.startswith(f"{PROJECT}_")]
    marked = [name for name in found if hasattr(getattr(module, name), f"{PROJECT}_impl")]
    for name in found:
        if name in marked and name not in hooks:
            close = suggest(name, hooks)
            known = f": did you mean {close[0]!r}?" if close else ""
            yield f"there is no hook {name!r}{known}"
        elif name in hooks and name not in marked and callable(getattr(module, name)):
            yield f"{name} is never called: write @hookimpl above it"
    if module is not None and not marked:
        yield "it implements no hook"


def _each(found: Iterator[str]) -> list[str]:
    """*found*, with code of the plugin kept at its own risk."""
    problems: list[str] = []
    with aside():
        try:
            problems.extend(found)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # that is what is wrong with it
            problems.append(f"{type(error).__name__}: {error}")
    return problems


def _settings(catalog: Catalog) -> Iterator[str]:
    """Config classes that cannot be described, and settings that nobody explains."""
    from llamahome_core.config import describe

    owned = [(f"{k.title} {c.name}", c.config) for k in Kind for _, c in catalog.components(k)]
    owned += [(f"command {n}", c.config) for n, (_, c) in catalog.commands().items()]
    for owner, cls in owned:
        try:
            settings = describe(cls)
        except Exception as error:  # noqa: BLE001  # a class of somebody else
            yield f"{owner}: its settings cannot be described: {error}"
            continue
        for name in _unexplained(settings):
            yield f"{owner}: the setting {name!r} has no docstring"
        if any(found.init and not found.kw_only for found in fields(cls)):
            yield f"{owner}: {cls.__name__} must be keyword-only: @frozen(kw_only=True)"


def _unexplained(settings: Iterable[Any], prefix: str = "") -> Iterator[str]:
    for setting in settings:
        if not setting.help:
            yield prefix + setting.name
        yield from _unexplained(setting.settings, f"{prefix}{setting.name}.")


def _references(catalog: Catalog, offers: list[Offer]) -> Iterator[str]:
    """What the records name and what is not there, or cannot be called."""
    for offer in offers:
        for ref in () if offer.missing else offer.refs:
            try:
                if not callable(ref.load()):
                    yield f"{offer.kind} {offer.name}: {ref.path!r} cannot be called"
            except PluginError as error:
                yield f"{offer.kind} {offer.name}: {error.message}"
    for _, recipe in catalog.recipes().values():
        if not _is_there(recipe):
            yield f"recipe {recipe.name}: there is no {recipe.file!r} in {recipe.package}"


def _is_there(recipe: PackagedRecipe) -> bool:
    from importlib.resources import files

    with contextlib.suppress(ImportError):
        return (files(recipe.package) / recipe.file).is_file()
    return False
