"""Which plugins the settings let load, known before any of them is imported.

Every start asks; to parse the settings would cost more than all the rest of ``--help``. So the
files are searched for the word first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llamahome_core.discovery import Policy
from llamahome_core.workspace import PROJECT_FILES, Workspace, user_file

if TYPE_CHECKING:
    from llamahome_core.config import ConfigError


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
    return Policy(only=only, blocked=frozenset(found.block), strict=found.strict), None


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
