"""The small values that cross from one plugin to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen, validators


@frozen(kw_only=True)
class ModelReference:
    """Where a model comes from, after names and catalogue are resolved.

    Attributes:
        source: The model source component, such as ``hub``.
        location: What that source understands, such as ``org/name``.
        name: The friendly name for people.
        revision: A branch, tag, version or commit, where the source has such a thing.
        checksum: ``sha256:…`` of the one file that the source delivers, if it is pinned.
        licence: SPDX expression, if known.
    """

    source: str
    location: str
    name: str
    revision: str | None = None
    checksum: str | None = None
    licence: str | None = None


@frozen(kw_only=True)
class ModelFolder:
    """A verified folder in Hugging Face layout: config, safetensors, tokenizer, template.

    Attributes:
        path: The folder.
        digest: ``sha256:…`` over the names and hashes of its files: the model's identity.
        name: The friendly name for people.
        licence: SPDX expression, if known.
    """

    path: Path
    digest: str
    name: str
    licence: str | None = None


Message = dict[str, Any]
"""One turn in OpenAI's form: ``{"role": "user", "content": "…"}``."""


@frozen(kw_only=True)
class EncodedChat:
    """A conversation as tokens.

    Attributes:
        ids: Token ids, ``T`` of them.
        assistant_spans: Half-open ``(start, end)`` token ranges that the assistant wrote, each
            with its end-of-turn token.
    """

    ids: list[int]
    assistant_spans: list[tuple[int, int]]


@frozen(kw_only=True)
class Row:
    """One row as a data source read it.

    Attributes:
        value: The row's fields.
        source: The file or dataset, for messages to people.
        number: 1-based line or row number in *source*.
    """

    value: dict[str, Any]
    source: str
    number: int


@frozen(kw_only=True)
class Example:
    """One training example, whatever form its row had.

    Attributes:
        messages: A conversation; empty when the row is plain text.
        text: Plain text; ``None`` when the row is a conversation.
        tools: JSON-schema tool descriptions that the conversation may use.
    """

    messages: tuple[Message, ...] = ()
    text: str | None = None
    tools: tuple[dict[str, Any], ...] = ()


@frozen
class Dropped:
    """What a transform gives in the place of an example that is left out.

    Attributes:
        reason: Why, in a word or two for counts: lower case, such as ``duplicate`` or
            ``too_short``.
    """

    reason: str = field(validator=validators.matches_re(r"(?=.{1,40}$)[a-z][a-z0-9]*(_[a-z0-9]+)*"))


@frozen(kw_only=True)
class Encoded:
    """One example as the model sees it.

    Attributes:
        ids: Token ids, ``T`` of them.
        trained: ``T`` flags: whether the loss includes predicting this token. The first is
            always false: nothing comes before it.
    """

    ids: list[int]
    trained: list[bool]


@frozen(kw_only=True)
class MicroBatch:
    """Documents laid end to end, without padding, as numpy arrays.

    Attributes:
        ids: ``int64[T]`` token ids.
        positions: ``int64[T]`` position of each token in its own document.
        boundaries: ``int64[D + 1]`` start of each document, and ``T``.
        predictors: ``int64[N]`` indices into ``ids`` of the tokens that predict a trained token.
        targets: ``int64[N]`` the trained token that each of them should predict.
    """

    ids: Any
    positions: Any
    boundaries: Any
    predictors: Any
    targets: Any

    @property
    def num_tokens(self) -> int:
        """``T``."""
        return len(self.ids)

    @property
    def num_targets(self) -> int:
        """``N``, the number of tokens that the loss counts."""
        return len(self.targets)


@frozen(kw_only=True)
class StepData:
    """What one optimizer step learns from.

    Attributes:
        index: 0-based global step.
        epoch: Passes over the data so far, with its fraction: 1.5 is half through the second.
        micro_batches: The step's documents; gradients are summed over them.
        rows: Numbers of the documents in the prepared data, in order.
    """

    index: int
    epoch: float
    micro_batches: tuple[MicroBatch, ...]
    rows: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens processed, trained or not."""
        return sum(batch.num_tokens for batch in self.micro_batches)

    @property
    def num_targets(self) -> int:
        """Tokens that the step's loss is the mean over."""
        return sum(batch.num_targets for batch in self.micro_batches)


@frozen(kw_only=True)
class StepResult:
    """What a trainer's step did.

    Attributes:
        applied: Whether the weights changed; false when the gradient was not finite.
        grad_norm: Global L2 norm before clipping.
    """

    applied: bool
    grad_norm: float


@frozen(kw_only=True)
class Version:
    """A published model version.

    Attributes:
        name: The model's name.
        number: 1 for ``v1``.
        tags: Names that point here, such as ``latest``.
        files: Part to folder, such as ``{"merged": …, "adapter": …}``.
        digest: ``sha256:…`` of its manifest.
        metadata: What the publisher recorded: base model, run, recipe, evaluation, licence.
    """

    name: str
    number: int
    tags: tuple[str, ...] = ()
    files: dict[str, Path] = field(factory=dict)
    digest: str = ""
    metadata: dict[str, Any] = field(factory=dict)

    @property
    def label(self) -> str:
        """``name:v1``."""
        return f"{self.name}:v{self.number}"


@frozen(kw_only=True)
class CacheStats:
    """Counters of a cache since it was made."""

    hits: int = 0
    misses: int = 0
    entries: int = 0
    size: int = 0


@frozen(kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: ``finished``, ``stopped`` (by a signal, resumable) or ``failed``.
        version: What was published, if anything.
        metrics: Final figures, such as ``{"evaluate_loss": 1.9}``.
        error: The error of a failed run.
        directory: The run's folder, whose name is the run's; the kernel sets it.
    """

    status: Literal["finished", "stopped", "failed"]
    version: Version | None = None
    metrics: dict[str, Any] = field(factory=dict)
    error: BaseException | None = None
    directory: Path | None = None
