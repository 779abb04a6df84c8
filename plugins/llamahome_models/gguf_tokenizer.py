"""The tokenizer of a GGUF file, with what transformers' conversion gets wrong put right.

Found by comparison with llama.cpp (``llama-vocab.cpp``) and the original ``tokenizer.json`` files,
transformers 5.23:

* A byte-level vocabulary whose splitting rule transformers does not know is split by GPT-2's rule,
  without a word. SmolLM2's rule (``smollm``) takes each digit alone, which changes the white space
  before numbers. An unknown rule is refused here: wrong tokens would train and serve badly, and
  nothing would tell.
* Llama 3 and Tekken vocabularies take a piece that is a token as it is, whatever the merges say,
  and begin a text with the begin token unless the file says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamahome_core import ModelError

# Vocabularies that are split by GPT-2's rule.
_GPT2 = frozenset({"gpt-2", "jais", "mpt", "olmo", "phi-2"})
# The same, after each digit has been set apart.
_DIGITS = frozenset({"codeshell", "refact", "smollm", "starcoder"})
# A piece that is a token is taken as it is, and texts begin with the begin token.
_WHOLE = frozenset({"falcon3", "falcon-h1", "llama3", "llama-bpe", "llama-v3", "pixtral", "tekken"})

_SPECIAL = {
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "unk_token_id": "unknown_token_id",
    "pad_token_id": "padding_token_id",
}

# What transformers records about how the tokenizer was loaded is of no use to the next reader.
_NOT_SETTINGS = ("is_local", "local_files_only", "name_or_path", "tokenizer_file")


def load_tokenizer(path: Path, metadata: Mapping[str, Any]) -> Any:
    """The tokenizer that the GGUF file *path* describes.

    Args:
        path: The file.
        metadata: Its metadata by key.

    Raises:
        ModelError: The file's way of splitting text is not known, or the conversion went wrong.
    """
    from transformers import PreTrainedTokenizerFast

    rule = _check_rule(metadata)
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(
        str(path.parent), gguf_file=path.name, local_files_only=True
    )
    if rule in _DIGITS:
        _split_digits(tokenizer.backend_tokenizer)
    if rule in _WHOLE:
        tokenizer.backend_tokenizer.model.ignore_merges = True
        if "tokenizer.ggml.add_bos_token" not in metadata:
            tokenizer.add_bos_token = True
            tokenizer.update_post_processor()
    _check(tokenizer, metadata)
    return tokenizer


def save_tokenizer(tokenizer: Any, folder: Path, max_length: int | None) -> None:
    """Write *tokenizer* into *folder* so that any version of transformers reads the same one."""
    tokenizer.save_pretrained(str(folder))
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_bytes())
    for key in _NOT_SETTINGS:
        config.pop(key, None)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config["clean_up_tokenization_spaces"] = False
    if max_length is not None:
        config["model_max_length"] = max_length
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_rule(metadata: Mapping[str, Any]) -> str | None:
    """How text is split before the merges; None where the kind of vocabulary decides it."""
    if metadata.get("tokenizer.ggml.model") != "gpt2":
        return None
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    rule = metadata.get("tokenizer.ggml.pre")
    if isinstance(rule, str) and rule in _GPT2 | _DIGITS | GGUF_PRE_TOKENIZER_SPLITS.keys():
        return rule
    raise ModelError(
        f"the GGUF file splits text by the rule {rule!r}, which is not known here",
        hint="use the model's folder in Hugging Face layout instead: hub:org/name",
    )


def _split_digits(backend: Any) -> None:
    from tokenizers import pre_tokenizers

    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _check(tokenizer: Any, metadata: Mapping[str, Any]) -> None:
    """Compare with the file's own metadata.

    Raises:
        ModelError: A token has another id, or a special token or the template is another.
    """
    tokens = metadata["tokenizer.ggml.tokens"]
    vocabulary = tokenizer.get_vocab()
    found: dict[str, tuple[Any, Any]] = {"largest id": (max(vocabulary.values()), len(tokens) - 1)}
    moved = [token for at, token in enumerate(tokens) if vocabulary.get(token, at) != at]
    found["tokens with another id"] = (moved[:3], [])
    for name, key in _SPECIAL.items():
        found[name] = (getattr(tokenizer, name), metadata.get(f"tokenizer.ggml.{key}"))
    found["chat template"] = (tokenizer.chat_template, metadata.get("tokenizer.chat_template"))
    if (expected := metadata.get("tokenizer.ggml.add_bos_token")) is not None:
        adds = tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
        found["begin token is added"] = (adds, expected)
    for what, (got, expected) in found.items():
        if got != expected:
            raise ModelError(
                f"the tokenizer of the GGUF file was not converted well: {what} is {got!r}, the "
                f"file says {expected!r}",
                hint="use the model's folder in Hugging Face layout instead: hub:org/name",
            )
