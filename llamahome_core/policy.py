"""Which plugins the settings let load, known before any of them is imported.

Every start asks; to parse the settings would cost more than all the rest of ``--help``. So the
files are searched for the word first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from llamahome_core.discovery import Plugin, Policy
from llamahome_core.errors import no_plugin
from llamahome_core.workspace import PROJECT_FILES, Workspace, user_file

if TYPE_CHECKING:
    from llamahome_core.config import ConfigError, Merged


def settings_policy(
    workspace: Workspace, environ: Mapping[str, str], user: Path | None = None
) -> tuple[Policy, ConfigError | None]:
    """Which plugins the table ``[plugins]`` of the settings lets load.

    Where it cannot be read, what it forbids is not known: only LlamaHome's own plugins load, and
    the error says why.
    """
    user = user or user_file(environ)
    if not _is_mentioned(workspace, environ, user):
        return Policy(), None
    from llamahome_core import config
    from llamahome_core.recipe import PluginPolicy
    from llamahome_core.settings import Sources, gather

    try:
        merged, _ = gather(workspace, (), Sources(environ=environ, user_file=user))
    except config.ConfigError as error:
        return Policy(own=True), error
    table = merged.data.get("plugins", {})
    found, problems = config.structure(table, PluginPolicy, at=("plugins",))
    if found is None:
        return Policy(own=True), config.ConfigError(merged.locate(problems))
    only = None if found.enable is None else frozenset(found.enable)
    narrow = Policy(only=only, source=_said(merged, "enable"))
    block = Policy(blocked=frozenset(found.block), source=_said(merged, "block"))
    switches = Policy(strict=found.strict, locked=found.locked)
    return narrow.narrowed(block).narrowed(switches), None


def _said(merged: Merged, key: str) -> str:
    """Who says it, for messages: ``plugins.block (.config/llamahome.toml:3:9)``."""
    origin = merged.origin(("plugins", key))
    return f"plugins.{key} ({origin.place()})" if origin else f"plugins.{key}"


def in_effect(
    asked: Policy, workspace: Workspace, environ: Mapping[str, str], user: Path | None = None
) -> tuple[Policy, ConfigError | None]:
    """What *asked* and the settings allow together, and the lock if either asks for it.

    Without a lock that can be read, as without settings, only LlamaHome's own plugins load.
    """
    settings, error = settings_policy(workspace, environ, user)
    policy = asked.narrowed(settings)
    if not policy.locked or error is not None:
        return policy, error
    from llamahome_core.config import ConfigError
    from llamahome_core.lock import Lock

    try:
        return evolve(policy, vet=Lock.read(workspace).objection), None
    except ConfigError as unreadable:
        return evolve(policy, own=True), unreadable


def refuse_unknown(asked: Policy, plugins: Iterable[Plugin]) -> None:
    """Refuse a misspelt name: it would load nothing, or block nothing, without a word.

    Raises:
        UnknownNameError: *asked* names a plugin that is not installed.
    """
    known = {plugin.name for plugin in plugins}
    for name in sorted({*(asked.only or ()), *asked.blocked} - known):
        raise no_plugin(name, known, f"{asked.source}: ")


def _is_mentioned(workspace: Workspace, environ: Mapping[str, str], user: Path) -> bool:
    if any(name.startswith("LLAMAHOME_PLUGINS__") for name in environ):
        return True
    stems = (*PROJECT_FILES, environ.get("LLAMAHOME_ENV") or PROJECT_FILES[0])
    paths = [user, workspace.root / ".env", *workspace.settings_files(stems)]
    return any(_mentions(path) for path in paths)


def _mentions(path: Path) -> bool:
    try:
        return path.is_file() and b"plugins" in path.read_bytes().lower()
    except OSError:  # it may; what reads the settings says why it cannot
        return True
