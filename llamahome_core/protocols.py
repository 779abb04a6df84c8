"""The interfaces where plugins meet; each is as small as its users allow, and says why.

A factory declared by a plugin returns an object that has all these methods. It need not inherit,
except to have a default: a method that says *Default* may be left out of a class that inherits
from its Protocol, as in ``class MySource(ModelSource)``. Tensors and arrays are typed ``Any``: the
kernel does not know torch or numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from llamahome_core.values import (
        CacheStats,
        Dropped,
        Encoded,
        EncodedChat,
        Example,
        Message,
        ModelFolder,
        ModelReference,
        Row,
        StepData,
        StepResult,
        Version,
    )

Progress = Callable[[int, "int | None"], None]
"""Called with what is done and, if known, the total."""


class ModelSource(Protocol):
    """Delivers the files of a model. A plan may not fetch, and a name may come to mean another."""

    def size(self, reference: ModelReference) -> int | None:
        """Bytes that :meth:`fetch` would bring, if that is known without the network."""

    def pin(self, reference: ModelReference) -> ModelReference:
        """*reference* with the revision that it means now, such as the commit of a branch.

        Default: *reference* itself, for nothing can come to mean something else. The revision may
        look as it likes. It is recorded with the model, and stands for the name as long as the
        network is off.

        Raises:
            OfflineError: The network is needed and off or unreachable.
            ModelError: There is no such model.
        """
        return reference

    def fetch(self, reference: ModelReference, folder: Path, progress: Progress) -> Path:
        """Bring the model and return the file or folder that holds it.

        Args:
            reference: What to bring.
            folder: An empty scratch folder for what is downloaded; a source whose files already
                lie on this machine returns their own path instead and copies nothing.
            progress: Told the bytes done and in all.

        Raises:
            OfflineError: The network is needed and off or unreachable.
            ModelError: There is no such model, or it is not what *reference* pins.
        """


class Models(Protocol):
    """Turns a name into a verified folder: catalogue, registry, sources, import. A service."""

    def locate(self, name: str) -> ModelReference:
        """What *name* means, without fetching anything.

        Raises:
            ModelError: The name means nothing; the hint lists what is near.
        """

    def cached(self, name: str) -> ModelFolder | None:
        """The folder, if it is already on this machine."""

    def fetch(self, name: str, progress: Progress) -> ModelFolder:
        """The folder, fetched, converted and verified if it is not on this machine yet."""


class ChatCodec(Protocol):
    """The one place where a conversation becomes tokens, in training and in serving alike."""

    @property
    def digest(self) -> str:
        """Hash over the tokenizer's files and the chat template: part of every cache key."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest id."""

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids that end an answer."""

    def encode(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        reply: bool = False,
    ) -> EncodedChat:
        """A conversation as tokens.

        Args:
            messages: Turns in OpenAI's form. The name of a special token in them is text.
            tools: JSON-schema tool descriptions.
            reply: End with the opening of an assistant turn, for the model to go on.
        """

    def encode_prompt(self, prompt: str, *, system: str | None = None) -> list[int]:
        """What the model is given to answer *prompt*: a user's turn, and the opening of a reply.

        A model without a chat template is given the text alone, to go on with.

        Raises:
            DataError: The template refuses such a conversation.
            ModelError: There is a *system* text and no template to put it into.
        """

    def encode_text(self, text: str) -> list[int]:
        """Plain text as one document: begin and end tokens as the model was trained with.

        The name of a special token in *text* is text, here as in messages.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Text of *ids*, without special tokens."""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Text of each token, special tokens included, for showing to people."""


class Generator(Protocol):
    """Decodes from a live module: samples during training, the generate command."""

    def generate(
        self,
        module: Any,
        prompt: Sequence[int],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        on_token: Callable[[int], None] | None = None,
    ) -> list[int]:
        """New token ids, without the prompt and without the end token.

        Touches no global random state; leaves the module in the mode it was in.

        Args:
            module: A causal language model of transformers, bare or adapted.
            prompt: Token ids.
            max_tokens: Most new tokens; fewer come where the model's context is full.
            temperature: 0 takes the likeliest token.
            seed: Seed of the sampling, when *temperature* is above 0.
            on_token: Called with each new id as it comes.

        Raises:
            DataError: The prompt is empty, or the model's context has no room after it.
        """


