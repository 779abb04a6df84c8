"""Where LlamaHome keeps things: one folder, found from the working directory upwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

from attrs import frozen

from llamahome_core.errors import LlamaHomeError, StorageError, WorkspaceError

MARKER = Path(".config") / "llamahome.toml"
SUFFIXES = (".toml", ".yaml", ".yml", ".json")
PROJECT_FILES = ("llamahome", "training_config", "models")


@frozen
class Workspace:
    """The folder that holds settings, caches, models and runs.

    Attributes:
        root: The nearest parent with ``.config/llamahome.toml``, else ``$LLAMAHOME_HOME``, else
            ``~/.llamahome``.
    """

    root: Path

    @classmethod
    def find(cls, start: Path | None = None, environ: Mapping[str, str] | None = None) -> Workspace:
        """The workspace of *start* (the working directory if not given); creates nothing.

        Raises:
            WorkspaceError: ``LLAMAHOME_HOME`` is a file or not absolute.
        """
        start = (start or Path.cwd()).absolute()
        for folder in (start, *start.parents):
            if (folder / MARKER).is_file():
                return cls(folder)
        env = os.environ if environ is None else environ
        try:
            home = Path(env.get("LLAMAHOME_HOME") or "~/.llamahome").expanduser()
        except RuntimeError as error:  # a container whose user has no home
            raise WorkspaceError(
                f"there is no folder for a workspace: {error}",
                hint="export LLAMAHOME_HOME=/a/folder, or llamahome init in one",
            ) from error
        if not home.is_absolute():
            raise WorkspaceError(
                f"LLAMAHOME_HOME is {str(home)!r}, which is not an absolute path",
                hint=f"export LLAMAHOME_HOME={home.absolute()}",
            )
        if home.exists() and not home.is_dir():
            raise WorkspaceError(
                f"the workspace {home} is not a folder", hint="set LLAMAHOME_HOME to a folder"
            )
        return cls(home)

    @property
    def config(self) -> Path:
        """Settings, the catalogue of models, recipe defaults."""
        return self.root / ".config"

    def settings_files(self, stems: Iterable[str] = PROJECT_FILES) -> list[Path]:
        """The files of settings called *stems*, in any format, that there are; weakest first."""
        paths = [self.config / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES]
        # A stem may come from outside: one that leads out of the folder names no file in it.
        return [path for path in paths if path.parent == self.config and path.is_file()]

    @property
    def runs(self) -> Path:
        """One folder for each run."""
        return self.root / "runs"

    @property
    def models(self) -> Path:
        """Published versions: not a cache."""
        return self.root / "data" / "models"

    @property
    def scratch(self) -> Path:
        """Short-lived files of this workspace's commands; may be deleted at any time."""
        return self.cache("system")

    def cache(self, part: str) -> Path:
        """``.cache/<part>``, where part is models, training or system; may be deleted."""
        return self.root / ".cache" / part

    def contain_caches(self, environ: MutableMapping[str, str]) -> None:
        """Point the caches of libraries here, except where the user has set them."""
        models, system = self.cache("models"), self.cache("system")
        environ.setdefault("HF_HOME", str(models / "huggingface"))
        environ.setdefault("TORCH_HOME", str(system / "torch"))
        environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(system / "torchinductor"))
        environ.setdefault("TRITON_CACHE_DIR", str(system / "triton"))
        environ.setdefault("TORCH_EXTENSIONS_DIR", str(system / "torch_extensions"))
        environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        environ.setdefault("DO_NOT_TRACK", "1")


def user_file(environ: Mapping[str, str]) -> Path:
    """The user's settings: ``config.toml`` in the platform's configuration folder."""
    if folder := environ.get("XDG_CONFIG_HOME"):
        return Path(folder) / "llamahome" / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("llamahome", appauthor=False) / "config.toml"


_SPACE = "make room on that disk, or move the workspace: export LLAMAHOME_HOME=/a/folder"
_RIGHTS = "let yourself write there, or use another folder: export LLAMAHOME_HOME=/a/folder"
_IN_THE_WAY = "something else stands where a folder should be: move it away"
_FIXES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EIO: "the disk fails: keep a copy of what you need, and look at the system's log",
    errno.ENAMETOOLONG: "take a shorter name or folder",
    errno.EMFILE: "let the process open more files: ulimit -n 4096",
}


def fix_of(error: LlamaHomeError) -> str | None:
    """How to mend *error*: its own hint or, where a disk failed, what the reason asks for."""
    if error.hint or not isinstance(error, StorageError) or error.code != StorageError.code:
        return error.hint
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return _FIXES.get(
        number or 0, "is there space, and may you write there? llamahome doctor looks"
    )
