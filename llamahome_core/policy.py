"""Which plugins the settings let load, known before any of them is imported.

Every start asks; to parse the settings would cost more than all the rest of ``--help``. So the
files are searched for the word first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llamahome_core.discovery import Policy
from llamahome_core.workspace import PROJECT_FILES, Workspace, user_file


def settings_policy(
    workspace: Workspace, environ: Mapping[str, str], user: Path | None = None
) -> Policy:
    """Which plugins the table ``[plugins]`` of the settings lets load.

    Settings that cannot be read let all load: whatever needs settings will say what is wrong.
    """
    user = user or user_file(environ)
    if not _is_mentioned(workspace, environ, user):
        return Policy()
    from llamahome_core import config
    from llamahome_core.recipe import PluginPolicy
    from llamahome_core.settings import Sources, gather

    sources = Sources(environ=environ, user_file=user)
    try:
        merged, _ = gather(workspace, (), sources)
    except config.ConfigError:
        return Policy()
    found, _ = config.structure(merged.data.get("plugins", {}), PluginPolicy)
    if found is None:
        return Policy()
    only = None if found.enable is None else frozenset(found.enable)
    return Policy(only=only, blocked=frozenset(found.block), strict=found.strict)


def _is_mentioned(workspace: Workspace, environ: Mapping[str, str], user: Path) -> bool:
    stems = (*PROJECT_FILES, environ.get("LLAMAHOME_ENV") or PROJECT_FILES[0])
    paths = [user, workspace.root / ".env", *workspace.settings_files(stems)]
    if any(name.startswith("LLAMAHOME_PLUGINS__") for name in environ):
        return True
    return any(b"plugins" in path.read_bytes().lower() for path in paths if path.is_file())
