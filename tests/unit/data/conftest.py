"""A small codec and a context for the tests of data; as a program, it prepares data and tells.

    python conftest.py TOKENIZER DATA WORKSPACE SECONDS_PER_ROW

The tests run the program to kill it, and to run it twice at once.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from llamahome_core import (
    ChatCodec,
    Context,
    Encoded,
    EncodedChat,
    ModelFolder,
    Models,
    NoSettings,
    PreparedData,
    Recipe,
    Selection,
    Workspace,
)
from llamahome_data.config import JsonlConfig
from llamahome_data.plugin import llamahome_data_sources
from llamahome_data.prepare import prepare

SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
SENTENCES = [
    "What is the capital of France?",
    "The capital of France is Paris, a city on the river Seine.",
    "How do I run a recipe? Write it down, then run it with one command.",
    "system user assistant tool",
]


class TinyCodec:
    """A real byte-level BPE and ChatML, as an instruct model has them."""

    def __init__(self, path: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(path))
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.vocab_size = self.tokenizer.get_vocab_size()
        self.begin, self.end, self.start, self.stop = (
            self.tokenizer.encode(token).ids[0] for token in SPECIAL
        )
        self.end_ids = frozenset({self.end, self.stop})

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode(self, messages: Any, tools: Any = (), *, reply: bool = False) -> EncodedChat:
        ids: list[int] = self._ids(json.dumps(tools)) if tools else []
        spans = []
        for message in messages:
            ids += [self.start, *self._ids(f"{message['role']}\n")]
            opened = len(ids)
            ids += [*self._ids(message["content"]), self.stop]
            if message["role"] == "assistant":
                spans.append((opened, len(ids)))
            ids += self._ids("\n")
        if reply:
            ids += [self.start, *self._ids("assistant\n")]
        return EncodedChat(ids=ids, assistant_spans=spans)

    def encode_prompt(self, prompt: str, *, system: str | None = None) -> list[int]:
        told = [{"role": "system", "content": system}] if system else []
        return self.encode([*told, {"role": "user", "content": prompt}], reply=True).ids

    def encode_text(self, text: str) -> list[int]:
        return [self.begin, *self._ids(text), self.end]

    def decode(self, ids: Any) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def pieces(self, ids: Any) -> list[str]:
        return [self.tokenizer.decode([i], skip_special_tokens=False) for i in ids]


@define
class TinyObjective:
    """Learns what the assistant says, or all of a plain text; *before* is called for each row."""

    identity: str = "tiny"
    seconds: float = 0.0
    before: Callable[[int], None] = lambda _: None
    encoded: int = 0

    def encode(self, example: Any, codec: Any) -> Encoded:
        self.before(self.encoded)
        self.encoded += 1
        time.sleep(self.seconds)
        if example.text is not None:
            ids = codec.encode_text(example.text)
            return Encoded(ids=ids, trained=[i > 0 for i in range(len(ids))])
        chat = codec.encode(example.messages, example.tools)
        trained = [
            any(start <= i < end for start, end in chat.assistant_spans)
            for i in range(len(chat.ids))
        ]
        return Encoded(ids=chat.ids, trained=trained)

    def loss(self, logits: Any, targets: Any) -> Any:
        raise NotImplementedError


@define
class Ready:
    """Stands where a declared component stands, and builds what is there already."""

    value: Any

    def build(self, config: Any, context: Any) -> Any:
        return self.value


@define
class Recorder:
    """Keeps events."""

    events: list[dict[str, Any]] = field(factory=list)

    def emit(self, kind: str, **fields: Any) -> None:
        self.events.append({"t": kind, **fields})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["t"] == kind]


@define
class OneModel:
    """A service of models that has one model, or none yet."""

    folder: ModelFolder | None

    def cached(self, name: str) -> ModelFolder | None:
        return self.folder


@define
class OnePlugin:
    """A catalogue whose components all come from one distribution."""

    origin: str = "test 1.0"

    def find(self, kind: Any, name: str) -> tuple[OnePlugin, None]:
        return self, None


def data_selection(path: Path, role: Any = "train", **settings: Any) -> Selection:
    (component,) = llamahome_data_sources()
    config = JsonlConfig(path=path, **settings)
    return Selection(
        kind="data", name="jsonl", plugin="data", component=component, config=config, role=role
    )


def transform_selection(transform: Any = None, component: Any = None, config: Any = None) -> Any:
    component, name = (component, component.name) if component else (Ready(transform), "mine")
    config = NoSettings() if config is None else config
    return Selection(kind="transform", name=name, plugin="test", component=component, config=config)


def new_context(
    workspace: Path,
    codec: Any,
    *data: Selection | Path,
    objective: Any = None,
    owner: str = "test",
    fetched: bool = True,
    **tables: Any,
) -> Context:
    chosen = Selection(
        kind="objective",
        name="tiny",
        plugin=owner,
        component=Ready(objective or TinyObjective()),
        config=None,
    )
    selections = tuple(d if isinstance(d, Selection) else data_selection(d) for d in data)
    recipe = Recipe(
        name="test", model="tiny", data=selections, chosen={"objective": chosen}, **tables
    )
    catalog: Any = OnePlugin()
    context = Context(
        recipe=recipe, workspace=Workspace(workspace), catalog=catalog, events=Recorder()
    )
    folder = ModelFolder(path=workspace, digest="sha256:0", name="tiny") if fetched else None
    context.put(Models, OneModel(folder))
    context.put(ChatCodec, codec)
    return context


def chats(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is {i} and {i}?"},
                {"role": "assistant", "content": f"It is {2 * i}." + " Really." * (i % 7)},
            ]
        }
        for i in range(first, first + count)
    ]


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 20, trainer)
    path: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="session")
def codec(tokenizer_file) -> TinyCodec:
    return TinyCodec(tokenizer_file)


@pytest.fixture
def workspace(tmp_path) -> Path:
    path: Path = tmp_path / "workspace"
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    path: Path = write_rows(tmp_path / "train.jsonl", chats(60))
    return path


@pytest.fixture
def run(workspace, codec):
    """Runs the stage and returns the context, the data and the objective, which counts."""

    def run(*data: Any, objective: Any = None, **tables: Any) -> tuple[Any, Any, Any]:
        objective = objective or TinyObjective()
        context = new_context(workspace, codec, *data, objective=objective, **tables)
        prepare(context)
        prepared = context.find(PreparedData)
        return context, prepared, objective

    return run


@pytest.fixture
def tools() -> Any:
    """The helpers of this file, which no test can import: the folders are no packages."""
    return sys.modules[__name__]


def main(tokenizer: str, data: str, workspace: str, seconds: str) -> None:
    objective = TinyObjective(seconds=float(seconds))
    context = new_context(
        Path(workspace), TinyCodec(Path(tokenizer)), Path(data), objective=objective
    )
    prepare(context)
    prepared = context.find(PreparedData)
    assert prepared
    events: Any = context.events
    phases = [event["phase"] for event in events.of("phase")]
    found = {"encoded": objective.encoded, "digest": prepared.digest, "phases": phases}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
