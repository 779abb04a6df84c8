"""Prepared data: what the prepare stage leaves on disk, and training reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from llamahome_core import Batch, DataError, IntegrityError, StepData, Steps, files, records
from llamahome_data.arrays import Documents
from llamahome_data.steps import EvaluationSteps, TrainingSteps, longest_over

TRAINING, EVALUATION = "training.safetensors", "evaluation.safetensors"
FIGURES = "figures.json"


@frozen(kw_only=True)
class Figures:
    """What of prepared data is no array: a file of its own, for the manifest hashes files.

    Attributes:
        summary: See :class:`Prepared`.
        names: What the rows came from, as it was called when they were read.
    """

    summary: dict[str, Any]
    names: list[str]


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
        if files.verify_folder(folder).metadata.get("inputs") != inputs:
            raise IntegrityError(f"{folder} was made from other inputs than its name says")
        path = folder / FIGURES
        figures = records.load(Figures, json.loads(path.read_bytes()), path)
        return cls(
            digest=folder.name,
            summary=figures.summary,
            batch=batch,
            training_documents=Documents.open(folder / TRAINING, figures.names),
            evaluation_documents=Documents.open(folder / EVALUATION, figures.names),
        )

    def check_positions(self, positions: int, model: str) -> None:
        """Check that no document is longer than the *model* was made for.

        Rotary embeddings would give numbers for any position, and a model that has never seen
        them answers with nonsense; learned embeddings have no more rows.

        Raises:
            DataError: One is; the message says where it came from.
        """
        for documents in (self._training, self._evaluation):
            if (number := longest_over(documents, positions)) is not None:
                raise DataError(
                    f"{documents.origin([number])} has {documents.lengths[number]} tokens, and "
                    f"{model} was made for {positions} positions (max_position_embeddings)",
                    hint=f"set batch.max_length to {positions} or less; batch.overlong says what "
                    "becomes of longer rows",
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
