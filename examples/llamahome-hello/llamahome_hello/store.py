"""The store `attic`: one zip archive for each folder.

All that must survive a power cut goes through `llamahome_core.files`: a folder that it makes is
complete, with the hash of each file in its manifest, or it is not there.
"""

from __future__ import annotations

import re
import zipfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from llamahome_core import Context, IntegrityError, StorageError, files, suggest
from llamahome_hello.config import AtticConfig

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_ARCHIVE = "content.zip"


class Attic:
    """Keeps `my-model/v1` in the folder `my-model+v1`; unpacks it into the cache when asked."""

    def __init__(self, config: AtticConfig, context: Context) -> None:
        self.root = config.root or context.workspace.models / "attic"
        self.unpacked = context.workspace.cache("system") / "attic"
        self.level = config.level
        self.stop = context.stop

    def put(self, key: str, folder: Path) -> str:
        """Keep *folder* under *key*, which must be new; returns the digest of its content."""
        target = self._path(key)
        with files.lock(self.root / ".lock"):
            files.sweep(self.root, folders_only=True)  # what a killed process left
            if target.exists():
                raise StorageError(f"there is something under {key!r}", hint="take a new key")
            with files.new_folder(target) as new:
                self._pack(folder, new / _ARCHIVE)
        return files.read_manifest(self.get(key)).digest

    def get(self, key: str) -> Path:
        """A verified folder with the content."""
        target = self._path(key)
        if not target.is_dir():
            close = suggest(key, self.keys())
            hint = f"did you mean {close[0]}?" if close else f"look into {self.root}"
            raise StorageError(f"nothing is stored under {key!r}", hint=hint)
        archive = files.verify_folder(target)
        unpacked = self.unpacked / archive.digest.removeprefix("sha256:")
        with files.lock(self.unpacked / ".lock"):
            with suppress(IntegrityError):  # it is not there, or was damaged: unpack it
                files.verify_folder(unpacked)
                return unpacked
            files.discard(unpacked)
            with files.new_folder(unpacked) as new, zipfile.ZipFile(target / _ARCHIVE) as content:
                content.extractall(new)
        return unpacked

    def keys(self, prefix: str = "") -> list[str]:
        """The complete keys that start with *prefix*, sorted."""
        names = [path.parent.name for path in self.root.glob(f"*/{files.MANIFEST}")]
        found = [name.replace("+", "/") for name in names if not name.startswith(".")]
        return sorted(key for key in found if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove what is under *key*; what was unpacked is a cache, and may be removed any time."""
        target = self._path(key)
        with files.lock(self.root / ".lock"):
            files.discard(target)

    def lock(self) -> AbstractContextManager[None]:
        """Keep out all others who take this lock, in any process."""
        return files.lock(self.root / ".publish.lock", poll=self.stop.check)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):  # no part begins with a dot: none leads out of the store
            raise StorageError(f"{key!r} cannot be a key", hint="such as: my-model/v1")
        return self.root / key.replace("/", "+")

    def _pack(self, folder: Path, path: Path) -> None:
        found = sorted(file for file in folder.rglob("*") if file.is_file())
        found = [file for file in found if file != folder / files.MANIFEST]  # it is no content
        if not found:
            raise StorageError(f"{folder} has no files to store", hint="put files into it")
        method = zipfile.ZIP_DEFLATED if self.level else zipfile.ZIP_STORED
        with zipfile.ZipFile(
            path, "x", method, compresslevel=self.level, strict_timestamps=False
        ) as archive:
            for file in found:
                archive.write(file, file.relative_to(folder))
