"""Turns the name of a model into a verified folder on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from llamahome_core import (
    Context,
    IntegrityError,
    Kind,
    ModelError,
    ModelFolder,
    ModelReference,
    ModelSource,
    Progress,
    UnknownNameError,
    files,
)
from llamahome_models import layout
from llamahome_models.children import run_child
from llamahome_models.pins import VERSION, Pins, key
from llamahome_models.references import Names, refuse_checksum
from llamahome_models.scratch import scratch


def make_models(context: Context) -> ModelCache:
    """The models of the context's workspace."""
    return ModelCache(context)


@frozen
class ModelCache:
    """A :class:`~llamahome_core.Models` that keeps what it fetched in ``.cache/models/<key>``.

    A model that lies on this machine as a folder already, given by its path or published here, is
    used where it is. A branch or tag of a source is looked up each time, where the network is on:
    each commit that it means has a folder of its own.
    """

    context: Context
    _names: Names = field(init=False)
    _pins: Pins = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_names", Names(self.context))
        object.__setattr__(self, "_pins", Pins(self.context, self.root))

    def locate(self, name: str) -> ModelReference:
        """What *name* means, without fetching anything.

        Raises:
            ModelNotFoundError: The name means nothing; the hint lists what is near.
        """
        return self._names.locate(name)

    def cached(self, name: str) -> ModelFolder | None:
        """The folder, if it is already on this machine; its files are not read again."""
        reference = self._pins.last(self.locate(name))
        try:
            return _from_manifest(files.read_manifest(self._home(reference)), reference, self)
        except IntegrityError:
            pass
        with contextlib.suppress(ModelError, UnknownNameError):
            return self._local(reference)
        return None

    def fetch(self, name: str, progress: Progress) -> ModelFolder:
        """The folder, fetched, converted and verified if it is not on this machine yet.

        Raises:
            OfflineError: The network is needed and off or unreachable.
            UnsafeModelError: The model wants something that is refused, such as code of its own.
            ModelError: There is no such model, or it cannot be read.
        """
        named = self.locate(name)
        reference = self._pins.current(named, self.source(named))
        if not (found := self._verified(reference) or self._local(reference)):
            with scratch(self.context, self._home(reference)) as folder:
                # another process may have fetched or mended it while this one waited
                found = self._mended(reference) or self._bring(reference, progress, folder)
        self._pins.keep(named, reference)
        return found

    def source(self, reference: ModelReference) -> ModelSource:
        """The source of *reference*, with the recipe's settings for it, such as ``[model.hub]``."""
        _, component = self.context.catalog.find(Kind.MODEL_SOURCE, reference.source)
        chosen = self.context.recipe.chosen.get(f"model:{reference.source}")
        config = chosen.config if chosen else component.config()
        source: ModelSource = component.build(config, self.context)
        return source

    @property
    def root(self) -> Path:
        """Where fetched models are kept."""
        return self.context.workspace.cache("models")

    def _home(self, reference: ModelReference) -> Path:
        return self.root / key(reference)

    def _verified(self, reference: ModelReference) -> ModelFolder | None:
        """What was fetched before, every byte of it read and compared; None if it is damaged."""
        with contextlib.suppress(IntegrityError):
            return self._read(reference)
        return None

    def _mended(self, reference: ModelReference) -> ModelFolder | None:
        """The same, and damage is thrown away: with the lock held, for others may mend it."""
        try:
            return self._read(reference)
        except IntegrityError as error:
            self.context.warn(f"the model {reference.name} is fetched again: {error.message}")
            files.discard(self._home(reference))
            return None

    def _read(self, reference: ModelReference) -> ModelFolder | None:
        home = self._home(reference)
        if not home.exists():
            return None
        return _from_manifest(files.verify_folder(home), reference, self)

    def _local(self, reference: ModelReference) -> ModelFolder | None:
        """The folder, if the source has it on this machine: no lock, and nothing to bring."""
        source = self.source(reference)
        if source.size(reference) != 0:
            return None
        path = source.fetch(reference, self.root, _silent)
        return _in_place(path, reference) if path.is_dir() else None

    def _bring(self, reference: ModelReference, progress: Progress, scratch: Path) -> ModelFolder:
        got = self.source(reference).fetch(reference, scratch, progress)
        if got.is_dir() and not got.is_relative_to(scratch):
            return _in_place(got, reference)
        return self._keep(got, reference, scratch)

    def _keep(self, got: Path, reference: ModelReference, scratch: Path) -> ModelFolder:
        """Put what was fetched into the cache, in Hugging Face layout."""
        metadata: dict[str, Any] = {"reference": asdict(reference), "importer": VERSION}
        home = self._home(reference)
        with files.new_folder(home, lambda: metadata) as folder:
            if got.is_dir():
                refuse_checksum(reference)
                layout.check(got, reference.name)
                layout.place(got, folder)
            else:
                _check_file(got, reference)
                metadata |= self._convert(got, folder, scratch)
            metadata["licence"] = reference.licence or metadata.get("licence")
            layout.check(folder, reference.name)
        return _from_manifest(files.read_manifest(home), reference, self)

    def _convert(self, source: Path, folder: Path, scratch: Path) -> dict[str, Any]:
        """Import a GGUF file, in a process of its own."""
        self.context.phase("import")
        command = [sys.executable, "-P", "-m", "llamahome_models.gguf_import"]
        environ = {**os.environ, "HF_HUB_OFFLINE": "1"}
        finished = run_child(
            [*command, str(source.resolve()), str(folder)],
            scratch=scratch,
            environ=environ,
            poll=self.context.stop.check,
        )
        try:
            answer: dict[str, Any] = json.loads(finished.output)
        except ValueError:
            raise ModelError(
                f"the import of {source.name} failed: {finished.last_line()}",
                hint="is there enough memory for the whole model in 32 bits?",
            ) from None
        if "error" in answer:
            raise ModelError(answer["error"], hint=answer["hint"])
        return answer


def _in_place(path: Path, reference: ModelReference) -> ModelFolder:
    refuse_checksum(reference)
    layout.check(path, reference.name)
    return ModelFolder(
        path=path,
        digest=layout.digest(path),
        name=reference.name,
        licence=reference.licence,
    )


def _from_manifest(
    manifest: files.Manifest, reference: ModelReference, models: ModelCache
) -> ModelFolder:
    return ModelFolder(
        path=models.root / key(reference),
        digest=layout.identity(manifest.files),
        name=reference.name,
        licence=reference.licence or manifest.metadata.get("licence"),
    )


def _check_file(got: Path, reference: ModelReference) -> None:
    """Check that a single file is one that can be imported, and the one that is pinned."""
    if got.suffix.lower() != ".gguf":
        raise ModelError(
            f"{got.name} is no model: a single file must be a .gguf",
            hint="give the folder that holds config.json, or a .gguf file",
        )
    if reference.checksum is not None and (found := files.hash_file(got)) != reference.checksum:
        raise ModelError(
            f"{got.name} is not what {reference.name} pins: {found} instead of "
            f"{reference.checksum}",
            hint="do not use it; if you trust it, change `checksum` in .config/models.json",
        )


def _silent(done: int, total: int | None) -> None:
    """No progress to show."""
