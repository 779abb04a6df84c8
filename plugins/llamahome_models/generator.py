"""Decodes from a live module with a key-value cache: samples during training, ``generate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from attrs import frozen
from transformers import DynamicCache

from llamahome_core import ChatCodec, Context, DataError


@frozen
class LiveGenerator:
    """A :class:`~llamahome_core.Generator`.

    Attributes:
        end_ids: Ids that end an answer.
    """

    end_ids: frozenset[int]

    @torch.inference_mode()
    def generate(
        self,
        module: Any,
        prompt: Sequence[int],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        on_token: Callable[[int], None] | None = None,
    ) -> list[int]:
        """New token ids, without the prompt and without the end token.

        Args:
            module: A causal language model of transformers, bare or adapted.
            prompt: Token ids, at least one.
            max_tokens: Most new tokens; fewer come where the model's context is full.
            temperature: 0 takes the likeliest token.
            seed: Seed of the sampling, which has a random generator of its own.
            on_token: Called with each new id as it comes.

        Raises:
            DataError: The prompt is empty, or the model's context has no room after it.
        """
        max_tokens = min(max_tokens, room(module, prompt))
        training = _modes(module)
        module.eval()
        try:
            new: list[int] = []
            for token in _tokens(module, prompt, max_tokens, temperature, seed):
                if token in self.end_ids:
                    break
                new.append(token)
                if on_token is not None:
                    on_token(token)
            return new
        finally:
            for part, mode in training:
                part.training = mode


def make_generator(context: Context) -> LiveGenerator:
    """The generator of the run's model."""
    return LiveGenerator(context.get(ChatCodec).end_ids)


def room(module: Any, prompt: Sequence[int]) -> int:
    """How many tokens can come after *prompt* before the context of *module* is full.

    Raises:
        DataError: *prompt* is empty, or there is no room.
    """
    if not prompt:
        raise DataError("the prompt is empty: a model needs a token to go on from")
    length = _context_length(module)
    if length is None:
        return sys.maxsize
    if len(prompt) >= length:
        raise DataError(
            f"the prompt has {len(prompt):,} tokens; the model holds {length:,} with its answer",
            hint="shorten the prompt, or take a model with a longer context",
        )
    return length - len(prompt)


def _context_length(module: Any) -> int | None:
    """Tokens that the model was made for; None where its config names no limit.

    State spaces and ALiBi have none. Beyond it, learnt positions fail, and rotated ones were never
    trained.
    """
    config: Any = getattr(module, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    length = getattr(text, "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def _modes(module: Any) -> list[tuple[Any, bool]]:
    """Each part's mode: ``train(True)`` on the whole would wake parts that were in eval mode."""
    return [(part, part.training) for part in module.modules()]


def _tokens(
    module: Any, prompt: Sequence[int], max_tokens: int, temperature: float, seed: int
) -> Iterator[int]:
    """Token after token, *max_tokens* of them."""
    device = next(module.parameters()).device
    random = torch.Generator().manual_seed(seed)
    cache = DynamicCache()
    ids_1T = torch.tensor([list(prompt)], device=device)
    for _ in range(max_tokens):
        output = module(input_ids=ids_1T, past_key_values=cache, use_cache=True, logits_to_keep=1)
        token = _choose(output.logits[0, -1], temperature, random)
        yield token
        ids_1T = torch.tensor([[token]], device=device)


def _choose(logits_V: torch.Tensor, temperature: float, random: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    # on the processor in 64 bits, so that a seed gives one answer on every device
    # and the largest taken off first, so that no temperature is too small to divide by
    logits_V = logits_V.double().cpu()
    probabilities_V = torch.softmax((logits_V - logits_V.max()) / temperature, dim=-1)
    return int(torch.multinomial(probabilities_V, 1, generator=random))
