"""Gathers the layers of settings of a workspace, weakest first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from llamahome_core import config
from llamahome_core.components import Defaults
from llamahome_core.config import ConfigError, Document, Merged, Problem
from llamahome_core.discovery import Plugin
from llamahome_core.workspace import Workspace

SUFFIXES = (".toml", ".yaml", ".yml", ".json")
PROJECT_FILES = ("llamahome", "training_config", "models")


@frozen(kw_only=True)
class Sources:
    """What a recipe is made from, besides the files of the workspace.

    Attributes:
        recipe: The recipe: a file, plain tables, or nothing.
        parameters: Runtime parameters of an embedding call.
        assignments: ``--set`` texts.
        environ: Environment variables.
        user_file: The user's own settings, if not where the platform puts them.
    """

    recipe: Path | Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(factory=dict)
    assignments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(factory=lambda: os.environ)
    user_file: Path | None = None


def gather(
    workspace: Workspace, defaults: Iterable[tuple[Plugin, Defaults]], sources: Sources
) -> tuple[Merged, Document | None]:
    """All layers merged, and the recipe's document.

    A recipe that says ``resolved = true`` holds every value: only runtime parameters and the
    command line are added to it.

    Raises:
        ConfigError: Files that cannot be read or understood, all of them at once.
    """
    problems: list[Problem] = []
    recipe = _all_of(problems, lambda: _recipe(sources.recipe))
    documents: list[Document] = []
    if not (recipe and recipe[0].data.get("resolved") is True):
        documents += [_plugin_document(plugin, record) for plugin, record in defaults]
        for read in _files(workspace, sources):
            documents += _all_of(problems, read)
    documents += recipe
    if sources.parameters:
        documents += _all_of(problems, lambda: [config.runtime(sources.parameters)])
    documents += _all_of(problems, lambda: config.overrides(sources.assignments))
    if problems:
        raise ConfigError(problems)
    return config.merge(documents), recipe[0] if recipe else None


def _all_of(problems: list[Problem], read: Callable[[], list[Document]]) -> list[Document]:
    try:
        return read()
    except ConfigError as error:
        problems += error.problems
        return []


def _recipe(recipe: Path | Mapping[str, Any] | None) -> list[Document]:
    if recipe is None:
        return []
    if isinstance(recipe, Path):
        return [config.read(recipe, "recipe")]
    return [evolve(config.runtime(recipe), layer="recipe", name="recipe")]


def _plugin_document(plugin: Plugin, record: Defaults) -> Document:
    return evolve(config.runtime(record.tables), layer="plugin", name=f"plugin {plugin.name}")


def _files(workspace: Workspace, sources: Sources) -> Iterator[Callable[[], list[Document]]]:
    """Readers of the files below the recipe, weakest first."""
    user = sources.user_file or user_file(sources.environ)
    if user.exists():
        yield lambda: [config.read(user, "user")]
    profile = sources.environ.get("LLAMAHOME_ENV")
    variables = workspace.root / ".env"
    for path in _present(workspace.config, PROJECT_FILES):
        yield lambda path=path: [_read(path, "project")]  # type: ignore[misc]
    if profile:
        for path in _present(workspace.config, (profile,)):
            yield lambda path=path: [_read(path, "profile")]  # type: ignore[misc]
    if variables.is_file():
        yield lambda: config.read_dotenv(variables)[0]
    yield lambda: config.environment(sources.environ)


def user_file(environ: Mapping[str, str]) -> Path:
    """The user's settings: ``config.toml`` in the platform's configuration folder."""
    if folder := environ.get("XDG_CONFIG_HOME"):
        return Path(folder) / "llamahome" / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("llamahome", appauthor=False) / "config.toml"


def _present(folder: Path, stems: Iterable[str]) -> list[Path]:
    paths = [folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES]
    return [path for path in paths if path.is_file()]


def _read(path: Path, layer: str) -> Document:
    """The file's document; the catalogue's file holds only what is under ``models``."""
    document = config.read(path, layer)
    if path.stem != "models":
        return document
    marks = {("models", *where): mark for where, mark in document.marks.items()}
    return evolve(document, data={"models": document.data}, marks=marks)
