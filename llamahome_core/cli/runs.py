"""``llamahome runs``: what was run here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from llamahome_core import records
from llamahome_core.cli.help import Group, as_json, completes
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, one_line, pairs, print_json, say, table, write
from llamahome_core.provenance import foreign, recorded
from llamahome_core.run import (
    RunInfo,
    all_directories,
    can_resume,
    describe,
    events_of,
    find_directory,
    state_of,
)

_POLL = 0.2


@click.group(
    cls=Group,
    invoke_without_command=True,
    examples=[
        ("llamahome runs", "the runs of this workspace"),
        ("llamahome runs show @last", "how the last one went"),
        ("llamahome runs logs -f support-bot-3", "its log, as it grows"),
    ],
)
@as_json
@click.pass_context
def runs(ctx: click.Context, as_json: bool) -> None:
    """List runs, show one, read its log."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_runs, as_json=as_json)


@runs.command("list")
@as_json
@click.pass_obj
def list_runs(state: State, as_json: bool) -> None:
    """List the runs of this workspace, the oldest first."""
    folder = state.kernel.workspace.runs
    found = [describe(path) for path in all_directories(folder)]
    if as_json:
        print_json("runs", runs=[records.dump(info) for info in found])
        return
    rows = [
        (
            i.name,
            i.state,
            _of(i.step, i.steps),
            _loss(i.loss),
            _loss(i.evaluation),
            i.published or "-",
            (i.started or "-")[:19],
        )
        for i in found
    ]
    table(("RUN", "STATE", "STEP", "LOSS", "EVAL", "PUBLISHED", "STARTED"), rows)
    if not found:
        say(f"there are no runs in {folder}; llamahome run quickstart makes one")


@runs.command("show", examples=[("llamahome runs show @last", "how the last run went")])
@click.argument("name", shell_complete=completes("runs"))
@as_json
@click.pass_obj
def show_run(state: State, name: str, as_json: bool) -> None:
    """Show the run NAME (a prefix, or @last): how it went and where its files are."""
    directory = find_directory(state.kernel.workspace.runs, name)
    events = events_of(directory)
    info = describe(directory, events)
    plugins = recorded(directory)
    if as_json:
        print_json("run", **records.dump(info), plugins=plugins, events=events)
        return
    shown = records.dump(info) | {"step": _of(info.step, info.steps), "steps": None}
    shown |= {"loss": _loss(info.loss), "evaluation": _loss(info.evaluation)}
    rows = [(key, value) for key, value in shown.items() if value not in {None, "-"}]
    rows += [("plugin", f"{name} ({origin})") for name, origin in foreign(plugins)]
    pairs([*rows, *_history(events), *_next(info)])


def _history(events: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for event in events:
        kind = event.get("t")
        if kind == "eval":
            yield "evaluated", f"step {event.get('step')}  loss {_loss(event.get('loss'))}"
        elif kind == "sample":
            yield "sample", f"step {event.get('step')}  {event.get('prompt')}"
            yield "", json.dumps(event.get("answer"), ensure_ascii=False)
        elif kind == "warning":
            yield "warning", event.get("text")
        elif kind == "end" and event.get("error"):
            yield "error", event["error"]
            if event.get("hint"):
                yield "fix", event["hint"]


def _next(info: RunInfo) -> Iterator[tuple[str, Any]]:
    if info.state == "unknown":
        yield "damaged", info.directory / "status.json"
    if info.state in {"lost", "stopped", "failed", "unknown"} and can_resume(info.directory):
        yield "next", f"llamahome run --resume {info.name}"


@runs.command(
    "logs",
    examples=[
        ("llamahome runs logs @last", "the log of the last run"),
        ("llamahome runs logs -f @last --events --json", "its events, as they come"),
    ],
)
@click.argument("name", shell_complete=completes("runs"))
@click.option("--events", is_flag=True, help="The events instead of the log.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@as_json
@click.pass_obj
def logs(state: State, name: str, *, events: bool, follow: bool, as_json: bool) -> None:
    """Print the log of the run NAME (a prefix, or @last), or its events.

    --json prints the lines as they are: one JSON object each, without a document around them.
    """
    directory = find_directory(state.kernel.workspace.runs, name)
    path = directory / ("events.jsonl" if events else "log/run.log")
    for line in _followed(path, directory) if follow else _lines(path, 0)[0]:
        if as_json:
            write(line)
        else:
            echo(_readable(line))


def _lines(path: Path, offset: int) -> tuple[list[str], int]:
    """Whole lines of *path* from byte *offset* on, and the offset after them."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        raw = file.read()
    whole = raw[: raw.rfind(b"\n") + 1]
    # Not splitlines: JSON may hold other ends of lines, such as U+2028, as they are.
    return whole.decode("utf-8", errors="replace").split("\n")[:-1], offset + len(whole)


def _followed(path: Path, directory: Path) -> Iterator[str]:
    offset, going = 0, True
    while going:
        # Asked before reading: all that the run wrote before it ended is read.
        going = state_of(directory) == "running"
        lines, offset = _lines(path, offset)
        yield from lines
        if going:
            time.sleep(_POLL)


def _readable(line: str) -> str:
    """A JSON line as ``time word key=value …``; a line that is no JSON stays as it is."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(record, dict):
        return line
    moment = record.pop("time", None) or record.pop("timestamp", "")
    what = record.pop("t", None) or record.pop("event", "")
    hidden = {"schema"}
    rest = " ".join(f"{k}={_plain(v)}" for k, v in record.items() if k not in hidden)
    return f"{moment} {what} {rest}".strip()


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _loss(value: Any) -> str:
    """A loss as people read it; what is no number stays as it is."""
    try:
        return "-" if value is None else f"{float(value):.4f}"
    except (OverflowError, TypeError, ValueError):
        return one_line(value)


def _of(step: int, steps: int | None) -> str:
    return f"{step}/{steps}" if steps else "-"