class DataSource(Protocol):
    """Yields rows. Its digest must change when any of its bytes change, and only then."""

    def digest(self) -> str:
        """Hash of the content, not of names or times."""

    def rows(self) -> Iterator[Row]:
        """The rows in order, one at a time.

        Raises:
            DataError: A row cannot be read; the message names file and line.
        """


class Transform(Protocol):
    """Changes or drops examples on their way from the sources to tokens.

    Transforms work one after another, in the recipe's order. One instance sees all rows of a
    preparation in their order, those for training and those that are held out, so it may
    remember what it has seen.
    """

    @property
    def identity(self) -> str:
        """Changes when :meth:`apply` would give another result for the same settings.

        It is a part of the data's cache key. It may be asked for before, and without, any row.
        """

    def apply(self, example: Example, row: Row) -> Example | Dropped:
        """The example as it goes on, or why it does not.

        Args:
            example: What the row holds, changed by the transforms before. It is given back as it
                is, or a changed copy of it: neither it nor its turns are changed in place.
            row: The row as its source read it.

        Raises:
            DataError: The example cannot be used at all, and nothing may go on without it.
        """


class Objective(Protocol):
    """What is learned: which tokens count, and the loss of their logits."""

    @property
    def identity(self) -> str:
        """Changes when :meth:`encode` would give another result: part of the data's cache key."""

    def encode(self, example: Example, codec: ChatCodec) -> Encoded:
        """The example's tokens and which of them the loss counts.

        Raises:
            DataError: The example has not what this objective needs.
        """

    def loss(self, logits: Any, targets: Any) -> Any:
        """Summed, not averaged, loss: the loop alone owns the normalisation.

        Args:
            logits: Float tensor ``[N, vocabulary]``, only at the predicting positions.
            targets: Integer tensor ``[N]``.

        Returns:
            A scalar tensor.
        """


class Steps(Protocol):
    """Training steps addressed by global index, so that resuming needs a number and no skipping."""

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over the data."""

    def step(self, index: int) -> StepData:
        """The *index*-th step since the start, 0-based, in any epoch, in constant time."""

    def origin(self, documents: Sequence[int]) -> str:
        """Where documents came from, in words for people: ``a.jsonl rows 3, 17``.

        Default: their numbers, ``documents 3, 17``.

        Args:
            documents: Numbers of documents, as a step's ``rows`` has them.
        """
        return f"documents {', '.join(map(str, documents))}"


class PreparedData(Protocol):
    """Tokenised documents on disk, memory-mapped, made once per content and settings."""

    @property
    def digest(self) -> str:
        """Hash of content, tokenizer, template, settings and code: its identity."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """Plain figures for people: rows, tokens, trained tokens, dropped rows and why."""

    def training(self, *, seed: int) -> Steps:
        """The training documents as steps, shuffled by *seed* and epoch."""

    def evaluation(self) -> Sequence[StepData]:
        """The held-out documents in fixed order; empty if there are none."""


class Adapter(Protocol):
    """What of the model is trained, and how that is saved alone and merged."""

    def apply(self, model: Any) -> Any:
        """The model to train, its other parameters frozen."""

    def merge(self, model: Any) -> Any:
        """A plain transformers model with what was trained folded in; *model* may be consumed."""

    def save(self, model: Any, folder: Path) -> bool:
        """Write the adapter alone, for ``peft``; false if whole weights were trained."""


class Optimizer(Protocol):
    """Makes a torch optimizer; the loop sets its learning rate before each step."""

    @property
    def learning_rate(self) -> float:
        """The peak that schedules scale."""

    @property
    def elementwise(self) -> bool:
        """Whether each element's update needs that element only: safe on sharded state."""

    def build(self, named_parameters: Iterable[tuple[str, Any]]) -> Any:
        """A ``torch.optim.Optimizer`` over the parameters that are trained."""


class Schedule(Protocol):
    """Learning rate over time, as a pure function: nothing to save, nothing to step twice."""

    def factor(self, step: int, total: int) -> float:
        """What the peak is multiplied by at 0-based *step* of *total*."""


