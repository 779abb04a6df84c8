"""One file, replaced as a whole or not at all; folders and syncs that the others need too."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import uuid
from pathlib import Path
from typing import Any

from llamahome_core.errors import StorageError


def why(error: OSError, where: Path | None = None) -> str:
    """The reason, and the file that is to blame, if it is not in *where*."""
    reason = error.strerror or str(error)
    blamed = error.filename
    if where is None or not isinstance(blamed, str) or Path(blamed).is_relative_to(where):
        return reason
    return f"{reason}: {blamed}"


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
        missing = [p for p in (folder, *folder.parents) if not p.is_dir()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            fsync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {why(error)}") from error
    return folder


def temporary_beside(target: Path) -> Path:
    """A name beside *target* that no other attempt has: rename works only in one file system."""
    return target.with_name(f".{target.name}.tmp-{uuid.uuid4().hex}")


def write_bytes(target: Path, data: bytes) -> None:
    """Replace *target* by *data*, atomically and durably; its permissions are kept.

    Raises:
        StorageError: The disk failed or is full. The old file is untouched; if nothing but the
            last sync failed, the new one has replaced it and may not outlast a power cut.
    """
    make_folder(target.parent)
    temporary = temporary_beside(target)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with open(os.open(temporary, flags, 0o644), "wb") as file:  # noqa: PTH123  # with O_EXCL
            if target.exists():  # what open is given is cut by the umask
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
        fsync_folder(target.parent)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {why(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Replace *target* by *text* in UTF-8; see :func:`write_bytes`."""
    write_bytes(target, text.encode())


def write_json(target: Path, value: Any) -> None:
    """Replace *target* by *value* as JSON; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(target, json_line(text))


def json_line(text: str) -> bytes:
    r"""*text*, which is JSON, in UTF-8; half a surrogate pair, which UTF-8 has not, as ``\udc80``.

    Names of files that are no UTF-8 have such halves in Python.
    """
    return text.encode(errors="backslashreplace") + b"\n"
