"""The store ``local``: folders on this machine, each whole and verified, or not there at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from llamahome_core import Context, StorageError, files, suggest
from llamahome_stores.config import LocalConfig

# No part may begin with a dot: no "..", and nothing that looks like an unfinished folder.
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,7}")


class LocalStore:
    """A tree of complete folders; a key is the path of one, such as ``my-model/v1/merged``.

    A key never lies inside another key's folder. Writers in several processes take turns.
    """

    def __init__(self, config: LocalConfig, context: Context) -> None:
        root = config.root or context.workspace.models
        # one folder for a workspace, wherever in it a command is given
        self.root = context.workspace.root / root.expanduser()
        self._context = context

    def put(self, key: str, folder: Path) -> str:
        """Keep a copy of *folder* under *key*; returns the digest of its files.

        The copy is read back and compared with the original before it appears.

        Raises:
            StorageError: *key* is taken or no key, *folder* has no files, or the copy failed.
        """
        target, wanted = self._path(key), _hashes(folder)
        with self._writing(target):
            self._check_free(key, target)
            with files.new_folder(target) as copy:
                files.copy_folder(folder, copy)
                _compare(wanted, _hashes(copy), folder)
            return files.read_manifest(target).digest

    def get(self, key: str) -> Path:
        """The folder under *key*, checked against the hashes of its manifest.

        Raises:
            StorageError: There is nothing under *key*, or it is no key.
            IntegrityError: It is not what was put.
        """
        target = self._path(key)
        # The whole tree is read only where something is wrong.
        known = [] if (target / files.MANIFEST).is_file() else self.keys()
        if not target.is_dir() or any(other.startswith(f"{key}/") for other in known):
            close = [k for k in known if k.startswith(f"{key}/")] or suggest(key, known)
            raise StorageError(
                f"nothing is stored under {key!r}",
                hint=f"did you mean {close[0]}?"
                if close
                else f"look into {self.root}; [store] in the recipe says where it is",
            )
        files.verify_folder(target)
        return target

    def keys(self, prefix: str = "") -> list[str]:
        """The complete keys that start with *prefix*, sorted; their files are not checked."""
        found = (path.relative_to(self.root).as_posix() for path in _complete(self.root))
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove what is under *key*; does nothing if there is nothing.

        Raises:
            StorageError: *key* is no key, or has other keys under it.
        """
        target = self._path(key)
        with self._writing(target):
            if below := self.keys(f"{key}/"):
                raise StorageError(
                    f"{key!r} is not one folder: there are keys under it, such as {below[0]!r}",
                    hint="delete them one by one",
                )
            files.discard(target)
            self._prune(target.parent)

    def lock(self) -> AbstractContextManager[None]:
        """Keep out all others who take this lock of the same folder, in any process.

        Raises:
            Interrupted: The run was asked to stop while it waited.
        """

        def wait(holder: str) -> None:
            self._context.warn(f"waiting for another process: {holder}")

        return files.lock(self.root / ".publish.lock", on_wait=wait, poll=self._context.stop.check)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StorageError(
                f"{key!r} cannot be a key",
                hint="letters, digits, dots, hyphens and underscores, in parts divided by /",
            )
        return self.root / key

    @contextlib.contextmanager
    def _writing(self, target: Path) -> Iterator[None]:
        """Keep other writers out, and clean up after those that were killed."""
        try:
            with files.lock(self.root / ".lock"):
                files.sweep(target.parent, folders_only=True)  # files are not this store's
                yield
        except OSError as error:
            raise StorageError(f"cannot write {target}: {error.strerror or error}") from error

    def _check_free(self, key: str, target: Path) -> None:
        if target.exists():
            raise StorageError(f"there is something under {key!r} already", hint="take a new key")
        for parent in target.relative_to(self.root).parents:
            if (self.root / parent / files.MANIFEST).exists():
                raise StorageError(
                    f"{key!r} would lie inside the folder of {str(parent)!r}",
                    hint="take a key that does not begin with that one",
                )

    def _prune(self, folder: Path) -> None:
        """Remove *folder* and those above it while they are empty, up to the root."""
        while folder != self.root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _complete(root: Path) -> Iterator[Path]:
    """Folders with a manifest; nothing is looked for inside one, nor in hidden folders."""
    for folder, below, names in os.walk(root):
        if files.MANIFEST in names:
            below.clear()
            yield Path(folder)
        below[:] = [name for name in below if not name.startswith(".")]


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of each file of *folder*, by relative path.

    Raises:
        StorageError: It cannot be read, or has no files.
    """
    try:
        found = {
            path.relative_to(folder).as_posix(): files.hash_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != files.MANIFEST
        }
    except OSError as error:
        raise StorageError(f"cannot read {folder}: {error.strerror or error}") from error
    if not found:
        raise StorageError(f"{folder} has no files to store", hint="put files into it first")
    return found


def _compare(wanted: dict[str, str], copied: dict[str, str], folder: Path) -> None:
    for name in sorted(wanted.keys() | copied.keys()):
        if wanted.get(name) != copied.get(name):
            raise StorageError(
                f"the copy of {folder / name} differs from it",
                hint="the file changed meanwhile, or the disk fails; try again",
            )
