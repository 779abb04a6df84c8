"""Published versions of models by name and tag, over whatever store the recipe chooses.

A version ``name:v1`` is a few keys of the store: one for each part, ``name/v1/merged``, and last
``name/v1/version``, which holds what the version consists of and which tags it was given. Without
it there is no version; what a crash left of one is removed before the next is published under that
name. A tag belongs to the newest version that was given it, so nothing is kept beside the versions:
several workspaces, and processes, can publish into one store.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from llamahome_core import (
    Context,
    IntegrityError,
    ModelError,
    Store,
    UnknownNameError,
    Version,
    files,
    suggest,
)
from llamahome_models.scratch import scratch

_RECORD = "version"
_FILE = "version.json"
_FIELDS = ("parts", "tags", "metadata", "created")
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
        """Store *parts* as the next version of *name*, with *tags*, at once or not at all.

        Args:
            name: Letters, digits, dots, hyphens, underscores.
            parts: Part, such as ``merged``, to the folder that is copied.
            tags: Names that mean the new version from now on.
            metadata: JSON values to record.

        Raises:
            ModelError: A name or tag is not allowed.
            StorageError: The store failed; there is no such version.
        """
        _check_names(name, parts, tags)
        with self.store.lock():
            self._clear(name)
            number = self._next_number(name)
            self._put(f"{name}/v{number}", parts, sorted(set(tags)), dict(metadata or {}))
        return self.find(f"{name}:v{number}")

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
            IntegrityError: Its record, or that of a later one that may have been given the tag, is
                damaged; another version is never taken in its place.
        """
        name, _, tag = label.partition(":")
        numbered, seen = _NUMBER.fullmatch(tag) is not None, []
        for number, version in self._newest_first(name):
            if numbered and tag != f"v{number}":
                continue
            found = _intact(version)
            if numbered or (tag or "latest") in found.tags:
                return found
            seen.append(found)
        if seen and not tag:
            return seen[0]
        raise self._unknown(label, [f"{name}:{tag}" for version in seen for tag in version.tags])

    def versions(self, name: str | None = None) -> list[Version]:
        """All versions, by name and number, without their files: :meth:`find` verifies those.

        One whose record is damaged is left out with a warning, so that the others can be used.
        """
        found = []
        for model in sorted({model for model, _ in self._present(name)}):
            for number, version in reversed(list(self._newest_first(model))):
                if isinstance(version, Version):
                    found.append(version)
                else:
                    self.context.warn(f"{model}:v{number} is left out: {version.message}")
        return found

    def _present(self, name: str | None) -> list[tuple[str, int]]:
        """Names and numbers of the complete versions, in order, their records unread."""
        keys = self.store.keys("" if name is None else f"{name}/")
        return sorted((m[1], int(m[2])) for m in map(_COMPLETE.fullmatch, keys) if m)

    def _next_number(self, name: str) -> int:
        """The number of the next version of *name*; that of a damaged version stays taken."""
        return max((number for _, number in self._present(name)), default=0) + 1

    def _newest_first(self, name: str) -> Iterator[tuple[int, Version | IntegrityError]]:
        """Each version of *name* with the tags that no later one took, or how it is damaged."""
        taken: set[str] = set()
        for _, number in reversed(self._present(name)):
            try:
                record = self._read(f"{name}/v{number}")
            except IntegrityError as error:
                yield number, error
                continue
            tags = tuple(tag for tag in record["tags"] if tag not in taken)
            taken.update(tags)
            metadata = record["metadata"] | {"created": record["created"]}
            yield (
                number,
                Version(
                    name=name, number=number, tags=tags, digest=record["digest"], metadata=metadata
                ),
            )

    def _unknown(self, label: str, tagged: Sequence[str]) -> UnknownNameError:
        numbered = [f"{name}:v{number}" for name, number in self._present(label.partition(":")[0])]
        near = suggest(label, [*numbered, *tagged] or {name for name, _ in self._present(None)})
        hint = f"did you mean {' or '.join(near)}?" if near else None
        return UnknownNameError(f"no version is called {label!r}", hint=hint)

    def _read(self, key: str) -> dict[str, Any]:
        path = self.store.get(f"{key}/{_RECORD}") / _FILE
        try:
            record: dict[str, Any] = {"tags": [], **json.loads(path.read_bytes())}
            wanted = {key: record[key] for key in _FIELDS}
            return wanted | {"digest": _digest(path.parent)}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise IntegrityError(f"{path} is damaged: {error}") from error

    def _part(self, key: str, part: str, recorded: str) -> Path:
        """The verified folder of a part that is also the one the version was made of."""
        path = self.store.get(f"{key}/{part}")
        if _digest(path) != recorded:
            raise IntegrityError(f"{part} of {key} is not what was published")
        return path

    def _put(
        self, key: str, parts: Mapping[str, Path], tags: list[str], metadata: dict[str, Any]
    ) -> None:
        """Store the parts, and last the record that makes them a version."""
        digests: dict[str, str] = {}
        try:
            for part, folder in parts.items():
                digests[part] = self.store.put(f"{key}/{part}", folder)
            created = datetime.now(UTC).isoformat(timespec="seconds")
            values = (digests, tags, metadata, created)
            record = {"schema": 1, **dict(zip(_FIELDS, values, strict=True))}
            with scratch(self.context, self.context.workspace.scratch / "versions") as folder:
                files.write_json(folder / _FILE, record)
                self.store.put(f"{key}/{_RECORD}", folder)
        except BaseException:
            # With all parts stored, the record may have landed too, whatever was raised.
            with contextlib.suppress(Exception):
                self._take_back(key, [_RECORD, *digests] if len(digests) == len(parts) else digests)
            raise

    def _take_back(self, key: str, names: Iterable[str]) -> None:
        """Delete in this order, up to what fails: no record may outlive a part of its version."""
        present = self.store.keys(f"{key}/")
        for name in names:
            if f"{key}/{name}" in present:
                self.store.delete(f"{key}/{name}")

    def _clear(self, name: str) -> None:
        """Remove what a crash left: parts whose version was never completed."""
        keys = self.store.keys(f"{name}/")
        complete = {key.rpartition("/")[0] for key in keys if key.endswith(f"/{_RECORD}")}
        for key in keys:
            if key.rpartition("/")[0] not in complete:
                self.store.delete(key)


def _intact(version: Version | IntegrityError) -> Version:
    if isinstance(version, IntegrityError):
        raise version
    return version


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
