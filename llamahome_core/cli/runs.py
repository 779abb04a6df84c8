"""``llamahome runs``: what was run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import click

from llamahome_core.cli.main import State
from llamahome_core.cli.output import print_json, table
from llamahome_core.cli.plan import as_json
from llamahome_core.events import live_events
from llamahome_core.run import RunInfo, all_directories, describe, find_directory


@click.group()
def runs() -> None:
    """List runs, show one, read its log."""


@runs.command("list")
@as_json
@click.pass_obj
def list_runs(state: State, as_json: bool) -> None:
    """List the runs of this workspace, the oldest first."""
    found = [describe(path) for path in all_directories(state.kernel.workspace.runs)]
    if as_json:
        print_json("runs", runs=[_plain(info) for info in found])
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


@runs.command("show")
@click.argument("name")
@as_json
@click.pass_obj
def show_run(state: State, name: str, as_json: bool) -> None:
    """Show the run NAME (a prefix, or @last): how it went and where its files are."""
    directory = find_directory(state.kernel.workspace.runs, name)
    info = describe(directory)
    path = directory / "events.jsonl"
    events = list(live_events(path)) if path.exists() else []
    if as_json:
        print_json("run", **_plain(info), events=events)
        return
    for key, value in _plain(info).items():
        if value is not None:
            click.echo(f"{key:<12}{value}")
    _history(events)


def _history(events: list[dict[str, Any]]) -> None:
    for event in events:
        if event["t"] == "eval":
            click.echo(f"{'evaluated':<12}step {event['step']}  loss {_loss(event['loss'])}")
        elif event["t"] == "sample":
            click.echo(f"{'sample':<12}step {event['step']}  {event['prompt']!r}")
            click.echo(f"{'':<12}{event['answer']!r}")
        elif event["t"] == "warning":
            click.echo(f"{'warning':<12}{event['text']}")
        elif event["t"] == "end" and event.get("error"):
            click.echo(f"{'error':<12}{event['error']}")
            if event.get("hint"):
                click.echo(f"{'fix':<12}{event['hint']}")


@runs.command("logs")
@click.argument("name")
@click.option("--events", is_flag=True, help="The events instead of the log.")
@as_json
@click.pass_obj
def logs(state: State, name: str, events: bool, as_json: bool) -> None:
    """Print the log of the run NAME, or its events; --json prints the lines as they are."""
    directory = find_directory(state.kernel.workspace.runs, name)
    path = directory / ("events.jsonl" if events else "log/run.log")
    for line in _lines(path):
        click.echo(line if as_json else _readable(line))


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _readable(line: str) -> str:
    """A JSON line as ``time word key=value …``; a line that is no JSON stays as it is."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict):
        return line
    time = record.pop("time", None) or record.pop("timestamp", "")
    what = record.pop("t", None) or record.pop("event", "")
    hidden = {"schema"}
    rest = " ".join(f"{k}={v}" for k, v in record.items() if k not in hidden)
    return f"{time} {what} {rest}".rstrip()


def _plain(info: RunInfo) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in attrs.asdict(info).items()}


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _of(step: int, steps: int | None) -> str:
    return f"{step}/{steps}" if steps else "-"
