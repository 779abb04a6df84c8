"""`llamahome run` in this process: its result, its exit codes, what signals do."""

from __future__ import annotations

import json
import logging
import signal
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from llamahome_core import (
    Component,
    DataError,
    Interrupted,
    Kernel,
    OfflineError,
    Outcome,
    Stop,
    UnsafeModelError,
)
from llamahome_core.discovery import Policy

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def guarded() -> Iterator[None]:
    """What `run` changes in its own process: signals and the log."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    log = logging.getLogger("llamahome")
    handlers, level = log.handlers[:], log.level
    yield
    log.handlers = handlers
    log.setLevel(level)
    logging.captureWarnings(capture=False)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("guarded")
def test_run_tells_how_it_ended_where_no_monitor_does(cli, kernel, written: Path, over) -> None:
    """Without the plugin of the console, the command itself says what went wrong."""
    recipe = json.loads(written.read_text())
    recipe["data"][0]["path"] = "absent.jsonl"
    written.write_text(json.dumps(recipe))
    alone = over(kernel, policy=Policy(blocked=frozenset({"monitors"})))

    result = cli("run", str(written), over=alone)
    again = cli("run", "--resume", over=alone)

    assert (result.code, result.out) == (1, "")
    assert "absent.jsonl" in result.err
    assert again.code == 1


@frozen(kw_only=True)
class Aged:
    """Settings of a monitor."""

    slots: int = field(default=3, metadata={"deprecated": "write `entries`"})
    """Old."""


@pytest.mark.usefixtures("guarded")
def test_run_says_once_what_is_deprecated(cli, kernel, written: Path, over, plugin) -> None:
    def monitors() -> Any:
        yield Component(name="aged", summary="Old.", config=Aged, factory="nowhere:Thing")

    recipe = json.loads(written.read_text()) | {"monitor": [{"use": "aged", "slots": 1}]}
    recipe["data"][0]["path"] = "absent.jsonl"
    written.write_text(json.dumps(recipe))
    aging = over(kernel, plugin("aging", llamahome_monitors=monitors))

    loud = cli("run", str(written), "--progress", "none", over=aging)
    silent = cli("-qq", "run", str(written), "--progress", "none", over=aging)

    assert loud.err.count("`monitor.0.slots` is deprecated: write `entries`") == 1
    assert "deprecated" not in silent.err


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(("words", "shown"), [([], "bot:v1\n"), (["-qq"], "")])
def test_run_prints_the_version_that_it_published(
    cli, written: Path, monkeypatch, words: list[str], shown: str
) -> None:
    version = types.SimpleNamespace(label="bot:v1")
    outcome = types.SimpleNamespace(status="finished", error=None, version=version)
    monkeypatch.setattr(Kernel, "run", lambda *_, **__: outcome)

    result = cli(*words, "run", str(written))

    assert (result.code, result.out) == (0, shown)


@pytest.mark.usefixtures("guarded")
def test_a_crash_inside_a_run_without_monitors_is_70(
    cli, kernel, written: Path, monkeypatch, tmp_path: Path, over
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outcome = Outcome(status="failed", error=KeyError("oops"))
    monkeypatch.setattr(Kernel, "run", lambda *_, **__: outcome)
    alone = over(kernel, policy=Policy(blocked=frozenset({"monitors"})))

    result = cli("run", str(written), over=alone)

    assert (result.code, result.out) == (70, "")
    assert "error[X900]: KeyError: 'oops'" in result.err


@pytest.mark.usefixtures("guarded")
def test_after_the_first_signal_the_next_one_has_its_default_action(capsys) -> None:
    """So no long call in C can hold it up: the process ends without asking Python."""
    from llamahome_core.cli.run import _handle_signals

    stop = Stop()
    _handle_signals(stop, told=False)
    signal.raise_signal(signal.SIGTERM)

    assert stop.signal == signal.SIGTERM
    assert {signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)} == {signal.SIG_DFL}
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, "a terminal closes several times"
    assert "stopping after this step" in capsys.readouterr().err


@pytest.mark.usefixtures("guarded")
def test_a_terminal_that_closes_asks_to_stop_except_under_nohup() -> None:
    from llamahome_core.cli.run import _handle_signals

    stop, deaf = Stop(), Stop()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    _handle_signals(stop, told=True)
    signal.raise_signal(signal.SIGHUP)
    _handle_signals(deaf, told=True)  # now it is ignored
    signal.raise_signal(signal.SIGHUP)

    assert (stop.signal, deaf.signal) == (signal.SIGHUP, None)


ENDS = [
    (Outcome(status="finished"), 0),
    (Outcome(status="stopped", error=Interrupted("x", signal=2)), 130),
    (Outcome(status="stopped", error=Interrupted("x", signal=15)), 143),
    (Outcome(status="stopped", error=Interrupted("x", signal=1)), 129),
    (Outcome(status="failed", error=OfflineError("x")), 3),
    (Outcome(status="failed", error=UnsafeModelError("x")), 5),
    (Outcome(status="failed", error=DataError("x")), 1),
    (Outcome(status="failed", error=KeyError("x")), 70),
]


@pytest.mark.parametrize(("outcome", "code"), ENDS)
def test_the_exit_code_of_a_run_says_how_it_ended(outcome: Outcome, code: int) -> None:
    from llamahome_core.cli.run import exit_code

    assert exit_code(outcome) == code


@pytest.mark.usefixtures("guarded")
def test_a_run_that_never_began_is_not_offered_to_resume(
    cli, kernel, write_run, monkeypatch
) -> None:
    """The last one that has a recipe is meant; `runs show` and `doctor` name no command."""
    asked: list[str] = []
    outcome = types.SimpleNamespace(status="finished", error=None, version=None)

    def resume(_: Kernel, name: str, **__: object) -> object:
        asked.append(name)
        return outcome

    monkeypatch.setattr(Kernel, "resume", resume)
    write_run(kernel, "bot-1", "stopped", {"t": "run"})
    early = write_run(kernel, "bot-2", "running", {"t": "run", "time": "2027-01-01"})
    (early / "resolved.toml").unlink()

    assert cli("run", "--resume").code == 0
    assert asked == ["bot-1"]
    assert "--resume" not in cli("runs", "show", "bot-2").out
    assert "--resume bot-1" in cli("runs", "show", "bot-1").out
    assert "--resume bot-2" not in cli("doctor").out


@pytest.mark.usefixtures("guarded")
def test_a_run_without_a_checkpoint_has_nothing_to_rescue(cli, kernel, write_run) -> None:
    directory = write_run(kernel, "bot-1", "failed")

    result = cli("run", "--resume", "bot-1", "--set", "publish.name=x")

    assert (result.code, result.out) == (1, "")
    assert "has no checkpoint" in result.err
    assert (directory / "resolved.toml").read_text() == ""


@pytest.mark.usefixtures("guarded")
def test_what_is_learned_cannot_be_changed_on_resuming(cli) -> None:
    result = cli("run", "--resume", "--set", "train.steps=9", "--set", "publish.name=x")

    assert result.code == 2
    assert "--set cannot change train of a run" in result.err
    assert "Allowed: publish.*, store.*, monitor.*" in result.err
