"""The promises on real weights and real text: SmolLM2-135M-Instruct."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llamahome_core import Kernel, MicroBatch, ModelFolder, NoSettings, Train, Workspace
from llamahome_core.discovery import Policy, discover
from llamahome_training import forward, model
from llamahome_training.adapters import Full

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

HELPERS = runpy.run_path(str(Path(__file__).parents[1] / "gradients.py"))
gradients, micro_batch = HELPERS["gradients"], HELPERS["micro_batch"]

TEXTS = (
    "A checkpoint is complete, or it does not exist.",
    "The capital of France is Paris, which lies on the Seine.",
    "Why is the sky blue? Because air scatters blue light more than red light.",
)


@pytest.fixture(scope="module")
def batches(real_model_folder: Path) -> list[MicroBatch]:
    """The texts laid end to end, and then each alone."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(real_model_folder)
    documents = [np.array(tokenizer(text)["input_ids"]) for text in TEXTS]
    return [micro_batch(documents), *(micro_batch([document]) for document in documents)]


@pytest.fixture(scope="module")
def module(real_model_folder: Path) -> Any:
    folder = ModelFolder(path=real_model_folder, digest="sha256:0", name="real")
    return Full(NoSettings()).apply(model.load(folder, Train()))


@pytest.mark.parametrize(
    ("dtype", "whole", "tensor"), [(torch.float32, 2e-5, 2e-4), (torch.float64, 1e-13, 1e-12)]
)
def test_gradients_of_a_concatenated_step_equal_those_of_each_text_alone(
    real_model_folder: Path, batches, dtype, whole, tensor
):
    """Over thirty layers within rounding: eight more digits of the numbers give eight more here."""
    folder = ModelFolder(path=real_model_folder, digest="sha256:0", name="real")
    module = Full(NoSettings()).apply(model.load(folder, Train())).to(dtype)

    together, alone = gradients(module, batches[:1]), gradients(module, batches[1:])

    assert together.keys() == alone.keys()
    differences = {n: (together[n] - alone[n]).norm() for n in alone}
    relative = {n: float(differences[n] / alone[n].norm()) for n in alone}
    total = torch.stack([g.norm() for g in alone.values()]).norm()
    assert float(torch.stack(list(differences.values())).norm() / total) < whole
    assert max(relative.values()) < tensor


def test_a_perturbed_text_leaves_the_others_logits_bit_for_bit(module, batches):
    """The text in the middle changes; the first and the last do not see it."""
    whole = batches[0]
    ids = whole.ids.copy()
    start, end = whole.boundaries[1], whole.boundaries[2]
    ids[start:end] = (ids[start:end] + 1) % 1000
    changed = MicroBatch(
        ids=ids,
        positions=whole.positions,
        boundaries=whole.boundaries,
        predictors=whole.predictors,
        targets=whole.targets,
    )
    with torch.no_grad():
        before, after = (
            forward.logits_at_labels(module, forward.Batch.of(b)) for b in (whole, changed)
        )
    others = (whole.predictors < start) | (whole.predictors >= end)

    assert torch.equal(before[others], after[others])
    assert not torch.equal(before[~others], after[~others])


def test_a_published_adapter_and_its_merge_give_the_trained_models_logits(
    real_model_folder: Path, tmp_path: Path, monkeypatch
):
    """Plain transformers and peft load what a short run published; all three agree."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    kept: dict[str, torch.Tensor] = {}
    ids = torch.tensor(AutoTokenizer.from_pretrained(real_model_folder)(TEXTS[1])["input_ids"])

    rows = tmp_path / "rows.jsonl"
    lines = [json.dumps({"prompt": "What is true?", "completion": text}) for text in TEXTS]
    rows.write_text("\n".join(lines))
    own = [p for p in discover() if p.origin.startswith("llamahome ")]
    kernel = Kernel(
        own,
        policy=Policy(strict=True),
        workspace=Workspace(tmp_path / "workspace"),
        environ={},
        user_file=tmp_path / "none.toml",
    )
    recipe = {
        "name": "real",
        "model": {"from": str(real_model_folder)},
        "data": [{"use": "jsonl", "path": str(rows)}],
        "adapter": {"use": "lora", "rank": 4},
        "optimizer": {"use": "adamw", "learning_rate": 5e-3},
        "train": {"steps": 3},
    }

    trained_logits(monkeypatch, ids, kept)

    outcome = kernel.run(recipe)

    assert outcome.error is None
    assert outcome.version is not None
    merged = AutoModelForCausalLM.from_pretrained(outcome.version.files["merged"])
    base = AutoModelForCausalLM.from_pretrained(real_model_folder)
    adapted = PeftModel.from_pretrained(base, outcome.version.files["adapter"])
    with torch.no_grad():
        from_merged, from_adapter = merged(ids[None]).logits, adapted(ids[None]).logits
        with adapted.disable_adapter():
            untrained = adapted(ids[None]).logits
    trained = kept["logits"]
    assert (trained - untrained).abs().max() > 0.5
    assert (from_adapter - trained).abs().max() < 2e-3
    assert (from_merged - trained).abs().max() < 2e-3


def trained_logits(monkeypatch: Any, ids: torch.Tensor, kept: dict[str, torch.Tensor]) -> None:
    """Keep the logits of the module that training leaves, before publishing consumes it."""
    original = model.TrainedModel.save_adapter

    def save_adapter(self: Any, folder: Path) -> bool:
        self.module.eval()
        with torch.no_grad():
            kept["logits"] = self.module(input_ids=ids[None]).logits
        return original(self, folder)

    monkeypatch.setattr(model.TrainedModel, "save_adapter", save_adapter)
