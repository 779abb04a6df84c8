"""Nothing of foreign text steers a terminal, and nothing else of it is lost."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading

import pytest

from llamahome_core import clean, log
from llamahome_core.terminal import RESULTS, aside, foreign, guarded


@pytest.mark.parametrize(
    ("dirty", "text"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("\x9b31mred\x9dtitle\x9cx", "redx"),
        ("\x1b", ""),
        ("bell\x07 back\x08 nul\x00 delete\x7f", "bell back nul delete"),
        ("over\rwrite\nnext", "overwritenext"),
        ("\u202ea\u2066b\u2069\u200b\ufeff", "ab"),
        ("\ud800", ""),
        (
            "naïve 模型 नहीं\u200cक 👩\u200d💻 \u05d0\u200f",
            "naïve 模型 नहीं\u200cक 👩\u200d💻 \u05d0\u200f",
        ),
    ],
)
def test_what_a_terminal_obeys_is_dropped_and_the_words_stay(dirty: str, text: str):
    assert clean(dirty) == text


def test_control_characters_that_the_caller_wants_stay():
    assert clean("a\n\tb\r\x1b[1m", keep="\n\t") == "a\n\tb"


def test_a_sequence_that_never_ends_hides_no_other_line():
    assert clean("a\x1b]0;hidden\nfix: b", keep="\n") == "a\nfix: b"


def test_the_log_on_a_terminal_is_harmless_too(capsys):
    """A library may quote what a server said."""
    log.show(0)
    try:
        logging.getLogger("llamahome.x").warning("said \x1b[2J\x9b31mred")
    finally:
        logging.getLogger(log.NAME).handlers.clear()
        logging.captureWarnings(capture=False)

    shown = capsys.readouterr().err
    assert "said red" in shown
    assert "\x1b" not in shown


# --- Code of plugins

PRINTS = """
import os, sys
from llamahome_core.terminal import aside, guarded
def both(word):
    print("print", word, flush=True)
    os.write(1, f"write {word}\\n".encode())
def once():
    with aside():
        both("aside")
        with aside():
            both("deeper")
        both("still aside")
    both("result")
if sys.argv[1] == "guarded":
    with guarded():
        once()
    with aside():
        both("after")
else:
    once()
"""


def printed(*words: str) -> tuple[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PRINTS, *words], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr.splitlines()


def test_a_command_that_guards_its_results_finds_nothing_foreign_among_them():
    """For Python and for descriptor 1; what is not aside, and what comes after, is as ever."""
    out, err = printed("guarded")

    assert out == "print result\nwrite result\nprint after\nwrite after\n"
    words = ("aside", "deeper", "still aside")
    assert err == [f"{how} {word}" for word in words for how in ("print", "write")]


def test_a_program_that_embeds_the_kernel_keeps_its_streams():
    out, err = printed("embedded")

    assert out.count("\n") == 8
    assert err == []


def test_the_last_of_several_threads_turns_the_streams_back(monkeypatch):
    """However their blocks overlap; a stream without a descriptor is turned aside as well."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with aside():
            inside.set()
            leave.wait(30)

    with guarded():
        thread = threading.Thread(target=stay)
        with aside():
            thread.start()
            inside.wait(30)
        sys.stdout.write("one of them is inside")
        leave.set()
        thread.join()
        sys.stdout.write("a result")

    assert (out.getvalue(), err.getvalue()) == ("a result", "one of them is inside")
    assert RESULTS.descriptor is None


def test_what_a_plugin_puts_in_the_place_of_stdout_goes_and_harms_nothing(monkeypatch):
    """A wrapper that is thrown away would close what it wraps: here, standard error."""
    out, raw = io.StringIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, write_through=True))

    with guarded(), foreign():
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sys.stdout.buffer, "latin-1"))

    sys.stdout.write("a result")
    assert out.getvalue() == "a result"
    sys.stderr.write("still open")
    assert raw.getvalue() == b"still open"
