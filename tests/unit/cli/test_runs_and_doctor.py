"""What was run here, and what ails this machine."""

from __future__ import annotations

import json
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import Check

TRAINED = {"t": "train", "step": 3, "steps": 9, "loss": 1.23456}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that a record can name."""
    module: Any = types.ModuleType("lh_cli_fakes")
    monkeypatch.setitem(sys.modules, "lh_cli_fakes", module)
    return module


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


ODD = ["text", None, [1], {"a": 1}, True, 10**400]


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:8])
def test_a_run_with_odd_events_is_shown_as_far_as_it_goes(cli, kernel, write_run, value) -> None:
    """Of another version, or written by somebody else; the other runs are shown all the same."""
    fields = dict.fromkeys(("time", "step", "steps", "loss", "label", "text", "prompt"), value)
    kinds = ("run", "train", "eval", "sample", "warning", "published", "end")
    write_run(kernel, "odd-1", "finished", *({"t": kind, **fields} for kind in kinds), {"no": "t"})
    write_run(kernel, "bot-1", "finished", TRAINED)

    for words in (["runs"], ["runs", "show", "odd-1"], ["runs", "logs", "odd-1", "--events"]):
        result = cli(*words)
        assert (result.code, result.err) == (0, "")
        assert "odd-1" in result.out or "--events" in words
    rows = [line.split()[:4] for line in cli("runs").out.splitlines()]
    assert ["bot-1", "finished", "3/9", "1.2346"] in rows
    assert json.loads(cli("runs", "show", "odd-1", "--json").out)["state"] == "finished"


def test_a_run_with_a_damaged_status_says_which_file_it_is(cli, kernel, write_run) -> None:
    directory = write_run(kernel, "bot-1", "finished", TRAINED)
    (directory / "status.json").write_text("{")

    lines = cli("runs", "show", "bot-1").out.splitlines()

    assert "state      unknown" in lines
    assert f"damaged    {directory / 'status.json'}" in lines
    assert "next       llamahome run --resume bot-1" in lines
    assert "bot-1: its status.json is damaged; llamahome run --resume bot-1" in cli("doctor").out


def test_half_a_surrogate_pair_in_an_answer_is_still_json(cli, kernel, write_run) -> None:
    """A byte-level model can say half a sign, and UTF-8 has no half."""
    event = {"t": "sample", "prompt": "Who?", "answer": "I \ud83d"}
    write_run(kernel, "bot-1", "finished", event)

    shown = json.loads(cli("runs", "show", "bot-1", "--json").out)

    assert shown["events"][0]["answer"] == "I \ud83d"
    assert "Who?" in cli("runs", "show", "bot-1").out


def test_a_line_of_the_events_is_one_line_whatever_is_in_it(cli, kernel, write_run) -> None:
    """Unicode knows more ends of lines than JSON does."""
    directory = write_run(kernel, "bot-1", "finished")
    line = json.dumps({"t": "note", "text": "a\u2028b\x85c"}, ensure_ascii=False)
    (directory / "events.jsonl").write_text(f"{line}\n", encoding="utf-8")

    assert cli("runs", "logs", "bot-1", "--events", "--json").out == f"{line}\n"


def test_tables_in_events_are_shown_as_json_and_not_as_python(cli, kernel, write_run) -> None:
    event = {"t": "data", "dropped": {"empty": 3}, "reused": False, "digest": None, "what": "x y"}
    write_run(kernel, "bot-1", "finished", event)

    shown = cli("runs", "logs", "bot-1", "--events").out

    assert 'data dropped={"empty": 3} reused=false digest=null what=x y' in shown


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
    assert "the check of ill (embedded) failed" in result.out


@pytest.mark.parametrize("error", [SystemExit(0), ValueError("no")])
def test_doctor_survives_whatever_a_check_does(cli, kernel, plugin, over, fakes, error) -> None:
    """It leaves the program, or says what nobody knows."""

    def check(_: object) -> Iterator[tuple[str, str]]:
        yield "splendid", "all is well"
        raise error

    fakes.check = check

    def checks() -> list[Check]:
        return [Check(name="ill", summary="Fails.", run="lh_cli_fakes:check")]

    result = cli("doctor", over=over(kernel, plugin("ill", llamahome_checks=checks)))

    assert result.code == 3
    assert "splendid  ill" in result.out
    assert "the check of ill (embedded) failed" in result.out


@pytest.mark.parametrize(
    ("free", "status", "code"), [(50, "ok", 0), (1, "warning", 0), (0.01, "problem", 3)]
)
def test_a_full_disk_is_a_problem_and_not_a_warning(cli, monkeypatch, free, status, code) -> None:
    usage = shutil.disk_usage("/")._replace(free=int(free * 2**30))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    result = cli("doctor", "--json")

    (disk,) = (f for f in json.loads(result.out)["findings"] if f["check"] == "disk")
    assert (disk["status"], result.code) == (status, code)
