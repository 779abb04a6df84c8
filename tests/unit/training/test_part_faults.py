"""A part that gives something else in the midst of training is named, with its distribution."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamahome_core import PluginError
from llamahome_core.discovery import Plugin

# Table -> body of the class, what the error says.
FAULTS = {
    "objective": {
        "def loss(self, logits, targets): raise ZeroDivisionError('oh')": "failed: ZeroDivision",
        "def loss(self, logits, targets): return 'low'": "its loss must be a tensor of one number",
        "def loss(self, logits, targets): return logits": "its loss must be a tensor of one number",
        "def loss(self, logits, targets): return torch.tensor(1.0)": "computed from the logits",
        "def encode(self, example, codec): raise KeyError('oh')": "failed: KeyError: 'oh'",
        "def encode(self, example, codec): return None": "gave None, which is no Encoded",
        "def encode(self, e, c): return Encoded(ids='a', trained=[1])": "that are no numbers",
    },
    "optimizer": {
        "learning_rate = 1e-3\n    def build(self, named): raise OSError('oh')": "failed: OSError",
        "learning_rate = 1e-3\n    def build(self, named): return 7": "must build a torch.optim",
        "learning_rate = 'much'": "its learning_rate must be a number",
    },
    "adapter": {
        "def apply(self, model): raise OSError('oh')": "failed: OSError",
        "def apply(self, model): return None": "it must return the model",
        "def apply(self, model): return model.requires_grad_(False)": "something to train",
    },
}
CASES = [(kind, body) for kind, bodies in FAULTS.items() for body in bodies]
BASES = {
    "objective": "llamahome_training.objectives:Sft",
    "optimizer": "llamahome_training.optimizers:AdamW",
    "adapter": "llamahome_training.adapters:Full",
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body"), CASES)
def test_the_run_fails_with_an_error_that_names_the_part(
    kind: str,
    body: str,
    kernel: Any,
    recipe: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it raises or gives rubbish; nothing is published."""
    module, _, base = BASES[kind].partition(":")
    head = "from llamahome_core import Component, Encoded, hookimpl\n"
    (tmp_path / "lh_faulty.py").write_text(
        f"{head}@hookimpl\ndef llamahome_{kind}s():\n"
        '    yield Component(name="faulty", summary="x", factory="lh_faulty_part:Part")\n'
    )
    given = "config, context" if kind != "optimizer" else "Config(learning_rate=1e-3), context"
    (tmp_path / "lh_faulty_part.py").write_text(
        f"import torch\n{head}from {module} import {base}\n"
        "from llamahome_training.config import AdamWConfig as Config\n"
        f"class Part({base}):\n"
        f"    def __init__(self, config, context): super().__init__({given})\n    {body}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("faulty", "lh_faulty", "llamahome")
    kernel.plugins.add(Plugin(name="faulty", origin="lh-faulty 2.0", entry=entry))
    try:
        outcome = kernel.run(recipe | {kind: {"use": "faulty"}})
    finally:
        for name in ("lh_faulty", "lh_faulty_part"):
            sys.modules.pop(name, None)

    assert outcome.status == "failed"
    assert f"{kind} 'faulty' of plugin 'faulty' (lh-faulty 2.0)" in str(outcome.error)
    assert FAULTS[kind][body] in str(outcome.error)
    assert isinstance(outcome.error, PluginError) or "encode" in body


@pytest.mark.slow
def test_a_factor_may_be_a_number_of_numpy(
    kernel: Any, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schedule computes as it likes; events and checkpoints hold plain numbers."""
    factor = "llamahome_training.schedules.Cosine.factor"
    monkeypatch.setattr(factor, lambda *_: np.float32(0.5))

    outcome = kernel.run(recipe)

    assert outcome.error is None
    assert outcome.status == "finished"
