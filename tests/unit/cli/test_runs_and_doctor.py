"""What was run here, and what ails this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from llamahome_core import (
    Check,
)

TRAINED = {"t": "train", "step": 3, "steps": 9, "loss": 1.23456}


def test_runs_of_an_empty_workspace_say_how_to_make_one(cli) -> None:
    listed, shown = cli("runs"), cli("runs", "show", "@last")

    assert (listed.code, listed.out.split()[0]) == (0, "RUN")
    assert "llamahome run quickstart" in listed.err
    assert json.loads(cli("runs", "list", "--json").out)["runs"] == []
    assert (shown.code, shown.out) == (4, "")
    assert "there are no runs" in shown.err


def test_runs_show_tells_how_it_went_and_what_to_do_next(cli, kernel, write_run) -> None:
    write_run(
        kernel,
        "bot-1",
        "failed",
        {"t": "run"},
        TRAINED,
        {"t": "eval", "step": 3, "loss": 1.5},
        {"t": "sample", "step": 3, "prompt": "Who?", "answer": "I.\nMe."},
        {"t": "warning", "text": "careful"},
        {"t": "end", "status": "failed", "error": "no space", "hint": "make some"},
    )

    text = cli("runs", "show", "bot").out
    document = json.loads(cli("runs", "show", "@last", "--json").out)

    for line in (
        "state       failed",
        "step        3/9",
        "loss        1.2346",
        "evaluated   step 3  loss 1.5000",
        "sample      step 3  Who?",
        r'            "I.\nMe."',
        "warning     careful",
        "error       no space",
        "fix         make some",
        "next        llamahome run --resume bot-1",
    ):
        assert line in text.splitlines()
    assert len(document["events"]) == 6
    assert "bot-1  failed  3/9   1.2346  1.5000" in cli("runs").out


def test_a_log_is_readable_as_text_and_untouched_as_json(cli, kernel, write_run) -> None:
    directory = write_run(kernel, "bot-1", "finished", {"t": "run"}, TRAINED)

    text = cli("runs", "logs", "bot-1").out
    raw = cli("runs", "logs", "bot-1", "--json").out
    events = cli("runs", "logs", "bot-1", "--events").out

    assert text == "hello x=1\nplain words\n[1]\n"
    assert raw == (directory / "log/run.log").read_text()
    assert "2026-01-02T03:04:05.678+00:00 train step=3 steps=9" in events
    (directory / "log/run.log").unlink()
    assert cli("runs", "logs", "bot-1").out == ""


def test_a_followed_log_ends_with_its_run_and_holds_no_half_line(
    cli, kernel, monkeypatch, write_run
) -> None:
    """The run writes while it is followed; a line without its end is not there yet."""
    directory = write_run(kernel, "bot-1", "running", {"t": "run"})
    log = directory / "log/run.log"
    states = iter(["running", "running", "finished"])

    def state_of(_: Path) -> str:
        state = next(states)
        with log.open("a") as file:
            file.write({"running": "ha", "finished": "lf\n"}[state])
        return state

    module = sys.modules["llamahome_core.cli.runs"]
    monkeypatch.setattr(module, "state_of", state_of)
    monkeypatch.setattr(module, "_POLL", 0)
    parsed = "llamahome_core.run.live_events"  # all events, five times a second, would be too much
    monkeypatch.setattr(parsed, lambda _: pytest.fail("the events were parsed"))

    assert cli("runs", "logs", "-f", "bot-1").out.splitlines()[2:] == ["[1]", "hahalf"]


EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202ered"


def test_nothing_of_a_run_reaches_the_terminal_as_a_command(cli, kernel, write_run) -> None:
    """Answers of models are foreign text; --json gives them as they are."""
    directory = write_run(
        kernel,
        "bot-1",
        "failed",
        TRAINED,
        {"t": "sample", "step": 3, "prompt": EVIL, "answer": EVIL},
        {"t": "warning", "text": EVIL},
        {"t": "published", "label": EVIL},
        {"t": "end", "error": EVIL, "hint": EVIL},
    )
    (directory / "log/run.log").write_text(f"{EVIL}\n" + json.dumps({"event": EVIL, "x": "a\nb"}))

    for words in (["runs"], ["runs", "show", "@last"], ["runs", "logs", "@last", "--events"]):
        shown = cli(*words).out
        assert "red" in shown
        assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert cli("runs", "logs", "@last").out.splitlines() == ["red"]
    answer = json.loads(cli("runs", "show", "@last", "--json").out)["events"][1]["answer"]
    assert answer == EVIL


def test_doctor_names_runs_whose_process_is_gone(cli, kernel, write_run) -> None:
    write_run(kernel, "bot-1", "running", {"t": "run"})

    result = cli("doctor")

    assert "llamahome run --resume bot-1" in result.out
    assert result.out.splitlines()[-1] == "0 problems, 1 warning"
    assert result.code == 0


def test_doctor_finds_wrong_settings_and_ends_with_3(cli, kernel, over) -> None:
    wrong = over(kernel, environ={"LLAMAHOME_TRAIN__STPES": "3"})

    result = cli("doctor", over=wrong)
    findings = json.loads(cli("doctor", "--json", over=wrong).out)["findings"]

    assert result.code == 3
    assert "unknown key `stpes` in [train]; llamahome check" in result.out
    assert "problem" in {f["status"] for f in findings if f["check"] == "settings"}


def test_doctor_survives_a_check_that_fails(cli, kernel, plugin, over) -> None:
    def checks() -> list[Check]:
        return [Check(name="ill", summary="Fails.", run="os:chdir")]

    result = cli("doctor", over=over(kernel, plugin("ill", llamahome_checks=checks)))

    assert result.code == 3
    assert "the check of ill failed" in result.out
