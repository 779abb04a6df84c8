"""What a model's name means that may come to mean another: now, when last asked, and to a run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from attrs import evolve, frozen

from llamahome_core import (
    Context,
    IntegrityError,
    ModelError,
    ModelReference,
    ModelSource,
    OfflineError,
    files,
)
from llamahome_models.hub import is_offline

VERSION = 1
"""Raised when the same model would give another folder: part of the cache key."""

RECORD = "model.json"
"""In a run's folder: the model that it began with, by content."""


def key(reference: ModelReference) -> str:
    """The name of the reference's folder in the cache."""
    parts = [VERSION, reference.source, reference.location, reference.revision, reference.checksum]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def commit(folder: Path) -> str | None:
    """The commit, or what its source has instead, that the model in *folder* was fetched at."""
    try:
        metadata = files.read_manifest(folder).metadata
    except IntegrityError:
        return None
    found: str | None = metadata.get("reference", {}).get("revision")
    return found


@frozen
class Pins:
    """Puts a commit in the place of a branch, a tag or nothing.

    Attributes:
        context: A resumed run's model is the one that it began with.
        root: The cache of models, where the last commit of each name is noted.
    """

    context: Context
    root: Path

    def current(self, reference: ModelReference, source: ModelSource) -> ModelReference:
        """*reference* as its source has it now; as it was here if that does not tell.

        Raises:
            ModelError: The source has no such model, and it was never here.
        """
        if self.context.resume and self.context.directory is not None:
            began = _read(self.context.directory / RECORD)
            if began.get("name") == reference.name and began.get("commit"):
                return evolve(reference, revision=began["commit"])
        last = self.last(reference)
        if last != reference and is_offline(self.context):
            return last
        try:
            return source.pin(reference)
        except ModelError as error:
            # without the network the source may still have it in a cache of its own
            if last == reference and not isinstance(error, OfflineError):
                raise
            if last != reference:
                self.context.warn(
                    f"{error.message}; {reference.name} is used as it was when last fetched, at "
                    f"commit {last.revision}"
                )
            return last

    def last(self, reference: ModelReference) -> ModelReference:
        """*reference* as it was when it was last fetched here; itself if it never was."""
        noted = _read(self._note(reference)).get("commit")
        return reference if noted is None else evolve(reference, revision=noted)

    def keep(self, reference: ModelReference, pinned: ModelReference) -> None:
        """Note that *reference* meant *pinned*."""
        if self.last(reference).revision != pinned.revision:
            note = {"schema": 1, "name": reference.name, "commit": pinned.revision}
            files.write_json(self._note(reference), note)

    def _note(self, reference: ModelReference) -> Path:
        return self.root / f"{key(reference)}.json"


def _read(path: Path) -> dict[str, str]:
    """What was noted; nothing if it cannot be read: then the source is asked."""
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
