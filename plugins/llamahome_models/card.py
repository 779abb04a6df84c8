"""The short README that a published version brings: where it comes from and how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from llamahome_core import Context, ModelFolder, ModelReference

_MERGED = """\
Whole weights, with tokenizer and chat template:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
```
"""

_ADAPTER = """\
The adapter alone. It needs its base model, {base}, as a folder in Hugging Face layout:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained("FOLDER_OF_THE_BASE_MODEL")
model = PeftModel.from_pretrained(base, "THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
```

Its base has the identity `{digest}`.
"""


@frozen(kw_only=True)
class Story:
    """What the README tells.

    Attributes:
        name: The published model.
        recipe: The recipe that made it.
        reference: The base model.
        digest: The base model's identity.
        licence: SPDX expression of the base model's licence, if known.
        metrics: Final figures.
    """

    name: str
    recipe: str
    reference: ModelReference
    digest: str
    licence: str | None
    metrics: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        context: Context,
        reference: ModelReference,
        base: ModelFolder,
        metrics: Mapping[str, Any],
    ) -> Story:
        """The story of the run that *context* belongs to."""
        return cls(
            name=context.recipe.publish_name,
            recipe=context.recipe.name,
            reference=reference,
            digest=base.digest,
            licence=base.licence or reference.licence,
            metrics=metrics,
        )

    def text(self, part: str) -> str:
        """The README of *part*, ``merged`` or ``adapter``."""
        base = self._base()
        usage = _MERGED if part == "merged" else _ADAPTER.format(base=base, digest=self.digest)
        made = (
            f"Fine-tuned from {base} by the recipe `{self.recipe}` with LlamaHome.\n"
            f"The base model's licence: {self.licence or 'unknown'}.\n"
        )
        parts = [self._header(part), f"# {self.name}\n", made, usage, self._table()]
        return "\n".join(text for text in parts if text)

    def _base(self) -> str:
        if self.reference.source == "path":
            return f"`{self.reference.location.rpartition('/')[2]}`"
        source = f"{self.reference.source}:{self.reference.location}"
        name = self.reference.name
        return f"`{name}`" if name.startswith(source) else f"`{name}` (`{source}`)"

    def _header(self, part: str) -> str:
        """The metadata that model hubs read."""
        lines = ["---"]
        if self.licence:
            lines.append(f"license: {self.licence.lower()}")
        if self.reference.source == "hub":
            lines.append(f"base_model: {self.reference.location}")
        library = "transformers" if part == "merged" else "peft"
        return "\n".join(
            [*lines, f"library_name: {library}", "pipeline_tag: text-generation", "---", ""]
        )

    def _table(self) -> str:
        shown = {k: v for k, v in self.metrics.items() if isinstance(v, int | float)}
        if not shown:
            return ""
        rows = [f"| {key.replace('_', ' ')} | {value:.6g} |" for key, value in shown.items()]
        return "\n".join(["| figure | value |", "|---|---|", *rows, ""])
