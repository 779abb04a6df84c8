"""The stage ``publish``: what was trained becomes a version that others can load."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import xxhash

from llamahome_core import (
    Context,
    ModelFolder,
    ModelReference,
    Models,
    Registry,
    Trained,
    Version,
    files,
)
from llamahome_models import card, layout
from llamahome_models.pins import commit
from llamahome_models.scratch import scratch

_WEIGHTS = (".safetensors", ".safetensors.index.json")


def publish(context: Context) -> None:
    """Write whole weights and the adapter alone, and publish both as the next version.

    The version is left in the context. Nothing happens if the recipe switches it off.
    """
    wanted = context.recipe.publish
    if not wanted.enabled or not (wanted.merged or wanted.adapter):
        context.events.emit("note", text="nothing is published: the recipe switches it off")
        return
    context.phase("publish")
    version = _published_before(context) or _publish(context)
    if version is None:
        context.warn("nothing is published: whole weights were trained, and merged is off")
        return
    context.put(Version, version)
    context.events.emit(
        "published",
        label=version.label,
        tags=list(version.tags),
        digest=version.digest,
        parts={part: str(path) for part, path in version.files.items()},
        size=sum(_size(path) for path in version.files.values()),
    )


def _publish(context: Context) -> Version | None:
    with scratch(context, context.workspace.scratch / "publish") as folder:
        parts = _write(context, context.get(Trained), folder)
        if not parts:
            return None
        recipe = context.recipe
        return context.get(Registry).publish(
            recipe.publish_name, parts, tags=recipe.publish.tags, metadata=_metadata(context)
        )


def _published_before(context: Context) -> Version | None:
    """What this run published before it was killed, on its way to noting it down."""
    if not context.resume:
        return None
    registry, identity = context.get(Registry), run_identity(context)
    for version in registry.versions(context.recipe.publish_name):
        if version.metadata.get("run_identity") == identity:
            return registry.find(version.label)
    return None


def run_identity(context: Context) -> str | None:
    """Tells this run from another of the same name in another workspace: its first event's hash."""
    if context.directory is None:
        return None
    with (context.directory / "events.jsonl").open("rb") as events:
        return xxhash.xxh3_128_hexdigest(events.readline())


def plan_publish(context: Context) -> dict[str, Any]:
    """What the stage would publish."""
    wanted = context.recipe.publish
    if not wanted.enabled:
        return {"publish": "no"}
    # only what was trained can tell whether there is an adapter: whole weights have none
    parts = {"merged": wanted.merged, "adapter (if one is trained)": wanted.adapter}
    chosen = [part for part, is_wanted in parts.items() if is_wanted]
    if not chosen:
        return {"publish": "no: there is no part of it to publish"}
    name = context.recipe.publish_name
    versions = context.get(Registry).versions(name)
    number = max((version.number for version in versions), default=0) + 1
    return {"version": f"{name}:v{number}", "tags": list(wanted.tags), "parts": chosen}


def _write(context: Context, trained: Trained, target: Path) -> dict[str, Path]:
    """Write the parts; the adapter first, since merging may consume it."""
    base, wanted = context.get(ModelFolder), context.recipe.publish
    reference = context.get(Models).locate(context.recipe.model)
    story = card.Story.of(context, reference, base, _finite(trained.metrics))
    parts: dict[str, Path] = {}
    for part in ("adapter", "merged"):
        if not getattr(wanted, part):
            continue
        context.stop.check()
        folder = target / part
        folder.mkdir()
        if part == "merged":
            trained.save_merged(folder)
        elif not trained.save_adapter(folder):
            continue
        _complete(folder, base.path, reference)
        if part == "merged":
            layout.check(folder, "the trained model")
        files.write_text(folder / "README.md", story.text(part))
        parts[part] = folder
    return parts


def _complete(folder: Path, base: Path, reference: ModelReference) -> None:
    """Add tokenizer, template and generation config of the base, and remove paths of this machine.

    The version must answer as it was trained, so it brings the template that it was trained with.
    """
    for name in [n for n in layout.model_files(base) if not n.endswith(_WEIGHTS)]:
        if name != "config.json":
            files.write_bytes(folder / name, (base / name).read_bytes())
    for name in ("LICENSE", "NOTICE"):
        if (base / name).is_file():
            files.write_bytes(folder / name, (base / name).read_bytes())
    _edit(folder / "config.json", {"_name_or_path": None})
    _edit(folder / "adapter_config.json", {"base_model_name_or_path": base_name(reference)})
    # AutoTokenizer rebuilds the tokenizer of some classes and loses parts of it; under this name
    # it reads tokenizer.json as it is, which is how the model was trained.
    _edit(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})


def base_name(reference: ModelReference) -> str:
    """What the base model is called elsewhere; a path of this machine means nothing there."""
    if reference.source == "hub":
        return reference.location
    return Path(reference.name).name if reference.source == "path" else reference.name


def _edit(path: Path, changes: dict[str, Any]) -> None:
    if not path.is_file():
        return
    fields = json.loads(path.read_bytes())
    for key, value in changes.items():
        if value is None:
            fields.pop(key, None)
        else:
            fields[key] = value
    files.write_json(path, fields)


def _metadata(context: Context) -> dict[str, Any]:
    reference = context.get(Models).locate(context.recipe.model)
    base = context.get(ModelFolder)
    return {
        "base": {
            "name": reference.name,
            "source": f"{reference.source}:{reference.location}",
            "revision": reference.revision,
            "commit": commit(base.path),
            "digest": base.digest,
        },
        "run": context.directory.name if context.directory else None,
        "run_identity": run_identity(context),
        "recipe": context.recipe.name,
        "seed": context.recipe.seed,
        "licence": base.licence or reference.licence,
        "metrics": _finite(context.get(Trained).metrics),
    }


def _finite(metrics: Any) -> dict[str, Any]:
    """JSON has no NaN and no infinity."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in metrics.items()
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
