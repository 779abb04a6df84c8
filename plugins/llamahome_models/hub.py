"""Models of a Hugging Face hub."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from llamahome_core import (
    Context,
    ModelError,
    ModelNotFoundError,
    ModelReference,
    OfflineError,
    Progress,
)
from llamahome_models import layout
from llamahome_models.config import HubConfig
from llamahome_models.references import refuse_checksum

_COMMIT = re.compile(r"[0-9a-f]{40}")

_PATIENCE = 10.0
"""Seconds for the hub to say which commit a branch is at."""


def is_offline(context: Context) -> bool:
    """Whether the network is switched off, by setting or by the hub's own variables."""
    variables = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    named = any((value or "").lower() in {"1", "on", "true", "yes"} for value in variables)
    return context.recipe.network.offline or named


@frozen
class HubSource:
    """``hub:ORG/NAME@REVISION``: config, tokenizer and safetensors, and never code or pickles."""

    config: HubConfig
    context: Context

    def size(self, reference: ModelReference) -> int | None:
        """Not known without asking the hub."""
        del reference
        return None

    def pin(self, reference: ModelReference) -> ModelReference:
        """*reference* at the commit that its revision, or the main branch, is at now.

        With the network switched off: was at when it came into the hub's cache.

        Raises:
            OfflineError: The network is off and nothing in the cache, or the hub cannot be reached.
            ModelError: There is no such model or revision, it needs a token, or *reference* has
                a checksum.
        """
        from huggingface_hub import HfApi

        refuse_checksum(reference)
        if _COMMIT.fullmatch(reference.revision or ""):
            return reference
        if is_offline(self.context):
            with _explained(reference, offline=True):
                return evolve(reference, revision=self._download(reference, offline=True).name)
        with _explained(reference, offline=False):
            info = HfApi(endpoint=self.config.endpoint, token=self.config.token).model_info(
                reference.location,
                revision=reference.revision or "main",
                timeout=_PATIENCE,
                expand=["sha"],
            )
        return evolve(reference, revision=info.sha)

    def fetch(self, reference: ModelReference, folder: Path, progress: Progress) -> Path:
        """Download what is not in the hub's cache, and place it below *folder*.

        Raises:
            OfflineError: The network is off or the hub cannot be reached.
            ModelError: There is no such model or revision, it needs a token, or *reference* has
                a checksum.
        """
        refuse_checksum(reference)
        offline = is_offline(self.context)
        with _explained(reference, offline=offline):
            snapshot = self._download(reference, offline=offline, progress=progress)
        target = folder / snapshot.name
        target.mkdir()
        layout.place(snapshot, target)
        return target

    def _download(
        self, reference: ModelReference, *, offline: bool, progress: Progress | None = None
    ) -> Path:
        """The folder of the commit in the hub's cache; it is named after the commit."""
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                reference.location,
                revision=reference.revision,
                cache_dir=self.context.workspace.cache("models") / "huggingface",
                endpoint=self.config.endpoint,
                token=self.config.token,
                local_files_only=offline,
                max_workers=self.config.workers,
                allow_patterns=[*layout.PATTERNS, *layout.DOCUMENTS],
                ignore_patterns=["*/*.json", "*/*.safetensors", *layout.IGNORED],
                tqdm_class=_reporting(progress) if progress else None,
            )
        )


def _reporting(progress: Progress) -> type[Any]:
    """A tqdm that shows nothing and tells *progress* the bytes of the whole download."""
    from huggingface_hub.utils.tqdm import tqdm

    class Reporting(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._bytes = kwargs.get("name") == "huggingface_hub.snapshot_download"
            self._done = 0
            start: Any = super().__init__
            start(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            if self._bytes:
                self._done += int(n or 0)
                progress(self._done, int(self.total) if self.total else None)

    return Reporting


@contextlib.contextmanager
def _explained(reference: ModelReference, *, offline: bool) -> Iterator[None]:
    """Turn the hub's errors into ours."""
    try:
        yield
    except Exception as error:
        if (known := _refused(error, reference)) or (
            known := _unreachable(error, reference, offline=offline)
        ):
            raise known from error
        raise


def _refused(error: Exception, reference: ModelReference) -> ModelError | None:
    """What the hub, or the name of the model, makes impossible."""
    from huggingface_hub import errors

    name = reference.location
    token = "set HF_TOKEN to a token that may read it"  # noqa: S105  # words, not a secret
    if isinstance(error, errors.GatedRepoError):
        return ModelError(
            f"hub:{name} is gated: its owner must grant access",
            hint=f"ask for access at https://huggingface.co/{name}, then {token}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelNotFoundError(
            f"the hub has no model {name!r}, or it is private",
            hint=f"check the name; if it is private, {token}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelNotFoundError(
            f"hub:{name} has no revision {reference.revision!r}",
            hint="name a branch, a tag or a commit, or none",
        )
    if isinstance(error, errors.HFValidationError):
        return ModelError(f"{name!r} is no name of a model on a hub", hint="write hub:org/name")
    return None


def _unreachable(
    error: Exception, reference: ModelReference, *, offline: bool
) -> OfflineError | None:
    """What the network makes impossible; the hub's client has an HTTP library of its own."""
    foreign = type(error).__module__.partition(".")[0]
    if not isinstance(error, OSError) and not foreign.startswith("httpx"):
        return None
    if offline:
        return _switched_off(reference)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return OfflineError(
        f"hub:{reference.location} cannot be fetched: {reason}",
        hint="check the network, or give the path of a folder",
    )


def _switched_off(reference: ModelReference) -> OfflineError:
    return OfflineError(
        f"hub:{reference.location} is not on this machine, and the network is switched off",
        hint="run it once with the network on, or give the path of a folder",
    )
