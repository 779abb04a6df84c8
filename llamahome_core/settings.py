"""Gathers the layers of settings of a workspace, weakest first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from llamahome_core import config
from llamahome_core.components import Defaults
from llamahome_core.config import ConfigError, Document, Merged, Problem
from llamahome_core.discovery import Plugin
from llamahome_core.errors import suggest
from llamahome_core.extends import chain
from llamahome_core.workspace import SUFFIXES, Workspace, user_file


@frozen(kw_only=True)
class Sources:
    """What a recipe is made from, besides the files of the workspace.

    Attributes:
        recipe: The recipe: a file, plain tables, or nothing.
        parameters: Runtime parameters of an embedding call.
        assignments: ``--set`` texts.
        environ: Environment variables.
        user_file: The user's own settings, if not where the platform puts them.
        packaged: Finds a packaged recipe that a recipe extends by its name.
        edited: What to read in the place of a file of settings, which may not be there yet.
        last: The file of settings to stop at: none that is stronger is read.
    """

    recipe: Path | Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(factory=dict)
    assignments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(factory=lambda: os.environ)
    user_file: Path | None = None
    packaged: Callable[[str], Path] | None = None
    edited: Mapping[Path, str] = field(factory=dict)
    last: Path | None = None


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
    recipe = _all_of(problems, lambda: _recipe(sources))
    documents: list[Document] = []
    if not any(document.data.get("resolved") is True for document in recipe):
        documents += [_plugin_document(plugin, record) for plugin, record in defaults]
        for read in _files(workspace, sources):
            documents += _all_of(problems, read)
    documents += recipe
    if sources.parameters:
        documents += _all_of(problems, lambda: [config.runtime(sources.parameters)])
    documents += _all_of(problems, lambda: config.overrides(sources.assignments))
    if problems:
        raise ConfigError(problems)
    paths = [document.path for document in documents]
    if sources.last is not None:
        documents = documents[: paths.index(sources.last) + 1]
    return config.merge(documents), recipe[-1] if recipe else None


def _all_of(problems: list[Problem], read: Callable[[], list[Document]]) -> list[Document]:
    try:
        return read()
    except ConfigError as error:
        problems += error.problems
        return []


def _recipe(sources: Sources) -> list[Document]:
    """The recipe, and before it the recipes that it extends."""
    if sources.recipe is None:
        return []
    if isinstance(sources.recipe, Path):
        document = config.read(sources.recipe, "recipe")
    else:
        document = evolve(config.runtime(sources.recipe), layer="recipe", name="recipe")
    return chain(document, sources.packaged)


def _plugin_document(plugin: Plugin, record: Defaults) -> Document:
    return evolve(config.runtime(record.tables), layer="plugin", name=f"plugin {plugin.owner}")


def _files(workspace: Workspace, sources: Sources) -> Iterator[Callable[[], list[Document]]]:
    """Readers of the files below the recipe, weakest first."""
    user = sources.user_file or user_file(sources.environ)
    if user.exists() or user in sources.edited:
        yield partial(_read, user, "user", sources.edited)
    files = workspace.settings_files()
    for path in [*(new for new in sources.edited if new not in [user, *files]), *files]:
        yield partial(_read, path, "project", sources.edited)
    if profile := sources.environ.get("LLAMAHOME_ENV"):
        chosen = workspace.settings_files((profile,))
        if not chosen:
            yield partial(_no_profile, workspace.config, profile)
        for path in chosen:
            yield partial(_read, path, "profile", sources.edited)
    variables = workspace.root / ".env"
    if variables.is_file():
        yield lambda: config.read_dotenv(variables)[0]
    yield lambda: config.environment(sources.environ)


def _no_profile(folder: Path, profile: str) -> list[Document]:
    """A misspelt profile that is passed over would train with other settings than were meant."""
    if (folder / profile).parent != folder:
        message = f"LLAMAHOME_ENV must be a plain name, got {profile!r}"
        fix = f"write production for {folder / 'production.toml'}"
        raise ConfigError([Problem("C111", message, fix=fix)])
    names = [path.stem for path in folder.glob("*.*") if path.suffix in SUFFIXES]
    close = suggest(profile, names)
    fix = f"did you mean {close[0]}?" if close else f"write {folder / profile}.toml, or unset it"
    message = f"LLAMAHOME_ENV is {profile!r}, and {folder} has no {profile}.toml, .yaml or .json"
    raise ConfigError([Problem("C109", message, fix=fix)])


def _read(path: Path, layer: str, edited: Mapping[Path, str]) -> list[Document]:
    text = edited.get(path)
    document = config.read(path, layer) if text is None else config.parse(text, path, layer)
    return [in_place(document)]


def in_place(document: Document) -> Document:
    """*document* as a layer: the catalogue's file holds only what is under ``models``."""
    if document.path is None or document.layer == "user" or document.path.stem != "models":
        return document
    marks = {("models", *where): mark for where, mark in document.marks.items()}
    return evolve(document, data={"models": document.data}, marks=marks)
