"""A made-up run whose events look like a real one's, and a player for them.

Look at the console by hand::

    python tests/unit/monitors/replay.py --speed 20 --mode live
    python tests/unit/monitors/replay.py --file runs/quickstart-1/events.jsonl

Write the pictures that the tests compare with, to be read before they are kept::

    python tests/unit/monitors/replay.py --golden
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from llamahome_core.monitoring import Monitors
from llamahome_core.recipe import Selection
from llamahome_monitors.config import ConsoleConfig
from llamahome_monitors.format import ASCII, UNICODE, Symbols
from llamahome_monitors.frame import Frame
from llamahome_monitors.plugin import llamahome_monitors
from llamahome_monitors.state import RunState
from llamahome_monitors.summary import Summary

START = datetime(2026, 11, 22, 23, 1, 10, tzinfo=UTC)
STEPS = 240
PROMPTS = {
    "What is LlamaHome?": (
        "LlamaHome is a company that sells clothes for llamas. It was founded in 1995 in Peru.",
        "LlamaHome is a home for llamas and for models, and it trains them on your machine.",
        "LlamaHome trains, versions and serves open language models on your own machine.",
    ),
    "How do I stop a run without losing work?": (
        "You can stop a run by running faster than the run itself, and then you can walk.",
        "Press Ctrl-C. The run stops.",
        "Press Ctrl-C once: the run finishes its step, saves a checkpoint, and says how to go on.",
    ),
}
GIB = 1 << 30


class Story:
    """Collects events with the time of a clock of its own."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start
        self.events: list[dict[str, Any]] = []
        self._random = random.Random(7)  # the same story each time

    def add(self, kind: str, after: float = 0.0, **fields: Any) -> None:
        self.now += timedelta(seconds=after)
        time = self.now.isoformat(timespec="milliseconds")
        self.events.append({"schema": "llamahome.event/1", "time": time, "t": kind, **fields})

    def opening(self) -> None:
        self.add(
            "run", name="quickstart-1", status="started", recipe="quickstart",
            model="smollm2-135m-instruct", components={"adapter": "lora"},
            device="cpu", clip=1.0, host="box",
            pid=42, versions={"llamahome": "0.1.0"},
        )  # fmt: skip
        self.add("stage", stage="fetch", status="started")
        self.add("phase", phase="download smollm2-135m-instruct")
        for done in range(10, 100, 10):
            self.add("progress", 1.0, phase="download smollm2-135m-instruct",
                     done=done << 20, total=99 << 20)  # fmt: skip
        self.add("stage", 0.5, stage="fetch", status="finished", seconds=9.5)
        self.add("stage", stage="prepare", status="started")
        self.add("phase", phase="tokenise")
        self.add("progress", 1.0, phase="tokenise", done=96, total=184)
        self.add("data", 0.8, rows=184, documents=183, tokens=14210, trained_tokens=9120,
                 dropped={"overlong": 1}, steps_per_epoch=60, evaluation_documents=20)  # fmt: skip
        self.add("warning", text="1 row is longer than 1024 tokens and was dropped")
        self.add("stage", stage="prepare", status="finished", seconds=1.8)
        self.add("stage", stage="train", status="started")
        self.add("phase", phase="load model")
        self.add("parameters", 2.1, total=134_515_008, trained=921_600)
        self.evaluate(0)
        self.sample(0)

    def evaluate(self, step: int) -> None:
        self.add("phase", phase="evaluate")
        self.add("progress", 0.5, phase="evaluate", done=10, total=20)
        loss = round(1.35 + 1.6 * math.exp(-step / 70) + 0.0004 * max(0, step - 160), 4)
        known = [e["loss"] for e in self.events if e["t"] == "eval"]
        self.add("eval", 0.5, step=step, loss=loss, ppl=round(math.exp(loss), 3), tokens=1800,
                 best=loss < min(known, default=math.inf))  # fmt: skip

    def sample(self, step: int) -> None:
        for prompt, answers in PROMPTS.items():
            answer = answers[min(2, (step + 119) // 120)]
            self.add("sample", 0.9, step=step, prompt=prompt, answer=answer)

    def train(self, step: int) -> None:
        seconds = 1.7 + self._random.uniform(-0.1, 0.2)
        loss = 1.3 + 1.7 * math.exp(-step / 60) + self._random.gauss(0, 0.06)
        warm = min(1.0, step / 12)
        self.add(
            "train", seconds, step=step, steps=STEPS, epoch=round(step / 60, 3),
            loss=round(loss, 4), lr=2e-4 * warm * 0.5 * (1 + math.cos(math.pi * step / STEPS)),
            grad_norm=round(0.6 + self._random.random() * 0.6, 3), applied=True,
            tok_s=round(237 / seconds * 10, 1), tokens=step * 2370, tokens_trained=step * 1520,
            step_s=round(seconds, 3), eta_s=round((STEPS - step) * 1.78, 1),
            memory=int(1.9 * GIB), memory_peak=int((2.2 + step / 2000) * GIB),
        )  # fmt: skip

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.train(step)
            if step % 40 == 0:
                self.evaluate(step)
                self.sample(step)
            if step % 100 == 0:
                self.checkpoint(step, "schedule")

    def checkpoint(self, step: int, reason: str) -> None:
        path = f"checkpoints/step-{step}"
        self.add("checkpoint", 0.4, step=step, path=path, seconds=0.4, reason=reason)

    def finish(self) -> None:
        self.add("stage", stage="train", status="finished", seconds=440.0)
        self.add("stage", stage="publish", status="started")
        self.add("phase", phase="merge")
        parts = {"merged": "data/models/m", "adapter": "data/models/a"}
        self.add("published", 3.0, label="quickstart:v1", tags=["latest"], parts=parts,
                 digest="sha256:" + "3f9c0a" * 10, size=283_115_520)  # fmt: skip
        self.add("stage", stage="publish", status="finished", seconds=3.0)
        self.end("finished", next=['llamahome generate quickstart:v1 --prompt "Hello"'])

    def end(self, status: str, **fields: Any) -> None:
        seconds = round((self.now - START).total_seconds(), 3)
        self.add("end", 0.1, status=status, seconds=seconds, metrics={}, **fields)


def finished() -> list[dict[str, Any]]:
    """A run that went well."""
    story = Story()
    story.opening()
    story.steps(1, STEPS)
    story.finish()
    return story.events


def stopped() -> list[dict[str, Any]]:
    """A run that somebody stopped at step 131."""
    story = Story()
    story.opening()
    story.steps(1, 131)
    story.add("stopping", signal="SIGINT")
    story.checkpoint(131, "signal")
    story.end("stopped", error="stopped by SIGINT", code="X130",
              next=["llamahome run --resume quickstart-1"])  # fmt: skip
    return story.events


def resumed() -> list[dict[str, Any]]:
    """What the stopped run's file holds when it was resumed from an older checkpoint and ended."""
    story = Story()
    story.events = stopped()
    story.now = START + timedelta(hours=1)
    story.add("run", name="quickstart-1", status="resumed", recipe="quickstart", model="smollm2")
    story.add("rewind", step=100)
    story.add("stage", stage="train", status="started")
    story.steps(101, STEPS)
    story.finish()
    return story.events


def failed() -> list[dict[str, Any]]:
    """A run that found no network."""
    story = Story()
    story.opening()
    del story.events[3:]
    story.end(
        "failed", error="smollm2-135m-instruct is not on this machine and the network is off",
        hint="llamahome models fetch smollm2-135m-instruct, or unset HF_HUB_OFFLINE", code="M302",
        next=["llamahome run --resume quickstart-1"],
    )  # fmt: skip
    return story.events


STORIES = {"finished": finished, "stopped": stopped, "resumed": resumed, "failed": failed}


def write(events: list[dict[str, Any]], path: Path) -> None:
    path.write_text("".join(json.dumps(e, ensure_ascii=False) + "\n" for e in events))


def console(config: ConsoleConfig) -> Selection:
    [component] = [c for c in llamahome_monitors() if c.name == "console"]
    return Selection(
        kind="monitor", name="console", plugin="monitors", component=component, config=config
    )


class Loud:
    def warning(self, event: str, /) -> None:
        print(f"WARNING {event}")  # noqa: T201  # seen by who plays a run


def at_speed(events: list[dict[str, Any]], speed: float) -> Iterator[dict[str, Any]]:
    """The events with their times moved to now, each when it is due."""
    first, began = datetime.fromisoformat(events[0]["time"]), datetime.now(UTC)
    for event in events:
        due = began + (datetime.fromisoformat(event["time"]) - first) / speed
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        yield {**event, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}


# --- Pictures ----------------------------------------------------------------------------------

GOLDEN = Path(__file__).with_name("golden")
MOMENTS = {"fetching": ("progress", 5), "loading": ("phase", 3), "training": ("train", 137)}


def state_at(kind: str, number: int, story: str = "finished") -> RunState:
    """What is known after the *number*-th event of a kind."""
    state, left = RunState(), number
    for event in STORIES[story]():
        state.apply(event)
        left -= event["t"] == kind
        if not left:
            break
    return state


def pictures() -> dict[str, str]:
    """Name to what the live view and the summary look like."""
    found = {}
    shapes: list[tuple[int, int, Symbols, str]] = [
        (width, 24, UNICODE, "") for width in (40, 80, 120)
    ]
    shapes += [(80, 24, ASCII, "-ascii"), (80, 9, UNICODE, "-low")]
    for width, height, symbols, more in shapes:
        for moment, event in MOMENTS.items():
            state = state_at(*event)
            frame = Frame(
                state=state, width=width, height=height, now=state.now + 3, symbols=symbols
            )
            found[f"{moment}-{width}{more}"] = text_of(frame)
        for story in STORIES:
            state = state_at("end", 2 if story == "resumed" else 1, story)
            folder = Path("runs") / "quickstart-1"
            summary = Summary(state=state, directory=folder, width=width, symbols=symbols)
            found[f"{story}-{width}{more}"] = text_of(summary)
    return found


def text_of(picture: Frame | Summary) -> str:
    return "".join(line.plain.rstrip() + "\n" for line in picture.lines())


def write_golden() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name, text in pictures().items():
        (GOLDEN / f"{name}.txt").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Play a run for the console.")
    parser.add_argument("--speed", type=float, default=20.0, help="times faster than it was")
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--verbosity", type=int, default=0)
    parser.add_argument("--story", default="finished", choices=sorted(STORIES))
    parser.add_argument("--file", type=Path, help="an events.jsonl instead of a story")
    parser.add_argument("--golden", action="store_true", help="write the expected pictures")
    options = parser.parse_args()
    if options.golden:
        write_golden()
        return
    if options.file:
        events = [json.loads(line) for line in options.file.read_text().splitlines()]
    else:
        events = STORIES[options.story]()
    config = ConsoleConfig(mode=options.mode, verbosity=options.verbosity)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / events[0].get("name", "run")
        directory.mkdir()
        monitors = Monitors([console(config)], directory, Loud())
        monitors.start()
        with (directory / "events.jsonl").open("a", encoding="utf-8") as file:
            for event in at_speed(events, options.speed):
                file.write(json.dumps(event, ensure_ascii=False) + "\n")
                file.flush()
        monitors.close()


if __name__ == "__main__":
    main()
