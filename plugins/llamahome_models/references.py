"""What the name of a model means: a source, the catalogue, a path, or a published version."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import evolve, frozen

from llamahome_core import (
    CatalogueEntry,
    Context,
    Kind,
    ModelError,
    ModelNotFoundError,
    ModelReference,
    Registry,
    UnknownNameError,
    files,
    suggest,
)

_PATH_LIKE = ("/", "./", "../", "~")
_HUB_LIKE = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@frozen
class Names:
    """Finds what a name means; asks nobody outside this machine."""

    context: Context

    def locate(self, name: str) -> ModelReference:
        """The reference that *name* stands for.

        In this order: ``source:location``; a name in the catalogue; a published version; a path.
        What has a slash, or begins with a dot or ``~``, can only be a path.

        Raises:
            ModelNotFoundError: It means nothing; the hint lists what is near.
            IntegrityError: It means a published version whose record is damaged.
        """
        if not name.strip():
            raise ModelNotFoundError("the name of the model is empty")
        # a folder that happens to lie here must not hide a version of its name
        bare = "/" not in name and not name.startswith((".", "~"))
        reference = (
            self._direct(name, name)
            or self._catalogued(name)
            or (self._published(name) if bare else None)
            or self._path(name, name)
        )
        if reference is None:
            raise self._unknown(name)
        return self._pinned(reference)

    def sources(self) -> list[str]:
        """Names of the model sources."""
        return sorted({c.name for _, c in self.context.catalog.components(Kind.MODEL_SOURCE)})

    def _direct(self, text: str, name: str) -> ModelReference | None:
        source, colon, location = text.partition(":")
        if not colon or source not in self.sources():
            return None
        if not location:
            raise ModelError(f"{text!r} names a source and no model", hint=f"write {source}:…")
        if source == "hub":
            location, _, revision = location.partition("@")
            return ModelReference(
                source=source, location=location, name=name, revision=revision or None
            )
        return ModelReference(source=source, location=location, name=name)

    def _catalogued(self, name: str) -> ModelReference | None:
        entry: CatalogueEntry | None = self.context.recipe.models.get(name)
        if entry is None:
            return None
        found = self._direct(entry.source, name) or self._path(entry.source, name)
        if found is None:
            raise ModelError(
                f"the catalogue says that {name!r} comes from {entry.source!r}, which is neither "
                "a model source nor a path",
                hint=f"write one of {', '.join(s + ':…' for s in self.sources())} as its source",
            )
        return evolve(
            found,
            revision=entry.revision or found.revision,
            checksum=entry.checksum,
            licence=entry.licence,
        )

    def _path(self, text: str, name: str) -> ModelReference | None:
        path = self.context.recipe.folder / Path(text).expanduser()
        if not text.startswith(_PATH_LIKE) and not path.exists():
            return None
        return ModelReference(source="path", location=str(path), name=name)

    def _published(self, name: str) -> ModelReference | None:
        try:
            version = self.context.get(Registry).resolve(name)
        except UnknownNameError:
            return None
        licence = version.metadata.get("licence")
        return ModelReference(
            source="registry", location=version.label, name=version.label, licence=licence
        )

    def _pinned(self, reference: ModelReference) -> ModelReference:
        """A file on this machine may change under its name: its content says which one it is."""
        if reference.source != "path" or reference.checksum is not None:
            return reference
        path = self.context.recipe.folder / Path(reference.location).expanduser()
        return evolve(reference, checksum=files.hash_file(path)) if path.is_file() else reference

    def _unknown(self, name: str) -> ModelNotFoundError:
        published = [version.label for version in self.context.get(Registry).versions()]
        names = {label.partition(":")[0] for label in published}
        known = sorted({*self.context.recipe.models, *published, *names})
        if _HUB_LIKE.fullmatch(name):
            hint = f"did you mean hub:{name}?"
        elif near := suggest(name, known) or [k for k in known if k.startswith(name)][:2]:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            hint = f"known: {', '.join(known) or 'none'}; or write hub:org/name, or a path"
        return ModelNotFoundError(f"no model is called {name!r}", hint=hint)


def refuse_checksum(reference: ModelReference) -> None:
    """Refuse a checksum for what its source delivers as a folder; it would be compared to nothing.

    Raises:
        ModelError: *reference* has one.
    """
    if reference.checksum is not None:
        raise ModelError(
            f"{reference.name} has a checksum, which pins one file, and comes as a folder",
            hint="remove `checksum` in .config/models.json, and pin `revision` instead where the "
            "source has such a thing",
        )
