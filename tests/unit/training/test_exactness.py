"""The step is the mathematics: no leak, no padding, one normalisation."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llamahome_core import ConfigError, ModelFolder, NoSettings, Train, TrainingError
from llamahome_training import forward, model
from llamahome_training.adapters import Full, Lora
from llamahome_training.config import LoraConfig

HELPERS = runpy.run_path(str(Path(__file__).parents[2] / "gradients.py"))
gradients, micro_batch = HELPERS["gradients"], HELPERS["micro_batch"]


def documents(*lengths: int, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(3, 400, length) for length in lengths]


@pytest.fixture
def module(tiny_model: Path) -> Any:
    folder = ModelFolder(path=tiny_model, digest="sha256:0", name="tiny")
    return Full(NoSettings()).apply(model.load(folder, Train()))


def assert_close(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, gradient in right.items():
        scale = gradient.abs().max().clamp(min=1e-12)
        assert ((left[name] - gradient).abs().max() / scale) < 5e-6, name


def test_gradients_of_a_concatenated_step_equal_those_of_each_sequence_alone(module):
    """Very different lengths, a document of two tokens among them."""
    docs = documents(40, 2, 17, 63, 5)

    together = gradients(module, [micro_batch(docs)])
    alone = gradients(module, [micro_batch([doc]) for doc in docs])

    assert_close(together, alone)


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_gradients_do_not_depend_on_how_a_step_is_split(module, parts):
    """Accumulation of unequal micro-batches changes nothing."""
    docs = documents(31, 4, 18, 50, 7)
    split = [docs[i::parts] for i in range(parts)]

    whole = gradients(module, [micro_batch(docs, trained_from=3)])
    several = gradients(module, [micro_batch(part, trained_from=3) for part in split])

    assert_close(several, whole)


def test_gradients_equal_a_plain_padded_transformers_batch(tiny_model, module):
    """The reference: padded rows, an attention mask, labels of -100, transformers' own loss."""
    from transformers import AutoModelForCausalLM

    docs = documents(12, 33, 25)
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="eager")
    longest = max(map(len, docs))
    ids = torch.full((len(docs), longest), 2)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, doc in enumerate(docs):
        ids[row, : len(doc)] = torch.tensor(doc)
        mask[row, : len(doc)] = 1
        labels[row, 1 : len(doc)] = torch.tensor(doc[1:])
    plain(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
    reference = {n: p.grad for n, p in plain.named_parameters() if p.grad is not None}

    assert_close(gradients(module, [micro_batch(docs)]), reference)


def test_a_perturbed_document_leaves_the_others_logits_bit_for_bit(module):
    """Attention does not cross documents, in either direction."""
    docs = documents(20, 30, 25)
    changed = [docs[0], (docs[1] + 7) % 400, docs[2]]
    with torch.no_grad():
        before, after = (
            forward.logits_at_labels(module, forward.Batch.of(micro_batch(d)))
            for d in (docs, changed)
        )

    assert torch.equal(before[:19], after[:19])
    assert torch.equal(before[48:], after[48:])
    assert not torch.equal(before[19:48], after[19:48])


def test_logits_are_computed_only_at_labels(module):
    """Three trained tokens of fifty give three rows of logits."""
    batch = forward.Batch.of(micro_batch(documents(50), trained_from=47))

    assert forward.logits_at_labels(module, batch).shape == (3, 400)


def test_bf16_changes_the_products_and_not_the_weights(module):
    """The logits differ by the rounding of its eight bits; parameters and gradients stay fp32."""
    batch = forward.Batch.of(micro_batch(documents(20, 30)))
    exact = forward.logits_at_labels(module, batch)
    rounded = forward.logits_at_labels(module, batch, precision="bf16")

    assert rounded.dtype == torch.bfloat16
    assert not torch.equal(rounded.float(), exact)
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.02)
    rounded.float().sum().backward()
    assert {p.grad.dtype for p in module.parameters() if p.grad is not None} == {torch.float32}


def test_a_batch_without_labels_weighs_nothing(module):
    """An empty micro-batch adds a zero, not a NaN."""
    docs = documents(9, 14)
    empty = micro_batch([docs[0]], trained_from=9)

    with_empty = gradients(module, [micro_batch([docs[1]]), empty])

    assert_close(with_empty, gradients(module, [micro_batch([docs[1]])]))


def test_a_model_that_mixes_documents_is_refused(tiny_model):
    """Plain causal attention over all tokens leaks; it is noticed before the first step."""
    from transformers import AutoModelForCausalLM

    leaking = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="sdpa")
    original = leaking.forward
    ours = {"documents", "position_ids"}
    leaking.forward = lambda **given: original(**{k: v for k, v in given.items() if k not in ours})

    with pytest.raises(TrainingError, match="mixes documents"):
        forward.refuse_leaks(leaking, "cpu", 400)


def test_a_clean_model_is_not_refused_and_stays_in_its_mode(module):
    """The check itself changes nothing."""
    module.train()
    before = {n: p.clone() for n, p in module.named_parameters()}

    forward.refuse_leaks(module, "cpu", 400)

    assert module.training
    assert all(torch.equal(before[n], p) for n, p in module.named_parameters())


@pytest.mark.parametrize(
    ("argument", "message"),
    [({"softcap": 50.0}, "softcap"), ({"s_aux": 1.0}, "s_aux"), ({"dropout": 0.1}, "dropout")],
)
def test_attention_that_would_be_wrong_is_refused_by_name(argument, message):
    """What a model asks for and this attention lacks is an error, not a silent difference."""
    from llamahome_training.attention import Documents, document_attention

    x = torch.zeros(1, 2, 4, 8)

    with pytest.raises(TrainingError, match=message):
        document_attention(None, x, x, x, None, documents=Documents((4,)), **argument)


def test_a_document_longer_than_the_attention_window_is_refused_with_the_setting_to_change():
    """Sliding-window layers are exact only up to their window."""
    from llamahome_training.attention import Documents, document_attention

    x = torch.zeros(1, 2, 9, 8)

    with pytest.raises(TrainingError, match="max_length = 8"):
        document_attention(None, x, x, x, None, documents=Documents((9,)), sliding_window=8)
    document_attention(None, x, x, x, None, documents=Documents((4, 5)), sliding_window=8)


def test_checkpointing_gives_the_same_gradients_and_reaches_the_adapter(tiny_model):
    """Recomputed activations are the same, and LoRA gets its gradient (peft#137)."""
    folder = ModelFolder(path=tiny_model, digest="sha256:0", name="tiny")
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(5)
        base = model.load(folder, Train(checkpointing=checkpointing))
        adapted = Lora(LoraConfig(rank=4)).apply(base)
        adapted.train()
        found.append(gradients(adapted, [micro_batch(documents(21, 8))]))

    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert max(g.abs().max() for n, g in found[1].items() if "lora_B" in n) > 0


def test_batch_tokens_and_rows_exclude_each_other(kernel, recipe):
    """Two step sizes in one recipe are an error, not a choice made in silence."""
    recipe["batch"] = {"tokens": 10, "rows": 2}

    with pytest.raises(ConfigError, match="cannot both be set"):
        kernel.plan(recipe)
