"""A run's folder and monitors that do all that a monitor should not do."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llamahome_core.components import Component
from llamahome_core.monitoring import Monitors
from llamahome_core.recipe import Selection

FAKES = """
import os, sys, time
from pathlib import Path
from typing import ClassVar
from attrs import frozen

@frozen(kw_only=True)
class Config:
    out: Path
    size: str = ""

@frozen(kw_only=True)
class TerminalConfig:
    terminal: ClassVar[bool] = True
    out: Path

class Recorder:
    def __init__(self, config, context):
        self.out, self.directory = config.out, context.directory
        self.note(f"started {os.getpid()}")
    def note(self, text):
        with self.out.open("a") as file:
            file.write(text + "\\n")
    def handle(self, event):
        self.note(f"{event['t']} {event.get('step')}")
    def close(self):
        self.note("closed")

class Whole(Recorder):
    whole_run = True

class Raises(Recorder):
    def handle(self, event):
        super().handle(event)
        raise RuntimeError("the disk of the graphs is full")

class Leaves(Recorder):
    def handle(self, event):
        super().handle(event)
        raise SystemExit(0)

class RaisesTwice(Recorder):
    def handle(self, event):
        super().handle(event)
        if event.get("step", 0) % 3:
            raise RuntimeError("now and then")

class Exits(Recorder):
    def handle(self, event):
        os._exit(7)

class Vanishes(Recorder):
    def handle(self, event):
        os._exit(0)

class Chatters(Recorder):
    def handle(self, event):
        super().handle(event)
        for _ in range(40):
            print("x" * 99_999)
            os.write(2, b"y" * 100_000)
            if event["t"] == "slowly":
                time.sleep(0.05)

class Swells(Recorder):
    def handle(self, event):
        super().handle(event)
        raise RuntimeError("z" * 3_000_000)

class Hangs(Recorder):
    def handle(self, event):
        super().handle(event)
        time.sleep(3600)

class CloseRaises(Recorder):
    def close(self):
        raise RuntimeError("no last words")

class Ticks(Recorder):
    def tick(self):
        self.note("tick")

class TickRaises(Recorder):
    def tick(self):
        raise RuntimeError("no clock")

class Talks(Recorder):
    def handle(self, event):
        print("to stdout", event["t"], flush=True)
        print("to stderr", event["t"], file=sys.stderr, flush=True)

def broken(config, context):
    raise LookupError("this monitor cannot be built")
"""


class Warnings:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, event: str, /) -> None:
        self.texts.append(event)


class Bench:
    """A run's folder with one recording monitor of a kind, and what it recorded."""

    def __init__(self, directory: Path, fakes: Any) -> None:
        self.directory, self.fakes = directory, fakes
        self.out, self.events = directory / "out.txt", directory / "events.jsonl"
        self.log = Warnings()

    def selection(self, factory: str, config: Any = None, name: str = "fake") -> Selection:
        config = config or self.fakes.Config(out=self.out)
        component = Component(
            name="fake", summary="", config=type(config), factory=f"monitor_fakes:{factory}"
        )
        return Selection(
            kind="monitor", name=name, plugin="test", component=component, config=config
        )

    def monitors(self, *factories: str, offset: int | None = 0) -> Monitors:
        selections = [self.selection(factory) for factory in factories]
        return Monitors(selections, self.directory, self.log, offset)

    def emit(self, *kinds: str, **fields: Any) -> None:
        with self.events.open("a") as file:
            for kind in kinds:
                file.write(json.dumps({"t": kind, **fields}) + "\n")

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.emit("train", step=step)

    @property
    def notes(self) -> list[str]:
        return self.out.read_text().splitlines() if self.out.exists() else []

    @property
    def seen(self) -> list[str]:
        return [note for note in self.notes if not note.startswith("started")]

    @staticmethod
    def eventually(true: Callable[[], Any], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.01)

    def pid(self) -> int:
        self.eventually(lambda: any(note.startswith("started") for note in self.notes))
        return int(self.notes[0].split()[1])

    def log_of(self, name: str = "fake") -> str:
        return (self.directory / "log" / f"monitor-{name}.log").read_text()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "monitor_fakes.py").write_text(FAKES)
    monkeypatch.syspath_prepend(code)
    sys.modules.pop("monitor_fakes", None)
    import monitor_fakes  # type: ignore[import-not-found]

    (tmp_path / "run").mkdir()
    yield Bench(tmp_path / "run", monitor_fakes)
    sys.modules.pop("monitor_fakes", None)
