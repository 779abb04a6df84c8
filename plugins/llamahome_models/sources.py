"""Models that lie on this machine already: files, folders, published versions."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from llamahome_core import (
    Context,
    ModelError,
    ModelNotFoundError,
    ModelReference,
    ModelSource,
    Progress,
    Registry,
)
from llamahome_models.config import PathConfig, RegistryConfig


@frozen
class PathSource(ModelSource):
    """``path:FOLDER`` in Hugging Face layout, used where it is, or ``path:FILE.gguf``."""

    config: PathConfig
    context: Context

    def size(self, reference: ModelReference) -> int | None:
        """Nothing is downloaded."""
        del reference
        return 0

    def fetch(self, reference: ModelReference, folder: Path, progress: Progress) -> Path:
        """The file or folder itself.

        Raises:
            ModelNotFoundError: It does not exist.
        """
        del folder, progress
        path = self.context.recipe.folder / Path(reference.location).expanduser()
        if not path.exists():
            raise ModelNotFoundError(f"there is no model at {path}", hint="check the path")
        return path


@frozen
class RegistrySource(ModelSource):
    """``registry:NAME:TAG``: the whole weights of a published version, used where they are."""

    config: RegistryConfig
    context: Context

    def size(self, reference: ModelReference) -> int | None:
        """Nothing is downloaded."""
        del reference
        return 0

    def fetch(self, reference: ModelReference, folder: Path, progress: Progress) -> Path:
        """The folder of the version's whole weights.

        Raises:
            ModelError: The version was published without them.
            UnknownNameError: There is no such version.
        """
        del folder, progress
        version = self.context.get(Registry).find(reference.location)
        if "merged" not in version.files:
            raise ModelError(
                f"{version.label} was published as an adapter alone",
                hint="publish it with merged = true",
            )
        return version.files["merged"]
