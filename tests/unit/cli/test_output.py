"""Tables that fit, values that read well, and endings that always leave an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import pytest

from llamahome_core import terminal
from llamahome_core.cli import endings, output
from llamahome_core.cli.main import State, llamahome
from llamahome_core.errors import DataError


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


VALUES = [
    (None, "-"),
    (True, "yes"),
    (False, "no"),
    (1024, "1024"),
    (4915200, "4 915 200"),
    (0.5, "0.5"),
    ([], "none"),
    (["a", "b"], "a, b"),
    ({}, "none"),
    ({"too long": 3}, "too long 3"),
    ("two\nlines", "two lines"),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_a_value_is_written_as_people_write_it(value: Any, text: str) -> None:
    assert output.value_text(value) == text


def test_a_table_lines_its_columns_up_with_wide_and_combining_signs(capsys) -> None:
    output.table(("NAME", "X"), [("日本", "1"), ("e\u0301", "2"), ("abcd", "3")])

    lines = capsys.readouterr().out.splitlines()
    assert lines == ["NAME  X", "日本  1", "e\u0301     2", "abcd  3"]


def test_a_row_is_cut_on_a_narrow_terminal_and_whole_in_a_pipe(monkeypatch, capsys) -> None:
    rows = [("name", "x" * 50)]
    output.table(("A", "B"), rows)
    whole = capsys.readouterr().out
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "20")

    output.table(("A", "B"), rows)

    shown = terminal.getvalue().splitlines()
    assert whole.splitlines()[1] == f"name  {'x' * 50}"
    assert max(map(len, shown)) == 20
    assert shown[1].endswith("…")


def test_a_wide_sign_is_not_cut_in_two() -> None:
    assert output._cut("日本語", 5) == "日本…"
    assert output._cut("日本語", 4) == "日…"
    assert output._cut("日本語", 6) == "日本語"


COLORS = [
    ("always", {}, False, True),
    ("never", {"FORCE_COLOR": "1"}, True, False),
    ("auto", {}, True, True),
    ("auto", {}, False, False),
    ("auto", {"NO_COLOR": "1"}, True, False),
    ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, True),
    ("auto", {"TERM": "dumb"}, True, False),
]


@pytest.mark.parametrize(("mode", "variables", "terminal", "colour"), COLORS)
def test_colour_obeys_the_option_then_the_environment_then_the_terminal(
    monkeypatch, mode: str, variables: dict[str, str], terminal: bool, colour: bool
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert output.use_color(mode, Terminal() if terminal else io.StringIO()) is colour


def ended(error: BaseException, **options: Any) -> int:
    """The exit code of *error*."""
    return endings.end(error, State(**options), llamahome)


def test_an_error_that_nobody_foresaw_leaves_a_report_and_exit_70(
    monkeypatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    code = ended(KeyError("oops"))

    (report,) = tmp_path.glob("llamahome-crash-*.txt")
    told = capsys.readouterr().err
    assert code == 70
    assert "error[X900]: KeyError: 'oops'" in told
    assert str(report) in told
    assert "Traceback" not in told
    assert "KeyError: 'oops'" in report.read_text()


def test_where_no_report_can_be_written_the_traceback_is_shown(
    monkeypatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))

    assert ended(KeyError("oops")) == 70
    assert "KeyError: 'oops'\n" in capsys.readouterr().err


def test_qq_leaves_only_the_exit_code(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert ended(DataError("bad row"), verbosity=-2) == 1
    assert ended(ValueError("oops"), verbosity=-2) == 70
    assert capsys.readouterr().err == ""


def test_v_adds_the_traceback_to_a_foreseen_error(capsys) -> None:
    ended(DataError("bad row", hint="mend it"), verbosity=1)

    told = capsys.readouterr().err
    assert told.startswith("error[D401]: bad row\n  fix: mend it\n  docs: llamahome explain D401\n")
    assert "DataError: bad row" in told


SYSTEM = [
    (OSError(errno.ENOSPC, "No space left on device"), 1, "error[S702]: No space left on device"),
    (PermissionError(errno.EACCES, "Permission denied", "/x/runs"), 2, "W801]: Permission denied"),
    (OSError("strange"), 1, "error[S702]: strange"),
]


@pytest.mark.parametrize(("error", "code", "words"), SYSTEM)
def test_what_the_system_refuses_is_an_error_with_a_remedy_and_no_crash(
    error: OSError, code: int, words: str, capsys
) -> None:
    assert ended(error) == code
    told = capsys.readouterr().err
    assert words in told
    assert "fix: " in told


def test_ctrl_c_in_any_command_is_130() -> None:
    assert ended(click.exceptions.Abort()) == 130
    assert ended(KeyboardInterrupt()) == 130


def test_a_stderr_that_nobody_reads_changes_no_exit_code(monkeypatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=True) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert ended(DataError("bad row")) == 1
        output.say("and once more")


def test_a_stream_that_is_none_is_forgotten_without_a_word() -> None:
    terminal.forget(None)


def test_what_is_printed_for_people_holds_nothing_that_a_terminal_obeys(
    capsys, monkeypatch, tmp_path
) -> None:
    """Tables, lines, errors with their colour and remedy, and crashes; lines stay lines."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    evil = "\x1b]0;t\x07a\x1b[2J\nb\x9b1mc"
    output.table(("X",), [(evil,)])
    output.pairs([("k", [evil])])
    output.echo(evil)
    output.say(evil)
    endings.report(DataError(evil, hint=evil), State(color="always", verbosity=1))
    endings.crash(RuntimeError(evil), State())
    out, err = capsys.readouterr()

    assert out.splitlines() == ["X", "a bc", "k  a bc", "a", "bc"]
    assert err.startswith("a\nbc\n\x1b[31m\x1b[1merror[D401]\x1b[0m: a\nbc\n  fix: a\nbc\n")
    assert err.count("\x1b") == 3
    assert not set(err) & {"\x07", "\x9b"}
