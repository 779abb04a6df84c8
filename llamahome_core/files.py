"""The only module that writes durable files: atomic replace, fsync, whole folders, locks.

A file is either the old one or the new one; a folder is complete, with a manifest of the hash of
each of its files, or it does not exist. After a power cut a file can have its full length and no
content, so a size proves nothing: what is read back is hashed.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import socket
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from llamahome_core.errors import HeldError, IntegrityError, StorageError

MANIFEST = "MANIFEST.json"
_CHUNK = 1 << 20


def fsync_folder(folder: Path) -> None:
    """Make the entries of *folder* durable: new names, renames and removals."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the content of *path* durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    """Create *folder* and its parents, each durable.

    Raises:
        StorageError: It cannot be made.
    """
    try:
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            fsync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror or error}") from error
    return folder


def _temporary(target: Path) -> Path:
    """A name beside *target* that no other attempt has: rename works only in one file system."""
    return target.with_name(f".{target.name}.tmp-{uuid.uuid4().hex}")


def write_bytes(target: Path, data: bytes) -> None:
    """Replace *target* by *data*, atomically and durably; its permissions are kept.

    Raises:
        StorageError: The disk failed or is full; the old file is untouched.
    """
    make_folder(target.parent)
    temporary = _temporary(target)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
        with open(os.open(temporary, flags, mode), "wb") as file:  # noqa: PTH123  # O_EXCL
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
        fsync_folder(target.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error


def write_text(target: Path, text: str) -> None:
    """Replace *target* by *text* in UTF-8; see :func:`write_bytes`."""
    write_bytes(target, text.encode())


def write_json(target: Path, value: Any) -> None:
    """Replace *target* by *value* as JSON; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(target, text + "\n")


def hash_file(path: Path) -> str:
    """``sha256:`` and the hash of the content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def discard(path: Path) -> None:
    """Remove a file or folder so that half a removal never looks like the whole thing."""
    trash = path.with_name(f".trash-{uuid.uuid4().hex}")
    try:
        path.rename(trash)
    except FileNotFoundError:
        return
    fsync_folder(path.parent)
    if trash.is_dir():
        shutil.rmtree(trash)
    else:
        trash.unlink()


def sweep(folder: Path, name: str | None = None) -> list[Path]:
    """Remove what crashed attempts left in *folder*; call it only with the lock of that held.

    Args:
        folder: Where the attempts were made.
        name: Only attempts to make this file or folder; all, and half-removed ones, if None.
    """
    if name is not None:
        left = list(folder.glob(f".{glob.escape(name)}.tmp-*"))
    else:
        left = [p for p in folder.glob(".*") if ".tmp-" in p.name or p.name.startswith(".trash-")]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return left


# --- Whole folders -----------------------------------------------------------------------------


@frozen
class Manifest:
    """What a complete folder holds.

    Attributes:
        files: Relative path to ``{"size": bytes, "sha256": hex}``.
        metadata: What the writer recorded, as JSON values.
        digest: ``sha256:…`` over names, sizes and hashes: the content's identity.
    """

    files: dict[str, dict[str, Any]]
    metadata: dict[str, Any]

    @property
    def digest(self) -> str:
        """``sha256:…`` over names and hashes of the files, whatever the metadata."""
        text = json.dumps(self.files, sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _inside(folder: Path) -> Iterator[Path]:
    yield from sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)


@contextlib.contextmanager
def new_folder(
    target: Path, metadata: Callable[[], dict[str, Any]] | None = None
) -> Iterator[Path]:
    """Fill a folder that appears as *target*, complete and durable, when the block ends.

    On any error nothing appears. The files are hashed and synced, then the manifest is written,
    then the folder is renamed.

    Args:
        target: The folder to make; it must not exist.
        metadata: Called at the end of the block for what the manifest shall record.

    Yields:
        The temporary folder to write into.

    Raises:
        StorageError: *target* exists, or the disk failed or is full.
    """
    if target.exists():
        raise StorageError(f"{target} exists already")
    make_folder(target.parent)
    temporary = _temporary(target)
    try:
        temporary.mkdir()
        yield temporary
        _seal(temporary, metadata() if metadata else {})
        temporary.rename(target)
        fsync_folder(target.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _seal(folder: Path, metadata: dict[str, Any]) -> None:
    files = {}
    for path in _inside(folder):
        fsync_file(path)
        name = path.relative_to(folder).as_posix()
        files[name] = {"size": path.stat().st_size, "sha256": hash_file(path).partition(":")[2]}
    write_json(folder / MANIFEST, {"schema": 1, "files": files, "metadata": metadata})
    for path in sorted(p for p in folder.rglob("*") if p.is_dir()):
        fsync_folder(path)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a complete folder, without checking the files.

    Raises:
        IntegrityError: There is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_bytes())
        return Manifest(raw["files"], raw["metadata"])
    except FileNotFoundError:
        raise IntegrityError(f"{folder} has no {MANIFEST}: it was never completed") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is damaged: {error}") from error


def verify_folder(folder: Path) -> Manifest:
    """Check every file of *folder* against its manifest.

    Raises:
        IntegrityError: A file is missing, extra, or not what was written; the message names it.
    """
    manifest = read_manifest(folder)
    found = {path.relative_to(folder).as_posix() for path in _inside(folder)}
    for name in sorted(found ^ manifest.files.keys()):
        raise IntegrityError(
            f"{folder / name} is {'not in the manifest' if name in found else 'missing'}"
        )
    for name, expected in manifest.files.items():
        path = folder / name
        if (size := path.stat().st_size) != expected["size"]:
            raise IntegrityError(f"{path} has {size} bytes instead of {expected['size']}")
        if hash_file(path) != f"sha256:{expected['sha256']}":
            raise IntegrityError(f"{path} is damaged: its hash differs from the manifest's")
    return manifest


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files of *source*, without its manifest, into the existing folder *target*."""
    for path in _inside(source):
        into = target / path.relative_to(source)
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, into)


# --- Lines and locks ---------------------------------------------------------------------------


@define
class LineWriter:
    """Appends whole lines to a file, each with one write, so that a reader sees all or a torn tail.

    What a crash left after the last newline is cut off first: the next line must not be glued to
    it. Open it only while holding the lock of what the file belongs to.
    """

    path: Path
    _descriptor: int = field(init=False, default=-1)

    def __attrs_post_init__(self) -> None:
        make_folder(self.path.parent)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._descriptor, _whole_lines(self.path))

    def write(self, line: str) -> None:
        """Append *line* and a newline.

        Raises:
            StorageError: The disk failed or is full.
        """
        data = line.encode() + b"\n"
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise StorageError(f"cannot append to {self.path}: {error.strerror}") from error
        if written != len(data):
            raise StorageError(f"cannot append to {self.path}: the disk is full")

    def sync(self) -> None:
        """Make what was written durable."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Sync and close; writing afterwards is an error."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def _whole_lines(path: Path) -> int:
    """Bytes up to and including the last newline."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while end > 0:
            start = max(0, end - _CHUNK)
            file.seek(start)
            if (at := file.read(end - start).rfind(b"\n")) >= 0:
                return start + at + 1
            end = start
    return 0


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file *path*; the kernel frees it when its holder dies, however it dies.

    Args:
        path: The lock file; it stays, with the holder's host and process id in it.
        wait: Wait for the holder instead of failing.

    Raises:
        HeldError: *wait* is false and another process holds it; the message says which.
        StorageError: The lock file cannot be made.
    """
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"cannot open {path}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            raise HeldError(f"{path} is held by {holder or 'another process'}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)
