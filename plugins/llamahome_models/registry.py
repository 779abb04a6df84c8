"""Published versions of models by name and tag, over whatever store the recipe chooses.

A version ``name:v1`` is a few keys of the store: one for each part, ``name/v1/merged``, and last
``name/v1/version``, which holds what the version consists of. Without it there is no version; what
a crash left of one is removed before the next is published under that name.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from llamahome_core import Context, IntegrityError, ModelError, Store, Version, files
from llamahome_models.references import choose

_RECORD = "version"
_FILE = "version.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NUMBER = re.compile(r"v\d+")
_COMPLETE = re.compile(rf"([^/]+)/v(\d+)/{_RECORD}")


def make_registry(context: Context) -> VersionRegistry:
    """The registry over the context's store."""
    return VersionRegistry(context)


@frozen
class VersionRegistry:
    """A :class:`~llamahome_core.Registry`."""

    context: Context
    store: Store = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "store", self.context.build("store"))

    def publish(
        self,
        name: str,
        parts: Mapping[str, Path],
        *,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Version:
        """Store *parts* as the next version of *name* and point *tags* at it.

        Args:
            name: Letters, digits, dots, hyphens, underscores.
            parts: Part, such as ``merged``, to the folder that is copied.
            tags: Names that point at the new version from now on.
            metadata: JSON values to record.

        Raises:
            ModelError: A name or tag is not allowed.
            StorageError: The store failed; there is no such version.
        """
        _check_names(name, parts, tags)
        with files.lock(self._home / ".lock"):
            self._clear(name)
            number = max((v.number for v in self.versions(name)), default=0) + 1
            digest = self._put(f"{name}/v{number}", parts, dict(metadata or {}))
            self._tag(name, number, tags)
        version = Version(name=name, number=number, tags=tuple(tags), digest=digest)
        found = self.find(version.label)
        return evolve(found, digest=digest)

    def find(self, label: str) -> Version:
        """``name``, ``name:tag`` or ``name:v3``; a bare name means ``latest``, else the newest.

        Every part is verified.

        Raises:
            UnknownNameError: There is no such version.
            IntegrityError: A part is not what was published.
        """
        version = choose(self.versions(label.partition(":")[0]), label)
        key = f"{version.name}/v{version.number}"
        recorded: dict[str, str] = self._read(key)["parts"]
        return evolve(version, files={p: self._part(key, p, d) for p, d in recorded.items()})

    def versions(self, name: str | None = None) -> list[Version]:
        """All versions, by name and number, without their files: :meth:`find` verifies those."""
        tags = self._tags()
        found = []
        for key in self.store.keys("" if name is None else f"{name}/"):
            if match := _COMPLETE.fullmatch(key):
                model, number = match[1], int(match[2])
                found.append(self._version(model, number, tags.get(model, {})))
        return sorted(found, key=lambda version: (version.name, version.number))

    @property
    def _home(self) -> Path:
        # no model's name begins with a dot
        return self.context.workspace.models / ".registry"

    def _version(self, name: str, number: int, tags: Mapping[str, int]) -> Version:
        key = f"{name}/v{number}"
        record = self._read(key)
        return Version(
            name=name,
            number=number,
            tags=tuple(sorted(tag for tag, at in tags.items() if at == number)),
            digest=record["digest"],
            metadata=record["metadata"] | {"created": record["created"]},
        )

    def _read(self, key: str) -> dict[str, Any]:
        path = self.store.get(f"{key}/{_RECORD}") / _FILE
        try:
            record: dict[str, Any] = json.loads(path.read_bytes())
            wanted = {key: record[key] for key in ("parts", "metadata", "created")}
            return wanted | {"digest": _digest(path.parent)}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise IntegrityError(f"{path} is damaged: {error}") from error

    def _part(self, key: str, part: str, recorded: str) -> Path:
        """The verified folder of a part that is also the one the version was made of."""
        path = self.store.get(f"{key}/{part}")
        if _digest(path) != recorded:
            raise IntegrityError(f"{part} of {key} is not what was published")
        return path

    def _put(self, key: str, parts: Mapping[str, Path], metadata: dict[str, Any]) -> str:
        """Store the parts, and last the record that makes them a version; returns its digest."""
        digests = {}
        try:
            for part, folder in parts.items():
                digests[part] = self.store.put(f"{key}/{part}", folder)
            record = {
                "schema": 1,
                "parts": digests,
                "metadata": metadata,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            with self._scratch() as folder:
                files.write_json(folder / _FILE, record)
                return self.store.put(f"{key}/{_RECORD}", folder)
        except BaseException:
            for part in digests:
                with contextlib.suppress(Exception):
                    self.store.delete(f"{key}/{part}")
            raise

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        folder = self.context.workspace.scratch / f"publish-{uuid.uuid4().hex}"
        try:
            yield files.make_folder(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _clear(self, name: str) -> None:
        """Remove what a crash left: parts whose version was never completed."""
        keys = self.store.keys(f"{name}/")
        complete = {key.rpartition("/")[0] for key in keys if key.endswith(f"/{_RECORD}")}
        for key in keys:
            if key.rpartition("/")[0] not in complete:
                self.store.delete(key)

    def _tags(self) -> dict[str, dict[str, int]]:
        path = self._home / "tags.json"
        try:
            found: dict[str, dict[str, int]] = json.loads(path.read_bytes())["tags"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{path} is damaged: {error}",
                hint="delete it: versions keep their numbers, and lose their tags",
            ) from error
        return found

    def _tag(self, name: str, number: int, tags: Sequence[str]) -> None:
        all_tags = self._tags()
        all_tags[name] = all_tags.get(name, {}) | dict.fromkeys(tags, number)
        files.write_json(self._home / "tags.json", {"schema": 1, "tags": all_tags})


def _digest(folder: Path) -> str:
    return files.read_manifest(folder).digest


def _check_names(name: str, parts: Mapping[str, Path], tags: Sequence[str]) -> None:
    for what in (name, *parts, *tags):
        if not _NAME.fullmatch(what):
            raise ModelError(
                f"{what!r} cannot be the name of a version, part or tag",
                hint="use letters, digits, dots, hyphens and underscores",
            )
    if not parts or _RECORD in parts:
        raise ModelError(f"{name} cannot be published with the parts {sorted(parts)}")
    for tag in tags:
        if _NUMBER.fullmatch(tag):
            raise ModelError(
                f"{tag!r} cannot be a tag: it is the number of a version",
                hint="choose another word, such as latest",
            )
