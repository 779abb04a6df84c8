"""The stage ``fetch``: the first part of a run."""

from __future__ import annotations

from typing import Any

from llamahome_core import Context, ModelFolder, Models, Store, files
from llamahome_models.pins import RECORD, commit


def fetch(context: Context) -> None:
    """Bring the recipe's model to this machine, and leave its folder in the context.

    The run's folder tells which one it was, by content and commit: a branch may move.

    Raises:
        ModelError: It cannot be found, fetched or read.
        OfflineError: The network is needed and off or unreachable.
        StorageError: The store, where the run would publish in the end, cannot be written.
    """
    if context.recipe.publish.enabled:
        store: Store = context.build("store")
        with store.lock():  # a store that fails is better known now than after hours of training
            pass
    progress = context.phase("fetch")
    folder = context.get(Models).fetch(context.recipe.model, progress)
    context.put(ModelFolder, folder)
    if context.directory is not None:
        record = {"name": folder.name, "digest": folder.digest, "commit": commit(folder.path)}
        files.write_json(context.directory / RECORD, {"schema": 1, **record})


def plan_fetch(context: Context) -> dict[str, Any]:
    """What the stage would do: source, download and licence of the model."""
    models = context.get(Models)
    reference = models.locate(context.recipe.model)
    plan: dict[str, Any] = {"model": reference.name}
    plan["source"] = f"{reference.source}:{reference.location}"
    if reference.revision:
        plan["revision"] = reference.revision
    folder = models.cached(context.recipe.model)
    plan["on this machine"] = folder is not None
    if folder is not None:
        plan["folder"] = str(folder.path)
    plan["licence"] = (folder.licence if folder else None) or reference.licence or "unknown"
    return plan
