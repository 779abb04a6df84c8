"""Turns a GGUF file into a folder in Hugging Face layout: float32 safetensors, tokenizer, template.

Runs in a process of its own, ``python -m llamahome_models.gguf_import FILE FOLDER``: what a damaged
file does to its parser ends that process alone, and the memory that the conversion needs is free
again when it ends. Clients of hubs are told to stay offline; nothing else keeps the process from
the network. The result is loaded again and must give the same logits, bit for bit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamahome_core import ModelError
from llamahome_models import layout
from llamahome_models.gguf_tokenizer import load_tokenizer, save_tokenizer

VERSION = 1
"""Raised when the same file would give another folder: part of the cache key."""

_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")


def import_gguf(source: Path, target: Path) -> dict[str, Any]:
    """Convert *source* into the existing, empty folder *target*.

    Returns:
        What the file says of itself: ``architecture``, ``name``, ``licence``.

    Raises:
        ModelError: The file is damaged, of a kind that is not supported, or did not convert well.
    """
    layout.refuse_adapter(source.parent, source.name)
    metadata = read_metadata(source)
    tokenizer = load_tokenizer(source, metadata)
    architecture = metadata["general.architecture"]
    save_tokenizer(tokenizer, target, metadata.get(f"{architecture}.context_length"))
    model = _load_model(source)
    logits = _probe(model)
    _save_model(model, metadata, target)
    tied = bool(model.config.tie_word_embeddings)
    del model
    _verify(target, logits, tied=tied)
    return {
        "architecture": architecture,
        "name": metadata.get("general.name"),
        "licence": _licence(metadata.get("general.license")),
    }


def read_metadata(source: Path) -> dict[str, Any]:
    """The metadata of a GGUF file by key.

    Raises:
        ModelError: It is no GGUF file, or a damaged one, or holds no model.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(source)
        metadata = {key: field.contents() for key, field in reader.fields.items()}
    except Exception as error:
        # a truncated or hostile file fails in many ways inside numpy
        raise ModelError(f"{source.name} cannot be read as GGUF: {error}") from error
    for key in ("general.architecture", "tokenizer.ggml.tokens"):
        if key not in metadata:
            raise ModelError(f"{source.name} is no language model: it has no {key}")
    return metadata


def _load_model(source: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(
            str(source.parent), gguf_file=source.name, dtype=torch.float32, local_files_only=True
        )
    except Exception as error:
        raise ModelError(f"{source.name} cannot be converted: {error}") from error


def _probe(model: Any) -> Any:
    """Logits of a few tokens spread over the vocabulary."""
    import torch

    ids = torch.linspace(0, model.config.vocab_size - 1, 16).long()[None]
    with torch.inference_mode():
        return model(input_ids=ids).logits


def _save_model(model: Any, metadata: Mapping[str, Any], target: Path) -> None:
    """Write config, generation config and weights.

    A model that came out of a GGUF file refuses to be saved, so its weights are handed to a plain
    one of the same config; nothing is copied.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    fields = model.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        fields.pop(key, None)
    config = type(model.config)(**{key: _shortest(value) for key, value in fields.items()})
    with torch.device("meta"):
        plain: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = GenerationConfig(**_special_ids(metadata))
    plain.save_pretrained(str(target))
    _drop_names(target / "config.json")
    for weights in target.glob("*.safetensors"):
        weights.chmod(0o644)  # the library writes them for the owner alone


def _special_ids(metadata: Mapping[str, Any]) -> dict[str, Any]:
    found = [metadata.get(f"tokenizer.ggml.{key}") for key in _ENDS]
    ends = list(dict.fromkeys(end for end in found if end is not None))
    return {
        "bos_token_id": metadata.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
        "pad_token_id": metadata.get("tokenizer.ggml.padding_token_id"),
    }


def _drop_names(path: Path) -> None:
    fields = json.loads(path.read_bytes())
    for key in ("_name_or_path", "_model_name_or_path"):
        fields.pop(key, None)
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _shortest(value: Any) -> Any:
    """GGUF keeps numbers in 32 bits: 9.999999747378752e-06 is 1e-05 again, and equal in 32 bits."""
    import numpy as np

    if isinstance(value, float) and float(np.float32(value)) == value:
        return float(str(np.float32(value)))
    return value


def _verify(target: Path, logits: Any, *, tied: bool) -> None:
    """Load what was written and compare.

    Raises:
        ModelError: Weights are missing or left over, no longer tied, or give other logits.
    """
    import torch
    from transformers import AutoModelForCausalLM

    load: Any = AutoModelForCausalLM.from_pretrained
    model, info = load(str(target), output_loading_info=True, local_files_only=True)
    wrong = {key: sorted(map(str, found)) for key, found in info.items() if found}
    same = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if same != tied:
        wrong["tied embeddings"] = [str(same)]
    if not wrong and not torch.equal(_probe(model), logits):
        wrong["logits"] = ["they differ"]
    if wrong:
        raise ModelError(f"the converted model is not the one in the file: {wrong}")


def _licence(text: Any) -> str | None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if not isinstance(text, str):
        return None
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return text


def main(arguments: list[str]) -> int:
    """Convert, and print as JSON what the file says of itself, or what is wrong with it."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    source, target = map(Path, arguments)
    try:
        answer: dict[str, Any] = import_gguf(source, target)
    except ModelError as error:
        answer = {"error": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(answer))
    return int("error" in answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
