"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from llamahome_core import Monitor, MonitorContext
from llamahome_core.monitoring import Monitors
from llamahome_core.recipe import Selection
from llamahome_core.testing import MonitorContract
from llamahome_monitors.config import TensorboardConfig
from llamahome_monitors.plugin import llamahome_monitors
from llamahome_monitors.tensorboard import TensorboardMonitor


def read(folder: Path) -> Any:
    """All of the folder; 0 is no limit."""
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def points(accumulator: Any, tag: str) -> list[tuple[int, float]]:
    return [(e.step, round(e.value, 4)) for e in accumulator.Scalars(tag)]


def write(directory: Path, events: list[dict[str, Any]], **settings: Any) -> None:
    monitor = TensorboardMonitor(TensorboardConfig(**settings), MonitorContext(directory=directory))
    for event in events:
        monitor.handle(event)
    monitor.close()


class TestContract(MonitorContract):
    """It keeps to what every monitor keeps to."""

    @pytest.fixture
    def monitor(self, tmp_path: Path) -> Monitor:
        return TensorboardMonitor(TensorboardConfig(), MonitorContext(directory=tmp_path))


def test_every_number_is_read_back(tmp_path: Path, finished: list[dict[str, Any]]):
    """Tags of the catalogue, a point for each event, at its step and at the event's own time."""
    write(tmp_path, finished)
    found = read(tmp_path / "tensorboard")
    assert set(found.Tags()["scalars"]) == {
        "train/loss", "train/lr", "train/grad_norm", "train/epoch", "train/tokens",
        "train/tokens_trained", "perf/tok_s", "perf/step_s", "perf/checkpoint_s", "mem/now",
        "mem/peak", "eval/loss", "eval/ppl",
    }  # fmt: skip
    train = [e for e in finished if e["t"] == "train"]
    assert points(found, "train/loss") == [(e["step"], e["loss"]) for e in train]
    evals = [e for e in finished if e["t"] == "eval"]
    assert points(found, "eval/loss") == [(e["step"], e["loss"]) for e in evals]
    assert found.Scalars("train/loss")[0].wall_time == pytest.approx(1795388493, abs=60)


def test_samples_are_text_without_codes(tmp_path: Path):
    """One tag for each prompt; the text plugin shows them as they are, as code."""
    events = [
        {"t": "sample", "step": step, "prompt": prompt, "answer": f"\x1b[31m<b>{step}</b>"}
        for step in (0, 5)
        for prompt in ("one?", "two?")
    ]
    write(tmp_path, events)
    found = read(tmp_path / "tensorboard")
    assert found.Tags()["tensors"] == ["samples/1", "samples/2"]
    assert found.SummaryMetadata("samples/2").plugin_data.plugin_name == "text"
    texts = [(e.step, e.tensor_proto.string_val[0]) for e in found.Tensors("samples/2")]
    assert texts == [(0, b"    two?\n\n    <b>0</b>"), (5, b"    two?\n\n    <b>5</b>")]


def test_a_rewind_takes_back_later_points(tmp_path: Path):
    """After it, the curve is the one of the run that went on."""
    train = [{"t": "train", "step": step, "loss": float(step)} for step in (1, 2, 3, 4)]
    again = [{"t": "train", "step": step, "loss": 10.0 * step} for step in (3, 4)]
    write(tmp_path, [*train, {"t": "rewind", "step": 2}, *again])
    found = read(tmp_path / "tensorboard")
    assert points(found, "train/loss") == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]


def test_a_value_that_is_not_finite_is_no_point(tmp_path: Path):
    """It is null in the events."""
    write(tmp_path, [{"t": "train", "step": 1, "loss": None, "lr": 0.5}, {"t": "phase"}])
    found = read(tmp_path / "tensorboard")
    assert found.Tags()["scalars"] == ["train/lr"]


def test_the_folder_can_be_chosen(tmp_path: Path):
    """For example one that a TensorBoard server watches."""
    write(tmp_path, [{"t": "train", "step": 1, "loss": 1.0}], folder=tmp_path / "board" / "r-1")
    assert points(read(tmp_path / "board" / "r-1"), "train/loss") == [(1, 1.0)]
    assert not (tmp_path / "tensorboard").exists()


def start(directory: Path, offset: int) -> Monitors:
    [component] = [c for c in llamahome_monitors() if c.name == "tensorboard"]
    selection = Selection(
        kind="monitor", name="tensorboard", plugin="monitors", component=component,
        config=TensorboardConfig(),
    )  # fmt: skip
    monitors = Monitors([selection], directory, None, offset)  # type: ignore[arg-type]
    monitors.start()
    return monitors


def test_two_sessions_are_one_curve(replay: Any, tmp_path: Path):
    """Stopped at 131 and resumed from 100, in processes of their own: each step is there once.

    The second session's file tells the whole run again and makes the reader forget the first, so
    the curve is whole even if the first session's monitor was killed.
    """
    events = replay.resumed()
    split = next(i for i, e in enumerate(events) if e.get("status") == "resumed")
    path = tmp_path / "events.jsonl"
    replay.write(events[:split], path)
    start(tmp_path, 0).close(timeout=60)
    assert points(read(tmp_path / "tensorboard"), "train/loss")[-1][0] == 131
    offset = path.stat().st_size
    with path.open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events[split:])
    start(tmp_path, offset).close(timeout=60)
    found = read(tmp_path / "tensorboard")
    kept = [e for e in events[:split] if e["t"] == "train" and e["step"] <= 100]
    kept += [e for e in events[split:] if e["t"] == "train"]
    assert points(found, "train/loss") == [(e["step"], e["loss"]) for e in kept]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_a_second_one_has_a_folder_of_its_own(tmp_path: Path):
    """Two writers in one folder would be one run with every point twice."""
    for number in (1, 2):
        context = MonitorContext(directory=tmp_path, number=number)
        TensorboardMonitor(TensorboardConfig(), context).close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["tensorboard", "tensorboard-2"]