class Trainer(Protocol):
    """Executes a step, on one process or many. A new way to train in parallel is a new trainer.

    Model and optimizer come as callables because sharding trainers must act before they exist.
    """

    @property
    def rank(self) -> int:
        """0-based rank of this process."""

    @property
    def world_size(self) -> int:
        """Number of processes."""

    @property
    def device(self) -> Any:
        """Where batches are put."""

    def setup(self, build_model: Callable[[], Any], build_optimizer: Callable[[Any], Any]) -> Any:
        """Build both, and return the module to call."""

    def backward(self, loss: Any) -> None:
        """Add the gradients of *loss*, which is already normalised over the whole step."""

    def step(self, *, learning_rate: float, clip: float | None) -> StepResult:
        """Clip, update if every gradient on every rank is finite, and clear the gradients."""

    def total(self, value: float) -> float:
        """*value* summed over all ranks."""

    def tensors(self) -> dict[str, Any]:
        """Trained weights and optimizer state by name, as tensors to be copied at once."""

    def state(self) -> dict[str, Any]:
        """What else is needed to go on, as JSON values."""

    def restore(self, tensors: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Copy the tensors into the existing ones, which keep their place in memory."""


class Trained(Protocol):
    """What the train stage leaves for the publish stage; the module may be consumed by saving."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Final figures, as JSON values."""

    def save_adapter(self, folder: Path) -> bool:
        """Write the adapter alone; false if whole weights were trained. Call it before merging."""

    def save_merged(self, folder: Path) -> None:
        """Write config and whole weights (safetensors), as plain transformers loads them."""


class Cache(Protocol):
    """Bytes by key, that may vanish at any time. A fault is a miss, never an error."""

    def get(self, key: str) -> bytes | None:
        """The value, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Keep *value*, perhaps at the cost of others."""

    def delete(self, key: str) -> None:
        """Forget *key*, if it is there."""

    def stats(self) -> CacheStats:
        """Counters since it was made."""


class Store(Protocol):
    """Folders of files that must not vanish, each whole and verified, or not there at all.

    A key is names divided by ``/``, each of letters, digits, dots, hyphens and underscores and
    beginning with a letter or a digit; any other text is refused with a StorageError.
    """

    def put(self, key: str, folder: Path) -> str:
        """Keep a copy of *folder* under *key*, which must be new; returns its digest.

        That is the digest of the manifest of what :meth:`get` gives.

        Raises:
            StorageError: There is something under *key*, or the copy failed; nothing is left.
        """

    def get(self, key: str) -> Path:
        """A local, verified folder with the content and its manifest; to be read, never written.

        :func:`llamahome_core.files.new_folder` makes such a folder.

        Raises:
            StorageError: There is nothing under *key*.
            IntegrityError: It is not what was put.
        """

    def keys(self, prefix: str = "") -> list[str]:
        """The complete keys that start with *prefix*, sorted."""

    def delete(self, key: str) -> None:
        """Remove it; half a removal never looks like a folder."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep out all others who take this lock, in whatever process uses the same store.

        It guards work of several steps, such as giving out numbers. Each method is safe without
        it, and may be called while it is held.
        """


class Registry(Protocol):
    """Published versions of models by name and tag. A service over the store."""

    def publish(
        self,
        name: str,
        parts: Mapping[str, Path],
        *,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Version:
        """Store *parts* as the next version of *name*, which gets *tags*, at once or not at all.

        A tag belongs to the newest version that was given it.
        """

    def find(self, label: str) -> Version:
        """``name``, ``name:tag`` or ``name:v3``; a bare name means ``latest``, else the newest.

        Raises:
            UnknownNameError: There is no such version.
            IntegrityError: It is not what was published.
        """

    def resolve(self, label: str) -> Version:
        """The version that :meth:`find` finds, without its files: gigabytes are not read.

        Raises:
            UnknownNameError: There is no such version.
            IntegrityError: What is recorded of it is damaged.
        """

    def versions(self, name: str | None = None) -> list[Version]:
        """All versions, by name and number, without their files."""


class Monitor(Protocol):
    """Shows or forwards a run's events. Lives in a process of its own, where it can do no harm.

    It may also have ``tick()``, called about ten times a second, and ``whole_run = True``, which
    asks for the events of a resumed run from its very first. A settings class with ``terminal:
    ClassVar[bool] = True`` gives its monitor the terminal; others write to a log.
    """

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take one event of ``events.jsonl``."""

    def close(self) -> None:
        """The run is over, or the monitor is no longer wanted."""
