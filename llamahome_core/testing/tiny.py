"""A tiny random Llama and a tokenizer trained here: a model folder in two seconds, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT = [
    "The kernel knows no plugin, and a plugin knows no other plugin.",
    "A run is a folder; its events are the truth, and all else only reads them.",
    "What is a checkpoint? It is complete, or it does not exist.",
    "How do I start? Write a recipe, check it, plan it, and run it.",
]
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' "
    "+ message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_SHAPE: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "tie_word_embeddings": True,
}


def save_model(folder: Path, **shape: int) -> None:
    """Write the model and its tokenizer to *folder*, in Hugging Face layout.

    Args:
        folder: Where to.
        shape: Other dimensions than the tiny ones, by their names in ``LlamaConfig``.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    _save_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = LlamaForCausalLM(LlamaConfig(**(_SHAPE | shape)))
    model.save_pretrained(folder)


def _save_tokenizer(folder: Path) -> None:
    """A byte-level BPE of 400 tokens with a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 4, trainer)
    bos, _, eos = special
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=eos
    )
    fast.chat_template = _CHATML
    fast.save_pretrained(folder)


def conversations() -> list[dict[str, Any]]:
    """24 short conversations of different length."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is {index}?"},
                {
                    "role": "assistant",
                    "content": " ".join(TEXT[index % 4].split()[: 3 + index % 9]),
                },
            ]
        }
        for index in range(24)
    ]
