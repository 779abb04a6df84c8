"""Decodes from a live module with a key-value cache: samples during training, ``generate``."""

from __future__ import annotations

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
            max_tokens: Most new tokens.
            temperature: 0 takes the likeliest token.
            seed: Seed of the sampling, which has a random generator of its own.
            on_token: Called with each new id as it comes.

        Raises:
            DataError: The prompt is empty.
        """
        if not prompt:
            raise DataError("the prompt is empty: a model needs a token to go on from")
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
    probabilities_V = torch.softmax(logits_V.double().cpu() / temperature, dim=-1)
    return int(torch.multinomial(probabilities_V, 1, generator=random))
