"""The fold of a run's events."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from llamahome_monitors.state import Progress, RunState

TIME = "2026-11-22T23:01:10.000+00:00"


def fold(*events: dict[str, Any]) -> RunState:
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def train(step: int, loss: float | None, **more: Any) -> dict[str, Any]:
    return {"t": "train", "step": step, "steps": 100, "loss": loss, **more}


def test_a_whole_run_is_known_at_its_end(finished: list[dict[str, Any]]):
    """Everything that the summary shows comes out of the events."""
    state = fold(*finished)
    assert state.name == "quickstart-1"
    assert state.train["step"] == 240
    assert state.first_loss == pytest.approx(2.97, abs=0.2)
    assert state.losses[-1][0] == 240
    assert [e["step"] for e in state.evals] == [0, 40, 80, 120, 160, 200, 240]
    assert len(state.samples) == 2
    assert state.rounds == 7
    assert state.checkpoint["step"] == 200
    assert state.warnings == {"1 row is longer than 1024 tokens and was dropped": 1}
    assert state.published[0]["label"] == "quickstart:v1"
    assert state.end["status"] == "finished"
    assert state.elapsed == state.end["seconds"]
    assert state.memory_peak == max(e["memory_peak"] for e in finished if e["t"] == "train")


def test_the_mean_speed_weighs_each_step_by_its_time():
    """1000 tokens in 1 s and 1000 tokens in 3 s are 500 per second, not 667."""
    state = fold(train(1, 2.0, tok_s=1000.0, step_s=1.0), train(2, 2.0, tok_s=1000 / 3, step_s=3.0))
    assert state.tok_s == pytest.approx(500)


def test_step_times_are_percentiles():
    """The median of 1..100 is about 50, the 95th percentile about 95."""
    state = fold(*(train(n, 1.0, step_s=float(n)) for n in range(1, 101)))
    assert state.step_time(0.5) == 51
    assert state.step_time(0.95) == 96
    assert state.step_time(1.0) == 100
    assert RunState().step_time(0.5) is None
    assert RunState().tok_s is None


@pytest.mark.parametrize(
    ("losses", "trend"), [([3.0, 2.0], -1), ([2.0, 3.0], 1), ([2.0, 2.001], 0), ([2.0], 0), ([], 0)]
)
def test_the_trend_compares_recent_losses_with_those_before(losses: list[float], trend: int):
    """Down, up, or flat within two in a thousand; nothing can be said of one step."""
    assert fold(*(train(n, loss) for n, loss in enumerate(losses))).trend() == trend


def test_rewind_takes_back_later_steps():
    """Losses and evaluations after the step are gone, and the best one may be another."""
    evals = [{"t": "eval", "step": n, "loss": 3 - n / 10} for n in (0, 5, 10)]
    state = fold(train(4, 2.0), train(9, 1.0), *evals)
    assert state.best is not None
    assert state.best["step"] == 10
    state.apply({"t": "rewind", "step": 5})
    assert state.losses == [(4, 2.0)]
    assert state.best is not None
    assert state.best["step"] == 5


def test_a_loss_that_is_not_finite_is_no_point_of_the_curve():
    """It is null in the events; the newest value says so, the curve goes on without it."""
    state = fold(train(1, 2.0), train(2, None), {"t": "eval", "step": 2, "loss": None})
    assert state.losses == [(1, 2.0)]
    assert state.train["loss"] is None
    assert state.best is None


def test_many_losses_are_thinned_out_and_keep_their_course():
    """A million steps need no million numbers."""
    state = fold(*(train(n, 10_000.0 - n) for n in range(1, 10_001)))
    assert len(state.losses) <= 4096
    assert state.losses[0][1] > state.losses[len(state.losses) // 2][1] > state.losses[-1][1]
    assert state.losses[-1][0] == 10_000
    assert state.first_loss == 9999.0


def test_answers_keep_the_first_and_the_newest():
    """A prompt's answers of before and now; a round is a step at which prompts were asked."""
    state = fold(
        *({"t": "sample", "step": step, "prompt": p, "answer": f"{p}{step}"}
          for step in (0, 10, 20) for p in "ab")
    )  # fmt: skip
    assert state.rounds == 3
    assert (state.samples["b"].before, state.samples["b"].now) == ("b0", "b20")
    assert (state.samples["b"].before_step, state.samples["b"].now_step) == (0, 20)


def test_progress_is_of_a_phase():
    """How far it is, and how long it will take if it goes on like this."""
    state = fold({"t": "stage", "stage": "fetch", "status": "started", "time": TIME})
    state.apply({"t": "phase", "phase": "download x", "time": TIME})
    state.apply({"t": "progress", "phase": "download x", "done": 5, "total": 10, "time": TIME})
    assert state.progress == Progress("download x", state.now, 5, 10)
    assert state.progress.in_bytes
    assert state.progress.eta(state.now + 4) == 4
    assert state.progress.eta(state.now) is None


def test_progress_without_its_phase_begins_one_and_the_stages_end_ends_it():
    """Rows are no bytes, and without a total nobody knows what is left."""
    rows = {"t": "progress", "phase": "other", "done": 1, "unit": "rows"}
    state = fold({"t": "phase", "phase": "download x"}, rows)
    assert state.progress == Progress("other", 0.0, 1, None, "rows")
    assert not state.progress.in_bytes
    assert state.progress.eta(4) is None
    over = fold(rows, {"t": "stage", "stage": "fetch", "status": "finished"})
    assert over.progress is None
    assert over.stage is None


def test_training_is_the_stage_that_makes_steps(replay: ModuleType):
    """Before the first step and after the stage there is no training bar."""
    state, seen = RunState(), []
    for event in replay.finished():
        state.apply(event)
        seen.append((event["t"], event.get("stage"), state.training))
    first = next(i for i, (kind, _, _) in enumerate(seen) if kind == "train")
    last = seen.index(("stage", "train", False), first)
    assert not any(training for _, _, training in seen[:first])
    assert all(training for _, _, training in seen[first:last])
    assert not any(training for _, _, training in seen[last:])


def test_warnings_are_counted():
    """The same text twice is one warning that came twice."""
    state = fold({"t": "warning", "text": "a"}, {"t": "warning", "text": "a"})
    assert state.warnings == {"a": 2}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"t": None},
        {"t": "coffee", "step": 3},
        {"t": "apply", "time": 7},
        {"t": "train", "time": "yesterday"},
        {"t": "progress", "done": None, "total": float("nan")},
        {"t": "eval"},
        {"t": "sample"},
        {"t": "checkpoint"},
        {"t": "rewind"},
        {"t": "stage"},
        {"t": "end"},
        {"t": "stopping"},
    ],
)
def test_no_event_breaks_the_fold(event: dict[str, Any]):
    """Unknown kinds and missing fields are taken as they come."""
    state = fold(event)
    assert state.elapsed == 0
    assert state.name == "run"


def test_elapsed_is_the_time_between_events_until_the_end_says():
    """A run that is going on has taken what its events span."""
    state = fold({"t": "run", "time": TIME}, {"t": "phase", "time": TIME.replace("10.", "40.")})
    assert state.elapsed == 30
    state.apply({"t": "end", "seconds": 31.5})
    assert state.elapsed == 31.5
