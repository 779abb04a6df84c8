"""What a complete folder holds: the hash of each of its files, and the check that it is so.

The manifest is written last, by ``files.new_folder``; a folder without one was never completed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from llamahome_core import records
from llamahome_core.errors import IntegrityError

MANIFEST = "MANIFEST.json"


@frozen
class Manifest:
    """What a complete folder holds.

    Attributes:
        files: Relative path to ``{"size": bytes, "sha256": hex}``.
        metadata: What the writer recorded, as JSON values.
    """

    files: dict[str, dict[str, Any]]
    metadata: dict[str, Any]

    @property
    def digest(self) -> str:
        """``sha256:…`` over names, sizes and hashes of the files, whatever the metadata."""
        text = json.dumps(self.files, sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@frozen(kw_only=True)
class File:
    """One file, as the manifest's JSON has it."""

    size: int
    sha256: str


@frozen(kw_only=True)
class Record:
    """The manifest's JSON."""

    schema: Literal[1]
    files: dict[str, File]
    metadata: dict[str, Any]


def hash_file(path: Path) -> str:
    """``sha256:`` and the hash of the content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def inside(folder: Path) -> Iterator[Path]:
    """All that is in *folder* but folders and its own manifest, sorted; links count as files."""
    for path in sorted(folder.rglob("*")):
        if path != folder / MANIFEST and (path.is_symlink() or not path.is_dir()):
            yield path


def measure(folder: Path, path: Path) -> tuple[str, File]:
    """The name of *path* in the manifest of *folder*, and its size and hash.

    Raises:
        OSError: It cannot be read, or is neither a file nor a link to one.
    """
    if not path.is_file():  # a device or a pipe would never end, and a folder has no hash
        raise OSError(f"{path} is no file")
    name = path.relative_to(folder).as_posix()
    sha256 = hash_file(path).partition(":")[2]
    return name, File(size=path.stat().st_size, sha256=sha256)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a complete folder, without checking the files.

    Raises:
        IntegrityError: There is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        plain = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise IntegrityError(f"{folder} has no {MANIFEST}: it was never completed") from None
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} is damaged: {error}") from error
    record = records.load(Record, plain, path)
    return Manifest(records.dump(record)["files"], record.metadata)


def verify_folder(folder: Path) -> Manifest:
    """Check every file of *folder* against its manifest.

    Raises:
        IntegrityError: A file is missing, extra, or not what was written; the message names it.
    """
    manifest = read_manifest(folder)
    found = {path.relative_to(folder).as_posix() for path in inside(folder)}
    for name in sorted(found ^ manifest.files.keys()):
        raise IntegrityError(
            f"{folder / name} is {'not in the manifest' if name in found else 'missing'}"
        )
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            if (size := path.stat().st_size) != expected["size"]:
                raise IntegrityError(f"{path} has {size} bytes instead of {expected['size']}")
            if hash_file(path) != f"sha256:{expected['sha256']}":
                raise IntegrityError(f"{path} is damaged: its hash differs from the manifest's")
        except OSError as error:
            raise IntegrityError(f"{path} cannot be read: {error.strerror or error}") from error
    return manifest
