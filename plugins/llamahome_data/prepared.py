"""Prepared data: what the prepare stage leaves on disk, and training reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from llamahome_core import Batch, IntegrityError, StepData, Steps, files
from llamahome_data.arrays import Documents
from llamahome_data.steps import EvaluationSteps, TrainingSteps

TRAINING, EVALUATION = "training.safetensors", "evaluation.safetensors"


@frozen(eq=False, kw_only=True)
class Prepared:
    """A verified folder of prepared data, with the recipe's way to make steps of it.

    Attributes:
        digest: Hash of content, tokenizer, template, objective, settings and code.
        summary: Plain figures for people: rows, documents, tokens, trained tokens, what was
            dropped and why.
    """

    digest: str
    summary: Mapping[str, Any]
    batch: Batch
    _training: Documents = field(alias="training_documents")
    _evaluation: Documents = field(alias="evaluation_documents")

    @classmethod
    def open(cls, folder: Path, batch: Batch, inputs: Mapping[str, Any]) -> Prepared:
        """Check and map *folder*.

        Args:
            folder: What the prepare stage wrote.
            batch: How documents become steps.
            inputs: What the data must have been made from.

        Raises:
            IntegrityError: A file is not what was written, or was made from something else.
        """
        metadata = files.verify_folder(folder).metadata
        if metadata.get("inputs") != inputs:
            raise IntegrityError(f"{folder} was made from other inputs than its name says")
        return cls(
            digest=folder.name,
            summary=metadata["summary"],
            batch=batch,
            training_documents=Documents.open(folder / TRAINING),
            evaluation_documents=Documents.open(folder / EVALUATION),
        )

    def training(self, *, seed: int) -> Steps:
        """The training documents as steps, shuffled by *seed* and epoch.

        Raises:
            DataError: A document does not fit into a step.
        """
        return TrainingSteps(self._training, self.batch, seed)

    def evaluation(self) -> Sequence[StepData]:
        """The held-out documents in fixed order; empty if there are none.

        Raises:
            DataError: A document does not fit into a step.
        """
        return EvaluationSteps(self._evaluation, self.batch)
