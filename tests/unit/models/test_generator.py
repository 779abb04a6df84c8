"""Decoding from a live module: the same tokens as transformers, and nothing left changed."""

from __future__ import annotations

import copy
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from llamahome_core import DataError, Generator, ModelFolder
from llamahome_core.testing import GeneratorContract
from llamahome_models.generator import LiveGenerator, room

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


class TestContract(GeneratorContract):
    """It keeps to what every generator keeps to."""

    @pytest.fixture
    def generator(self) -> Generator:
        return LiveGenerator(frozenset())


def test_an_end_token_ends_the_answer_and_is_no_part_of_it(module):
    """It is neither returned nor shown."""
    expected = reference(module, 12)
    end = expected[5]
    new = LiveGenerator(frozenset({end})).generate(module, PROMPT, max_tokens=12)
    assert new == expected[: expected.index(end)]


def test_a_low_temperature_is_nearly_greedy(module):
    """The logits are divided by it."""
    new = LiveGenerator(frozenset()).generate(module, PROMPT, max_tokens=6, temperature=1e-5)
    assert new == reference(module, 6)


@pytest.mark.parametrize("temperature", [5e-324, 1e300])
def test_no_finite_temperature_is_too_small_or_too_large(module, temperature):
    """The smallest number there is takes the likeliest token, the largest any."""
    new = LiveGenerator(frozenset()).generate(module, PROMPT, max_tokens=4, temperature=temperature)
    assert (new == reference(module, 4)) == (temperature < 1)


def test_an_answer_ends_where_the_context_is_full(module):
    """Beyond it the model was never trained; the tiny model holds 256 tokens."""
    seen: list[int] = []
    prompt = (PROMPT * 63)[:250]
    generator = LiveGenerator(frozenset())
    new = generator.generate(module, prompt, max_tokens=100, on_token=seen.append)
    assert len(new) == len(seen) == 6
    assert len(generator.generate(module, prompt, max_tokens=5)) == 5
    assert room(module, prompt) == 6


@pytest.mark.parametrize("tokens", [256, 300])
def test_a_prompt_that_fills_the_context_is_refused(module, tokens):
    """The message has both numbers; nothing is cut off in silence."""
    with pytest.raises(DataError, match=f"has {tokens} tokens; the model holds 256") as caught:
        LiveGenerator(frozenset()).generate(module, [5] * tokens)
    assert "shorten the prompt" in str(caught.value.hint)


@pytest.mark.parametrize("length", [None, -1, "auto"])
def test_a_model_whose_config_names_no_length_has_no_limit(length):
    """State spaces and ALiBi; and a module that has no config at all."""
    config = SimpleNamespace(**({} if length is None else {"max_position_embeddings": length}))
    assert room(SimpleNamespace(config=config), [5] * 1000) == sys.maxsize
    assert room(SimpleNamespace(), [5] * 1000) == sys.maxsize


def test_the_limit_is_found_under_its_other_names_and_in_adapted_models(module):
    """GPT-2 calls it n_positions; a model of text and images has it below; peft wraps all."""
    from peft import LoraConfig, get_peft_model
    from transformers import BloomConfig, Gemma3Config, GPT2Config

    def left(config: Any) -> int:
        return room(SimpleNamespace(config=config), [5])

    assert left(GPT2Config(n_positions=99)) == 98
    assert left(Gemma3Config(text_config={"max_position_embeddings": 77})) == 76
    assert left(BloomConfig()) == sys.maxsize
    with torch.random.fork_rng():
        adapted = get_peft_model(copy.deepcopy(module), LoraConfig(r=2, target_modules=["q_proj"]))
    assert room(adapted, [5]) == 255


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
