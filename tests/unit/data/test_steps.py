"""Steps: each document once per epoch, never over the bound, the same in whatever order."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llamahome_core import Batch, DataError, StepData
from llamahome_data.arrays import Documents, DocumentWriter
from llamahome_data.steps import (
    EvaluationSteps,
    TrainingSteps,
    fill,
    round_up,
    shuffled,
    split_evenly,
)


def documents_of(lengths: list[int]) -> Documents:
    """Documents whose tokens tell which document they are of: token ``1000 d + i``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.safetensors"
        with DocumentWriter(path) as writer:
            for number, length in enumerate(lengths):
                trained = np.arange(length) > 0
                writer.add(1000 * number + np.arange(length), trained, 0, number + 1)
        return Documents.open(path, ["a.jsonl ([[data]] 1)"])


def key(step: StepData) -> tuple[object, ...]:
    """All that a step is, comparable."""
    batches = [
        (b.ids.tolist(), b.positions.tolist(), b.boundaries.tolist(), b.predictors.tolist())
        for b in step.micro_batches
    ]
    return step.index, step.epoch, step.rows, batches


lengths = st.lists(st.integers(2, 60), min_size=1, max_size=40)
budgets = st.one_of(
    st.integers(60, 300).map(lambda n: Batch(tokens=n)),
    st.integers(1, 9).map(lambda n: Batch(rows=n)),
)
seeds = st.integers(0, 2**63 - 1)


@given(lengths, budgets, seeds, st.integers(0, 5))
def test_each_epoch_has_each_document_exactly_once(lengths, batch, seed, epoch):
    """And equally many steps, none of them empty, none over its bound."""
    steps = TrainingSteps(documents_of(lengths), batch, seed)
    count = steps.per_epoch
    found = [steps.step(index) for index in range(epoch * count, (epoch + 1) * count)]
    assert Counter(row for step in found for row in step.rows) == Counter(range(len(lengths)))
    assert sum(step.num_tokens for step in found) == sum(lengths)
    assert sum(step.num_targets for step in found) == sum(lengths) - len(lengths)
    for step in found:
        assert step.rows
        if batch.step_tokens:
            assert step.num_tokens <= batch.step_tokens
        else:
            assert len(step.rows) <= (batch.rows or 0)


@given(lengths, budgets, seeds, st.data())
def test_random_access_equals_going_in_order(lengths, batch, seed, data):
    """Resuming needs a number: nothing is skipped over, nothing remembered."""
    documents = documents_of(lengths)
    steps = TrainingSteps(documents, batch, seed)
    total = 3 * steps.per_epoch
    in_order = [key(steps.step(index)) for index in range(total)]
    asked = data.draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=8))
    again = TrainingSteps(documents, batch, seed)
    assert [key(again.step(index)) for index in asked] == [in_order[index] for index in asked]
    assert [key(steps.step(index)) for index in asked] == [in_order[index] for index in asked]


@given(lengths, st.integers(60, 300), seeds, st.integers(1, 6))
def test_accumulating_changes_nothing_but_the_cuts(lengths, tokens, seed, parts):
    """The micro-batches of a step, laid end to end, are the step in one micro-batch."""
    documents = documents_of(lengths)
    whole = TrainingSteps(documents, Batch(tokens=tokens), seed)
    cut = TrainingSteps(documents, Batch(tokens=tokens, accumulate=parts), seed)
    for index in range(whole.per_epoch):
        (one,), many = whole.step(index).micro_batches, cut.step(index).micro_batches
        assert len(many) <= parts
        assert all(batch.num_tokens for batch in many)
        assert np.concatenate([b.ids for b in many]).tolist() == one.ids.tolist()
        assert np.concatenate([b.positions for b in many]).tolist() == one.positions.tolist()
        assert np.concatenate([b.targets for b in many]).tolist() == one.targets.tolist()
        longest = max(np.diff(one.boundaries))
        assert max(b.num_tokens for b in many) <= one.num_tokens / parts + longest


@given(lengths, budgets, seeds)
def test_every_target_follows_its_predictor_in_its_own_document(lengths, batch, seed):
    """No token is predicted from another document, and no first token at all."""
    steps = TrainingSteps(documents_of(lengths), batch, seed)
    for index in range(steps.per_epoch):
        for part in steps.step(index).micro_batches:
            assert (part.targets == part.ids[part.predictors] + 1).all()
            assert (part.positions[part.predictors + 1] > 0).all()
            assert not np.isin(part.predictors + 1, part.boundaries).any()


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60), st.integers(1, 6000))
def test_rounding_up_never_shrinks_never_passes_the_bound_and_wastes_an_eighth_at_most(
    lengths, bound
):
    """So a document fits wherever one of its rounded size does."""
    assume(max(lengths) <= bound)
    sizes = np.array(lengths)
    rounded = round_up(sizes, bound)
    assert (rounded >= sizes).all()
    assert (rounded <= bound).all()
    assert (rounded <= sizes * 9 / 8).all()
    assert (round_up(rounded, bound) == rounded).all()


