"""Each contract refuses what breaks it: a component with one fault fails the test that names it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llamahome_core import (
    CacheStats,
    DataError,
    Dropped,
    Example,
    ModelReference,
    Row,
    StorageError,
)
from llamahome_core.testing import (
    ByteCodec,
    CacheContract,
    ChatCodecContract,
    DataSourceContract,
    ModelSourceContract,
    MonitorContract,
    ScheduleContract,
    StoreContract,
    TransformContract,
)


def refused(contract: type, test: str, **given: Any) -> bool:
    """Whether the test of *contract* fails for what is given."""
    method = getattr(contract(), test)
    try:
        method(**given)
    except (Exception, pytest.fail.Exception):  # noqa: BLE001  # whatever fails a test
        return True
    return False


class TestByteCodec(ChatCodecContract):
    """The codec of the kit keeps to the contract of codecs."""

    @pytest.fixture
    def codec(self) -> ByteCodec:
        return ByteCodec()


class Source:
    """A data source that does what the fault says."""

    def __init__(self, fault: str = "", content: str = "abc") -> None:
        self.fault, self.content = fault, content
        self.asked = itertools.count()
        self.shared = self._rows()

    def digest(self) -> str:
        return {"time": str(next(self.asked)), "name": "x"}.get(self.fault, self.content)

    def rows(self) -> Any:
        if self.fault == "list":
            return list(self._rows())
        return self.shared if self.fault == "shared" else self._rows()

    def _rows(self) -> Iterator[Row]:
        for number, sign in enumerate(self.content, 1):
            value: Any = {"n": float("nan")} if self.fault == "nan" else {"text": sign}
            if self.fault == "random":
                value["text"] = str(random.random())
            place = 0 if self.fault == "unplaced" else number
            yield Row(value=value, source="x", number=place)


ROWS = {
    "random": "test_the_same_rows_come_each_time",
    "shared": "test_two_readers_do_not_disturb_each_other",
    "list": "test_rows_come_one_at_a_time",
    "unplaced": "test_every_row_says_where_it_is",
    "nan": "test_every_row_is_plain_values",
    "time": "test_the_digest_stays_while_the_content_does",
    "name": "test_other_content_has_another_digest",
}


@pytest.mark.parametrize("fault", ROWS)
def test_a_data_source_with_a_fault_is_refused(fault):
    for given in (fault, ""):
        more = {"changed": Source(given, "abx")} if fault == "name" else {}
        found = refused(DataSourceContract, ROWS[fault], source=Source(given), **more)
        assert found is (given != "")


class Dict:
    """A cache that does what the fault says."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.values: dict[str, Any] = {}
        self.hits = self.misses = 0

    def get(self, key: str) -> Any:
        found = self.values.get(key if self.fault != "mixes" else "")
        self.hits += bool(found) if self.fault == "empty" else found is not None
        self.misses += found is None
        return found

    def put(self, key: str, value: Any) -> None:
        if self.fault == "chokes" and not key.isascii():
            raise ValueError(key)
        if self.fault == "mixes":
            key = ""
        if self.fault == "keeps old" and key in self.values:
            return
        self.values[key] = value if self.fault == "aliases" else bytes(value)
        while self.fault != "unbounded" and len(self.values) > 5:
            self.values.pop(next(iter(self.values)))

    def delete(self, key: str) -> None:
        if self.fault == "strict":
            del self.values[key]
        self.values.pop(key, None)

    def stats(self) -> CacheStats:
        size = sum(map(len, self.values.values()))
        return CacheStats(hits=self.hits, misses=self.misses, entries=len(self.values), size=size)


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("empty", "test_what_was_put_last_is_there_and_counted"),
        ("keeps old", "test_a_value_over_the_bound_harms_no_other"),
        ("aliases", "test_what_is_kept_does_not_change_with_the_callers_buffer"),
        ("unbounded", "test_it_is_never_over_its_bounds"),
        ("mixes", "test_threads_share_it"),
        ("strict", "test_what_was_deleted_is_gone"),
        ("chokes", "test_any_key_may_be_put"),
    ],
)
def test_a_cache_with_a_fault_is_refused(fault, test):
    class Bounded(CacheContract):
        max_entries = 5

    assert refused(Bounded, test, cache=Dict(fault))
    assert not refused(Bounded, test, cache=Dict())


