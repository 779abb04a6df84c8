"""What a model folder in Hugging Face layout must have, must not have, and is identified by."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from llamahome_core import ModelError, UnsafeModelError, files

PATTERNS = ("*.json", "*.jinja", "*.safetensors", "merges.txt", "tokenizer.model", "vocab.txt")
"""The files that make a model. Whatever else lies there is neither read nor copied."""

TEMPLATES = "additional_chat_templates"
"""A folder with more of a model's ``*.jinja``, such as one for tools; no other folder is read."""

DOCUMENTS = ("LICENSE*", "NOTICE*", "README.md")
"""Kept with a model where they are, and no part of its identity."""

IGNORED = ("consolidated*.safetensors", files.MANIFEST)
"""The same weights a second time, in another layout; our own manifest."""

_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth")

_ADAPTER = "adapter_config.json"
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"

# Each of these makes transformers import code that came with the model, or from the hub.
_CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "trust_remote_code"})
_KERNEL_KEYS = ("_attn_implementation", "attn_implementation", "_experts_implementation")


def model_files(folder: Path) -> list[str]:
    """Names of the files in *folder* that make the model, sorted; those in folders have a ``/``."""
    paths = [*folder.iterdir(), *(folder / TEMPLATES).glob("*.jinja")]
    names = (path.relative_to(folder).as_posix() for path in paths if path.is_file())
    return sorted(n for n in names if _fits(n, PATTERNS) and not _fits(n, IGNORED))


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def identity(hashes: Mapping[str, Mapping[str, Any]]) -> str:
    """``sha256:…`` of a model, the same wherever its folder lies.

    Args:
        hashes: Name to ``{"size": …, "sha256": …}``, as in a manifest.
    """
    kept = {
        name: dict(value)
        for name, value in hashes.items()
        if _fits(name, PATTERNS) and not _fits(name, IGNORED)
    }
    return files.Manifest(kept, {}).digest


def digest(folder: Path) -> str:
    """The identity of the model in *folder*; reads every byte of it."""
    return identity(
        {
            name: {
                "size": (folder / name).stat().st_size,
                "sha256": files.hash_file(folder / name).partition(":")[2],
            }
            for name in model_files(folder)
        }
    )


def check(folder: Path, name: str) -> None:
    """Check that *folder* holds a model that can be loaded without running its code.

    Raises:
        ModelError: A file is missing or damaged.
        UnsafeModelError: The weights are pickled, or the config asks for code of its own.
    """
    refuse_adapter(folder, name)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{name} has no config.json in {folder}: it is no model in Hugging Face layout",
            hint="give the folder that holds config.json, or a .gguf file",
        )
    for path in sorted(folder.glob("*.json")):
        _check_settings(path, name)
    _check_weights(folder, name)


def refuse_adapter(folder: Path, name: str) -> None:
    """Refuse a PEFT adapter: transformers would load it into the model, or another base with it.

    Raises:
        ModelError: *folder* has an ``adapter_config.json``.
    """
    if (folder / _ADAPTER).is_file():
        raise ModelError(
            f"{name} lies in a folder with an adapter, {folder / _ADAPTER}: what is loaded from "
            "there is not the model alone",
            hint="give a folder without it, or the model with the adapter merged into its weights: "
            "merge_and_unload().save_pretrained(folder)",
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def _check_settings(path: Path, name: str) -> None:
    if not path.name.endswith("config.json"):
        return
    for key, value in _entries(_read(path)):
        code = key in _CODE_KEYS and value
        kernel = key.startswith(_KERNEL_KEYS) and isinstance(value, str) and "/" in value
        if code or kernel:
            raise UnsafeModelError(
                f"{path.name} of {name} asks for code from elsewhere: {key} = {value!r:.80}",
                hint="use a model that transformers supports by itself",
            )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value in *value*, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _check_weights(folder: Path, name: str) -> None:
    weights = [n for n in model_files(folder) if n.endswith(".safetensors")]
    if not {_SINGLE, _INDEX} & set(model_files(folder)):
        raise _no_weights(folder, name)
    for weight in weights:
        _check_header(folder / weight)
    if (folder / _INDEX).is_file():
        _check_index(folder / _INDEX, set(weights))
    if other := _settings(folder / "config.json").get("transformers_weights"):
        raise UnsafeModelError(
            f"config.json of {name} names other weights, transformers_weights = {other!r:.80}",
            hint=f"remove that line, and name the weights {_SINGLE}",
        )


def _settings(path: Path) -> dict[str, Any]:
    settings = _read(path)
    if not isinstance(settings, dict):
        raise ModelError(f"{path} holds no settings", hint="fetch the model again")
    return settings


def _no_weights(folder: Path, name: str) -> ModelError:
    names = sorted(path.name for path in folder.iterdir())
    pickled = [found for found in names if _fits(found, _PICKLES)]
    others = [found for found in names if found.endswith(".safetensors")]
    hint = "convert it where you trust it: from_pretrained(…).save_pretrained(folder)"
    if pickled:
        return UnsafeModelError(
            f"transformers would read pickled weights only ({pickled[0]}) of {name}, which can run "
            "any code when read",
            hint=hint,
        )
    if others:
        return ModelError(
            f"{name} has neither {_SINGLE} nor {_INDEX} in {folder}: {others[0]} is not read",
            hint=f"if it holds the whole model, rename it to {_SINGLE}",
        )
    return ModelError(f"{name} has no safetensors weights in {folder}", hint=hint)


def _check_header(path: Path) -> None:
    """A file that is cut short is found here, and not when training begins."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged: {error}", hint="fetch the model again") from error


def _check_index(index: Path, weights: set[str]) -> None:
    try:
        named = set(_read(index)["weight_map"].values())
    except (AttributeError, KeyError, TypeError) as error:
        raise ModelError(f"{index} has no weight_map") from error
    # a name that leads out of the folder is not among its files, and so is refused as well
    if missing := sorted(map(str, named - weights)):
        raise ModelError(f"{index} names {missing[0]}, which is not in the folder")


def place(source: Path, target: Path) -> None:
    """Bring the files of the model in *source*, and its documents, into the folder *target*.

    Files are linked where the file system can, since both are only read; else copied.
    """
    documents = [p.name for p in source.iterdir() if p.is_file() and _fits(p.name, DOCUMENTS)]
    for name in [*model_files(source), *documents]:
        real = (source / name).resolve()
        (target / name).parent.mkdir(exist_ok=True)
        try:
            os.link(real, target / name)
        except OSError:
            shutil.copyfile(real, target / name)