@given(st.lists(st.integers(1, 50), min_size=0, max_size=60), st.integers(50, 200))
def test_filling_stops_only_where_the_next_does_not_fit(sizes, bound):
    """Greedy over a fixed order is the fewest steps that the order allows."""
    edges = fill(np.array(sizes, np.int64), bound).tolist()
    assert edges[0] == 0
    assert edges[-1] == len(sizes)
    for start, end in pairwise(edges):
        assert 0 < sum(sizes[start:end]) <= bound
        assert end == len(sizes) or sum(sizes[start : end + 1]) > bound


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 8))
def test_even_parts_are_near_their_share(lengths, parts):
    """None is over its share by more than one document."""
    slices = split_evenly(np.array(lengths), parts)
    assert [i for s in slices for i in range(len(lengths))[s]] == list(range(len(lengths)))
    assert all(sum(lengths[s]) <= sum(lengths) / parts + max(lengths) for s in slices)


def test_seed_and_epoch_change_order_and_company():
    """Every epoch is another draw: who is with whom, and what comes first."""
    documents = documents_of([30, 31, 32] * 40)
    batch = Batch(tokens=128)

    def epoch(seed: int, number: int) -> list[tuple[int, ...]]:
        steps = TrainingSteps(documents, batch, seed)
        first = number * steps.per_epoch
        return [steps.step(first + i).rows for i in range(steps.per_epoch)]

    def company(steps: list[tuple[int, ...]]) -> set[frozenset[int]]:
        return {frozenset(rows) for rows in steps}

    first, second, other = epoch(1, 0), epoch(1, 1), epoch(2, 0)
    assert first == epoch(1, 0)
    assert len(company(first) & company(second)) <= 1
    assert len(company(first) & company(other)) <= 1


def test_the_order_of_a_seed_is_the_same_for_ever():
    """Written down once: an upgrade of numpy must not change what a run resumes with."""
    assert shuffled(10, 7, 0).tolist() == EXPECTED_ORDER
    parts = np.array([1, 0] * 5)
    assert shuffled(10, 7, 1, parts).tolist() == EXPECTED_PARTS


EXPECTED_ORDER = [1, 8, 6, 5, 9, 2, 4, 7, 0, 3]
EXPECTED_PARTS = [1, 9, 3, 5, 7, 4, 2, 6, 8, 0]


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_every_document_comes_equally_early(seed):
    """A plain property of a shuffle: over many epochs the mean place is the middle."""
    steps = TrainingSteps(documents_of([10] * 20), Batch(rows=1), seed)
    places = np.zeros(20)
    for epoch in range(200):
        order = [steps.step(20 * epoch + i).rows[0] for i in range(20)]
        places[order] += np.arange(20) / 200
    assert np.abs(places - 9.5).max() < 2.2  # 5.4 standard errors of 0.41


def test_steps_are_filled_well():
    """Rounding and the gap at the end of a step cost under a fifth, and no work at all."""
    lengths = np.random.default_rng(0).integers(20, 400, 2000).tolist()
    steps = TrainingSteps(documents_of(lengths), Batch(tokens=4096), 0)
    assert steps.per_epoch <= 1.15 * sum(lengths) / 4096


def test_the_epoch_counts_the_passes_when_the_step_is_done():
    """1.5 is half through the second pass."""
    steps = TrainingSteps(documents_of([10] * 4), Batch(rows=1), 0)
    assert [steps.step(i).epoch for i in (0, 3, 5)] == [0.25, 1.0, 1.5]


def test_a_document_larger_than_a_step_is_refused_with_its_row_and_the_fix():
    """It cannot be trained without going over the bound that the user set."""
    documents = documents_of([10, 65, 20])
    for kind in (lambda b: TrainingSteps(documents, b, 0), lambda b: EvaluationSteps(documents, b)):
        with pytest.raises(
            DataError, match=r"a.jsonl \(\[\[data\]\] 1\) row 2 has 65 tokens"
        ) as caught:
            kind(Batch(tokens=64))
        assert "batch.tokens to 65 or more, or batch.max_length to 64 or" in str(caught.value.hint)
        kind(Batch(tokens=65))
        kind(Batch(rows=1))


def test_a_negative_index_is_refused():
    """Counting from the end makes no sense where there is none."""
    with pytest.raises(IndexError):
        TrainingSteps(documents_of([5]), Batch(), 0).step(-1)


@given(lengths, budgets)
def test_evaluation_has_every_document_once_in_order(lengths, batch):
    """Fixed, so that two evaluations are comparable."""
    steps = EvaluationSteps(documents_of(lengths), batch)
    assert [row for step in steps for row in step.rows] == list(range(len(lengths)))
    assert [step.index for step in steps] == list(range(len(steps)))
    assert all(step.epoch == 0.0 for step in steps)
    if batch.step_tokens:
        assert all(step.num_tokens <= batch.step_tokens for step in steps)


def test_evaluation_is_a_sequence():
    """Indices from both ends, slices, and an end."""
    steps = EvaluationSteps(documents_of([10, 20, 30]), Batch(rows=1))
    assert len(steps) == 3
    assert key(steps[-1]) == key(steps[2])
    assert [key(step) for step in steps[1:]] == [key(steps[1]), key(steps[2])]
    with pytest.raises(IndexError):
        steps[3]
    assert list(EvaluationSteps(documents_of([]), Batch())) == []


def test_a_step_of_4096_tokens_is_built_in_under_a_millisecond():
    """The loop must never wait for data; the median of many, so that a busy machine is no fault."""
    lengths = np.random.default_rng(0).integers(20, 400, 500).tolist()
    steps = TrainingSteps(documents_of(lengths), Batch(tokens=4096), 0)
    steps.step(0)
    seconds = []
    for index in range(steps.per_epoch):
        started = time.perf_counter()
        steps.step(index)
        seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] < 1e-3
