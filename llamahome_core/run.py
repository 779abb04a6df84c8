"""One run: its folder, its lifecycle, and the default way to carry it out.

The folder is the source of truth: the recipe as written, the resolved recipe, where each value
came from, the environment, the events, checkpoints, samples and the log.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import socket
import sys
import traceback
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from llamahome_core import files, provenance
from llamahome_core.blame import blame
from llamahome_core.errors import (
    HeldError,
    LlamaHomeError,
    RunError,
    RunLockedError,
    RunNotFoundError,
    StorageError,
    suggest,
)
from llamahome_core.events import EventLog, live_events, read_events
from llamahome_core.secrets import redact
from llamahome_core.values import Outcome
from llamahome_core.workspace import fix_of

if TYPE_CHECKING:
    from llamahome_core.context import Context
    from llamahome_core.plan import Plan

RECORDED = ("llamahome", "torch", "transformers", "peft", "safetensors", "numpy", "tokenizers")


@define(kw_only=True)
class Run:
    """A run that is going on.

    Attributes:
        name: Such as ``support-bot-3``; the folder's name.
        directory: The run's folder.
        plan: What is carried out.
        context: What stages and components are given.
        events: The run's events.
    """

    name: str
    directory: Path
    plan: Plan
    context: Context
    events: EventLog

    def status(self, state: str, **more: Any) -> None:
        """Replace ``status.json``: state, process and host."""
        record = {"state": state, "pid": os.getpid(), "host": socket.gethostname(), **more}
        files.write_json(self.directory / "status.json", record)


def new_directory(runs: Path, name: str) -> Path:
    """Create and return ``runs/<name>-<n>`` with the next free n.

    Raises:
        StorageError: The folder cannot be made.
    """
    files.make_folder(runs)
    taken = re.compile(rf"{re.escape(name)}-(\d+)")
    numbers = [int(m[1]) for p in runs.iterdir() if (m := taken.fullmatch(p.name))]
    number = max(numbers, default=0) + 1
    while True:
        directory = runs / f"{name}-{number}"
        try:
            directory.mkdir()
        except FileExistsError:
            number += 1
        except OSError as error:
            raise StorageError(f"cannot make {directory}: {error.strerror}") from error
        else:
            files.fsync_folder(runs)
            return directory


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the run's lock.

    Raises:
        RunLockedError: Another living process has it; the message says which.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lock(directory / ".lock", wait=False))
        except HeldError as error:
            raise RunLockedError(
                f"run {directory.name} is going on: {error.message}",
                hint=f"llamahome runs show {directory.name}",
            ) from None
        yield


def environment() -> dict[str, Any]:
    """What a run was made with: versions, machine, Python. Nothing secret, nothing heavy."""
    versions = {}
    for name in RECORDED:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "executable": sys.executable,
        "versions": versions,
    }


def write_record(directory: Path, plan: Plan) -> None:
    """Write what makes the run repeatable: the recipe, resolved and as written, and origins."""
    if plan.text is not None:
        files.write_text(directory / f"recipe{plan.suffix}", plan.text)
    for number, base in enumerate(plan.bases, start=1):
        name = base.path.name if base.path else "base.toml"
        files.write_text(directory / "bases" / f"{number}-{name}", base.text)
    files.write_text(directory / "resolved.toml", plan.resolved_toml())
    files.write_json(directory / "origins.json", plan.origins())
    files.write_json(directory / "environment.json", environment())
    plugins = provenance.record(plan.catalog.plugins.active.values())
    files.write_json(directory / provenance.NAME, plugins)


def end_fields(run: Run, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """The ``end`` event of *outcome*, with the next command to type."""
    fields: dict[str, Any] = {"status": outcome.status, "seconds": round(seconds, 3)}
    fields["metrics"] = outcome.metrics
    error = outcome.error
    whose = blame(error, run.plan.catalog.plugins.all) if error else ""
    if isinstance(error, LlamaHomeError):
        hint, message = fix_of(error), f"{error.message}{whose}"
        fields |= {"error": message, "hint": hint, "code": error.code}
    elif error is not None:
        fields |= {"error": f"{type(error).__name__}: {error}{whose}", "code": "X900"}
    if error is not None and fields["code"] == "X900":
        report = run.directory / "log" / "crash.txt"
        files.write_text(report, redact("".join(traceback.format_exception(error))))
        fields["report"] = str(report)
    if outcome.status == "finished" and outcome.version:
        fields["next"] = [f'llamahome generate {outcome.version.label} --prompt "Hello"']
    elif outcome.status != "finished":
        fields["next"] = [f"llamahome run --resume {run.name}"]
    return fields


# --- Runs that are over, or not ----------------------------------------------------------------


@frozen(kw_only=True)
class RunInfo:
    """What the folder of a run tells.

    Attributes:
        name: The run.
        directory: Its folder.
        state: running, finished, stopped, failed, lost (its process died without a word), or
            unknown (its ``status.json`` is damaged).
        step: Finished optimizer steps.
        steps: Steps in all, if known.
        loss: The last training loss.
        evaluation: The last held-out loss.
        started: ISO time of its first event.
        published: Label of the version it published.
    """

    name: str
    directory: Path
    state: str
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    evaluation: float | None = None
    started: str | None = None
    published: str | None = None


def state_of(directory: Path) -> str:
    """The state of :class:`RunInfo`, without reading the events: cheap enough to ask often."""
    try:
        state = json.loads((directory / "status.json").read_bytes())["state"]
    except FileNotFoundError:
        state = "running"  # it had no time to say so
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        state = None
    if state in ("finished", "stopped", "failed"):
        return str(state)
    if files.is_held(directory / ".lock"):
        return "running"
    return "lost" if state == "running" else "unknown"


def events_of(directory: Path) -> list[dict[str, Any]]:
    """The live events of a run; none where they cannot be read."""
    try:
        return list(live_events(directory / "events.jsonl"))
    except OSError:
        return []


def describe(directory: Path, events: Iterable[dict[str, Any]] | None = None) -> RunInfo:
    """Read the folder of a run; never fails on what lies in it.

    Args:
        directory: The folder.
        events: Its live events, if they have been read already.
    """
    found: dict[str, Any] = {}
    for event in events_of(directory) if events is None else events:
        found.setdefault("started", _field(event, "time", str))
        if event["t"] == "train":
            found["step"] = _field(event, "step", int) or 0
            found["steps"] = _field(event, "steps", int)
            found["loss"] = _field(event, "loss", int, float)
        elif event["t"] == "eval":
            found["evaluation"] = _field(event, "loss", int, float)
        elif event["t"] == "published":
            found["published"] = _field(event, "label", str)
    return RunInfo(name=directory.name, directory=directory, state=state_of(directory), **found)


def _field(event: dict[str, Any], name: str, *types: type) -> Any:
    """A field of an event, if it has one of *types*: it may be of another version, or damaged."""
    value = event.get(name)
    return value if type(value) in types else None


def all_directories(runs: Path) -> list[Path]:
    """The folders of all runs, in the order in which they were started."""
    if not runs.is_dir():
        return []
    found = [p for p in runs.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(found, key=lambda p: (_started(p), _number(p.name), p.name))


def _started(directory: Path) -> str:
    """ISO time of the first event, or of a change to the folder: its own times change later."""
    with contextlib.suppress(OSError):
        for _, event in read_events(directory / "events.jsonl"):
            return str(event.get("time"))
    changed = datetime.fromtimestamp(directory.stat().st_ctime, UTC)
    return changed.isoformat(timespec="milliseconds")


def _number(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def can_resume(directory: Path) -> bool:
    """Whether there is a recipe to go on with: a process may have died before it was written."""
    return (directory / "resolved.toml").exists()


def find_directory(runs: Path, name: str) -> Path:
    """The run called *name*, its unambiguous prefix, or ``@last``.

    Raises:
        RunNotFoundError: There is none.
        RunError: The prefix fits several.
    """
    found = all_directories(runs)
    if not found:
        raise RunNotFoundError(f"there are no runs in {runs}", hint="llamahome run quickstart")
    if not name.strip():
        raise RunNotFoundError("no run has an empty name", hint="llamahome runs list")
    if name == "@last":
        return found[-1]
    exact = [p for p in found if p.name == name]
    prefixed = exact or [p for p in found if p.name.startswith(name)]
    if len(prefixed) == 1:
        return prefixed[0]
    if prefixed:
        names = ", ".join(p.name for p in prefixed)
        raise RunError(f"{name!r} fits several runs: {names}", hint="write more of the name")
    close = suggest(name, [p.name for p in found])
    raise RunNotFoundError(
        f"no run is called {name!r}",
        hint=f"did you mean {close[0]}?" if close else "llamahome runs list",
    )
