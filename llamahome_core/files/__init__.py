"""The only package that writes durable files: atomic replace, fsync, whole folders, locks.

A file is either the old one or the new one; a folder is complete, with a manifest of the hash of
each of its files, or it does not exist. After a power cut a file can have its full length and no
content, so a size proves nothing: what is read back is hashed.
"""

from __future__ import annotations

from llamahome_core.files.atomic import (
    fsync_file,
    fsync_folder,
    make_folder,
    write_bytes,
    write_json,
    write_text,
)
from llamahome_core.files.folders import copy_folder, discard, new_folder, sweep
from llamahome_core.files.lines import LineWriter
from llamahome_core.files.locks import is_held, lock
from llamahome_core.files.manifests import (
    MANIFEST,
    Manifest,
    hash_file,
    read_manifest,
    verify_folder,
)

__all__ = [
    "MANIFEST",
    "LineWriter",
    "Manifest",
    "copy_folder",
    "discard",
    "fsync_file",
    "fsync_folder",
    "hash_file",
    "is_held",
    "lock",
    "make_folder",
    "new_folder",
    "read_manifest",
    "sweep",
    "verify_folder",
    "write_bytes",
    "write_json",
    "write_text",
]