class Folders:
    """A store that copies folders, and neither verifies nor locks anything."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, folder: Path) -> str:
        import shutil

        if not folder.is_dir():
            raise StorageError("nothing to store")
        shutil.copytree(folder, self.root / key, dirs_exist_ok=True)
        return key

    def get(self, key: str) -> Path:
        return self.root / key

    def keys(self, prefix: str = "") -> list[str]:
        found = [p.parent.relative_to(self.root).as_posix() for p in self.root.rglob("config.json")]
        return [key for key in found if key.startswith(prefix)]

    def delete(self, key: str) -> None:
        import shutil

        shutil.rmtree(self.root / key)

    def lock(self) -> Any:
        import contextlib

        return contextlib.nullcontext()


def test_a_store_that_believes_its_disk_is_refused(tmp_path):
    """What every copy of a folder would do wrong."""
    numbers = itertools.count()

    def given(*names: str) -> dict[str, Any]:
        here = tmp_path / str(next(numbers))
        root = here / "store"
        root.mkdir(parents=True)
        content = here / "content"
        (content / "deep").mkdir(parents=True)
        (content / "config.json").write_text("{}")
        (content / "deep" / "model.safetensors").write_bytes(bytes(99))
        all_of_it = {
            "stored": Folders(root),
            "content": content,
            "open_store": lambda: Folders(root),
            "tmp_path": here,
        }
        return {name: all_of_it[name] for name in names}

    def check(test: str, *names: str, **more: Any) -> bool:
        return refused(StoreContract, test, **given(*names), **more)

    three = ("stored", "content", "open_store")
    assert not check("test_what_is_put_is_what_is_got", *three)
    assert check("test_the_digest_is_that_of_the_content", "stored", "content")
    assert check("test_what_is_got_has_a_manifest_of_that_digest", "stored", "content")
    assert check("test_a_key_is_put_once", "stored", "content")
    assert check("test_no_key_leads_out_of_the_store", "stored", "content", key="../out")
    assert check("test_damage_never_goes_unnoticed", *three)
    assert check("test_of_two_processes_that_put_one_key_one_wins", "open_store", "tmp_path")
    assert check("test_the_lock_keeps_other_processes_out", *three, "tmp_path")


def test_a_schedule_that_remembers_is_refused():
    """It would say something else after a resume."""

    class Counting:
        calls = 0

        def factor(self, step: int, total: int) -> float:
            self.calls += 1
            return 1 / self.calls

    assert refused(ScheduleContract, "test_it_is_a_pure_function", schedule=Counting(), total=3)


def test_a_monitor_that_knows_its_events_by_heart_is_refused():
    """A missing field or a new kind would end it."""

    class Strict:
        def handle(self, event: Any) -> None:
            {"run": "status", "train": "loss"}[event["t"]]

        def close(self) -> None: ...

    for test in ("test_it_takes_every_event_of_a_run", "test_it_passes_over_what_it_does_not_know"):
        assert refused(MonitorContract, test, monitor=Strict())


class Sieve:
    """A transform that does what the fault says."""

    seen: ClassVar[list[str]] = []

    def __init__(self, fault: str = "") -> None:
        self.fault, self.count = fault, 0

    @property
    def identity(self) -> str:
        return str(self.count) if self.fault == "counts" else "sieve/1"

    def apply(self, example: Example, row: Row) -> Any:
        self.count += 1
        if self.fault == "forgets":
            return None
        if self.fault == "in place":
            for turn in example.messages:
                turn["content"] += "!"
            return example
        if self.fault == "empties":
            return Example(text="")
        if self.fault == "idle":
            return example
        if self.fault == "random":
            return Example(text=str(random.random()))
        self.seen.append(str(example)) if self.fault == "shared" else None
        return Dropped("odd") if (len(self.seen) or self.count) % 2 else example


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("idle", "test_it_does_something"),
        ("forgets", "test_what_goes_on_can_be_learned_from"),
        ("empties", "test_what_goes_on_can_be_learned_from"),
        ("random", "test_a_new_one_does_the_same"),
        ("shared", "test_two_at_once_do_not_disturb_each_other"),
        ("in place", "test_no_example_is_changed_in_place"),
        ("counts", "test_its_identity_stays"),
    ],
)
def test_a_transform_with_a_fault_is_refused(monkeypatch, fault, test):
    monkeypatch.setattr(Sieve, "seen", [])
    messages = tuple({"role": role, "content": "Yes."} for role in ("user", "assistant"))
    for given in (fault, ""):
        examples = [Example(messages=messages), Example(text="a"), Example(text="b")]
        monkeypatch.setattr(Sieve, "seen", [])

        def make(fault: str = given) -> Sieve:
            return Sieve(fault)

        found = refused(TransformContract, test, make_transform=make, examples=examples)
        assert found is (given != "")


def test_a_model_source_that_counts_down_or_moves_is_refused(tmp_path):
    class Moving:
        pins = itertools.count()

        def pin(self, reference: ModelReference) -> ModelReference:
            import attrs

            return attrs.evolve(reference, revision=str(next(self.pins)))

        def fetch(self, reference: ModelReference, folder: Path, progress: Any) -> Path:
            progress(2, 1)
            (folder / "model").write_text(folder.name)
            return folder

    given: dict[str, Any] = {
        "source": Moving(),
        "reference": ModelReference(source="a", location="b", name="c"),
    }
    contract = ModelSourceContract
    assert refused(contract, "test_a_pinned_reference_means_one_thing_for_good", **given)
    given["tmp_path"] = tmp_path
    assert refused(contract, "test_what_is_fetched_is_there_and_the_same_each_time", **given)
    assert refused(contract, "test_progress_only_grows", **given)


class Sloppy(ByteCodec):
    """Takes the names of special tokens for what they name, and forgets an end."""

    def encode_text(self, text: str) -> list[int]:
        if text == "<end>":
            return [256, 257, 257]
        return super().encode_text(text.strip())

    def encode_prompt(self, prompt: str, *, system: str | None = None) -> list[int]:
        if system:
            raise DataError("no system")
        return super().encode_prompt(prompt + " ")


def test_a_codec_that_is_not_exact_is_refused():
    contract, codec = ChatCodecContract, Sloppy()
    messages = [
        {"role": role, "content": content}
        for role, content in (("user", "What is 2?"), ("assistant", "Two."))
    ]

    assert refused(contract, "test_the_name_of_a_special_token_is_text", codec=codec)
    assert refused(contract, "test_text_comes_back", codec=codec, text=" b")
    test = "test_a_reply_goes_on_where_training_began"
    assert refused(contract, test, codec=codec, messages=messages)
    assert not refused(contract, test, codec=ByteCodec(), messages=messages)
