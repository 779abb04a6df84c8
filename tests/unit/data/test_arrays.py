"""The files of prepared data: what safetensors reads, what mapping reads, what memory it takes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from llamahome_core import IntegrityError
from llamahome_data.arrays import LAYOUT, Documents, DocumentWriter

NAMES = ["a.jsonl", "b.jsonl", "c.jsonl"]


def write(path: Path, lengths: list[int]) -> Path:
    with DocumentWriter(path) as writer:
        for number, length in enumerate(lengths):
            ids = np.arange(length) + 1000 * number
            writer.add(ids, ids % 2 == 1, number % 3, 10 + number)
    return path


@pytest.fixture
def path(tmp_path) -> Path:
    found: Path = tmp_path / "training.safetensors"
    return found


@pytest.mark.parametrize("lengths", [[], [1], [3, 1, 4, 1, 5]])
def test_safetensors_and_the_map_read_the_same(path, lengths):
    """The file is plain safetensors: any tool can look into it."""
    write(path, lengths)
    documents, plain = Documents.open(path, NAMES), load_file(path)
    assert plain.keys() == LAYOUT.keys()
    for name, (_, dtype) in LAYOUT.items():
        mapped = getattr(documents, name)
        assert mapped.dtype == plain[name].dtype == dtype
        assert mapped.flags.aligned
        np.testing.assert_array_equal(mapped, plain[name])
    assert len(documents) == len(lengths)
    assert documents.lengths.tolist() == lengths
    assert documents.rows.tolist() == [10 + i for i in range(len(lengths))]
    assert documents.sources.tolist() == [i % 3 for i in range(len(lengths))]


def test_documents_tell_where_they_came_from(path):
    """By source, each row once, in their order; of a great many the first."""
    with DocumentWriter(path) as writer:
        for source, row in [(0, 17), (1, 2), (0, 3), (0, 17), (2, 9)]:
            writer.add(np.arange(2), np.ones(2, np.bool_), source, row)
        for row in range(100):
            writer.add(np.arange(2), np.ones(2, np.bool_), 2, row)
    documents = Documents.open(path, NAMES)
    assert documents.origin([0]) == "a.jsonl row 17"
    assert documents.origin((0, 1, 2, 3)) == "a.jsonl rows 3, 17; b.jsonl row 2"
    assert documents.origin(range(105)).endswith(" 57, 58; and 41 more")
    assert documents.origin([]) == ""


def test_mapped_data_cannot_be_changed(path):
    """Training must not write into a cache that others share."""
    tokens: Any = Documents.open(write(path, [3]), NAMES).tokens
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def test_the_writer_counts_what_it_wrote(path):
    """The summary comes from these."""
    with DocumentWriter(path) as writer:
        writer.add(np.arange(4), np.array([False, True, True, False]), 0, 1)
        writer.add(np.arange(6), np.array([False] * 5 + [True]), 0, 2)
    assert (writer.num_documents, writer.num_tokens, writer.num_trained) == (2, 10, 3)
    assert writer.longest == 6


def test_an_error_in_the_block_leaves_no_file(path):
    """Neither the file nor a part of it."""
    writer = DocumentWriter(path)
    writer.add(np.arange(4), np.ones(4, np.bool_), 0, 1)
    with pytest.raises(ValueError, match="setting an array"), writer:
        writer.add(np.arange(4), np.ones(4, np.bool_), 0, [[1], [2, 3]])  # type: ignore[arg-type]
    assert list(path.parent.iterdir()) == []


def test_memory_does_not_grow_with_the_data(path):
    """Four million tokens, 20 MB on disk, in two megabytes of memory."""
    ids, trained = np.arange(2000), np.ones(2000, np.bool_)
    tracemalloc.start()
    try:
        with DocumentWriter(path) as writer:
            for row in range(2000):
                writer.add(ids, trained, 0, row)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert peak < 2_500_000


def test_a_micro_batch_never_looks_across_documents(path):
    """Each target's predictor is the token before it in the same document."""
    documents = Documents.open(write(path, [4, 1, 6, 3]), NAMES)
    batch = documents.micro_batch(np.array([2, 0, 3]))
    assert batch.ids.tolist() == [*range(2000, 2006), *range(4), *range(3000, 3003)]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 1, 2]
    assert batch.boundaries.tolist() == [0, 6, 10, 13]
    assert batch.predictors.tolist() == [0, 2, 4, 6, 8, 10]
    assert batch.targets.tolist() == [2001, 2003, 2005, 1, 3, 3001]
    assert (batch.num_tokens, batch.num_targets) == (13, 6)
    for array in (batch.ids, batch.positions, batch.boundaries, batch.predictors, batch.targets):
        assert array.dtype == np.int64


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:0],
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"x" * (len(data) - 8),
        lambda data: data.replace(b'"tokens"', b'"tokenz"'),
        lambda data: data.replace(b'"data_offsets"', b'"data_offsetz"'),
    ],
)
def test_a_file_of_another_form_is_an_integrity_error(path, damage):
    """Never a crash, never other numbers."""
    path.write_bytes(damage(write(path, [3, 4]).read_bytes()))
    with pytest.raises(IntegrityError, match="is damaged"):
        Documents.open(path, NAMES)
