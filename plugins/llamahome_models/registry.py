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
            number = self.next_number(name)
            digest = self._put(f"{name}/v{number}", parts, dict(metadata or {}))
            self._tag(name, number, tags)
        version = Version(name=name, number=number, tags=tuple(tags), digest=digest)
        found = self.find(version.label)
        return evolve(found, digest=digest)

    def tag(self, version: Version, tags: Sequence[str]) -> None:
        """Point *tags* at *version*, which a crash may have left without them.

        A tag that points at a later version stays there: that one was published since.

        Raises:
            ModelError: A tag is not allowed.
        """
        _check_tags(tags)
        with files.lock(self._home / ".lock"):
            now = self._tags().get(version.name, {})
            if lost := [tag for tag in tags if now.get(tag, 0) < version.number]:
                self._tag(version.name, version.number, lost)

    def next_number(self, name: str) -> int:
        """The number of the next version of *name*; that of a damaged version stays taken."""
        return max((number for _, number in self._present(name)), default=0) + 1

    def find(self, label: str) -> Version:
        """``name``, ``name:tag`` or ``name:v3``; a bare name means ``latest``, else the newest.

        Every part is verified.

        Raises:
            UnknownNameError: There is no such version.
            IntegrityError: A part, or the version's record, is not what was published.
        """
        version = self.resolve(label)
        key = f"{version.name}/v{version.number}"
        recorded: dict[str, str] = self._read(key)["parts"]
        return evolve(version, files={p: self._part(key, p, d) for p, d in recorded.items()})

    def resolve(self, label: str) -> Version:
        """The version that :meth:`find` finds, without its files, which are not read.

        Raises:
            UnknownNameError: There is no such version.
            IntegrityError: Its record is damaged; another version is never taken in its place.
        """
        name = label.partition(":")[0]
        tags = self._tags().get(name, {})
        present = [Version(name=name, number=n, tags=_at(tags, n)) for _, n in self._present(name)]
        return self._version(name, choose(present, label).number, tags)

    def versions(self, name: str | None = None) -> list[Version]:
        """All versions, by name and number, without their files: :meth:`find` verifies those.

        One whose record is damaged is left out with a warning, so that the others can be used.
        """
        tags = self._tags()
        found = []
        for model, number in self._present(name):
            try:
                found.append(self._version(model, number, tags.get(model, {})))
            except IntegrityError as error:
                self.context.warn(f"{model}:v{number} is left out: {error.message}")
        return found

    @property
    def _home(self) -> Path:
        # no model's name begins with a dot
        return self.context.workspace.models / ".registry"

    def _present(self, name: str | None) -> list[tuple[str, int]]:
        """Names and numbers of the complete versions, in order, their records unread."""
        keys = self.store.keys("" if name is None else f"{name}/")
        return sorted((m[1], int(m[2])) for m in map(_COMPLETE.fullmatch, keys) if m)

    def _version(self, name: str, number: int, tags: Mapping[str, int]) -> Version:
        key = f"{name}/v{number}"
        record = self._read(key)
        return Version(
            name=name,
            number=number,
            tags=_at(tags, number),
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


def _at(tags: Mapping[str, int], number: int) -> tuple[str, ...]:
    return tuple(sorted(tag for tag, at in tags.items() if at == number))


def _digest(folder: Path) -> str:
    return files.read_manifest(folder).digest


def _check_names(name: str, parts: Mapping[str, Path], tags: Sequence[str]) -> None:
    _check_words(name, *parts)
    if not parts or _RECORD in parts:
        raise ModelError(f"{name} cannot be published with the parts {sorted(parts)}")
    _check_tags(tags)


def _check_words(*words: str) -> None:
    for word in words:
        if not _NAME.fullmatch(word):
            raise ModelError(
                f"{word!r} cannot be the name of a version, part or tag",
                hint="use letters, digits, dots, hyphens and underscores",
            )


def _check_tags(tags: Sequence[str]) -> None:
    _check_words(*tags)
    for tag in tags:
        if _NUMBER.fullmatch(tag):
            raise ModelError(
                f"{tag!r} cannot be a tag: it is the number of a version",
                hint="choose another word, such as latest",
            )
