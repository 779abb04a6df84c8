"""Decoding from a live module: the same tokens as transformers, and nothing left changed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from llamahome_core import DataError, Generator, ModelFolder
from llamahome_models.generator import LiveGenerator

PROMPT = [5, 17, 42, 99]


@pytest.fixture(scope="module")
def module(tiny_model) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model)


def reference(module: Any, tokens: int) -> list[int]:
    """Greedy decoding without a cache."""
    ids = list(PROMPT)
    with torch.no_grad():
        for _ in range(tokens):
            ids.append(int(module(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(PROMPT) :]


def test_greedy_tokens_are_those_of_plain_transformers(module):
    """The cache changes nothing."""
    seen: list[int] = []
    new = LiveGenerator(frozenset()).generate(module, PROMPT, max_tokens=12, on_token=seen.append)
    assert new == seen == reference(module, 12)


def test_an_end_token_ends_the_answer_and_is_no_part_of_it(module):
    """It is neither returned nor shown."""
    expected = reference(module, 12)
    end = expected[5]
    new = LiveGenerator(frozenset({end})).generate(module, PROMPT, max_tokens=12)
    assert new == expected[: expected.index(end)]


def test_sampling_depends_on_its_seed_alone(module):
    """The same seed, the same answer; the global random state is not touched."""
    generator = LiveGenerator(frozenset())
    before = torch.random.get_rng_state()
    answers = [
        generator.generate(module, PROMPT, max_tokens=16, temperature=1.5, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert answers[0] == answers[1] != answers[2]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_low_temperature_is_nearly_greedy(module):
    """The logits are divided by it."""
    new = LiveGenerator(frozenset()).generate(module, PROMPT, max_tokens=6, temperature=1e-5)
    assert new == reference(module, 6)


def test_each_part_of_the_module_keeps_its_mode(module):
    """A part that was frozen in eval mode is still so; even when the caller's function fails."""
    module.train()
    module.model.layers[0].eval()

    def fail(token: int) -> None:
        raise RuntimeError(f"no {token}")

    with pytest.raises(RuntimeError, match="no"):
        LiveGenerator(frozenset()).generate(module, PROMPT, on_token=fail)
    assert module.training
    assert not module.model.layers[0].training
    assert module.model.layers[1].training
    module.eval()


def test_an_empty_prompt_is_refused(module):
    """There is nothing to go on from."""
    with pytest.raises(DataError, match="prompt is empty"):
        LiveGenerator(frozenset()).generate(module, [])


def test_the_service_stops_where_the_model_ends(context, tiny_model):
    """Its end tokens are the codec's."""
    context.put(ModelFolder, ModelFolder(path=tiny_model, digest="", name="tiny"))
    generator = context.get(Generator)
    assert isinstance(generator, LiveGenerator)
    assert generator.end_ids == {2}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own
def test_an_adapted_model_decodes_as_well(module, tiny_model):
    """peft's wrapper is called in the same way."""
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    torch_state = torch.random.get_rng_state()
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear"))
    torch.random.set_rng_state(torch_state)
    new = LiveGenerator(frozenset()).generate(adapted, PROMPT, max_tokens=5)
    assert new == reference(module, 5)
