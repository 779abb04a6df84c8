"""Nothing of foreign text steers a terminal, and nothing else of it is lost."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from llamahome_core import clean, log


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


# --- Results

PRINTS = """
import ctypes, os, subprocess, sys
from llamahome_core.terminal import aside, keep_results_apart
if sys.argv[1] == "command":
    keep_results_apart()
ctypes.CDLL(None).puts(b"C library")
subprocess.run(["echo", "child"])
with aside():
    print("aside")
    with aside():
        print("deeper")
    print("still aside")
os.write(1, b"descriptor\\n")
print("result")
"""


def printed(who: str) -> tuple[list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PRINTS, who], capture_output=True, text=True, check=True
    )
    return sorted(done.stdout.splitlines()), sorted(done.stderr.splitlines())


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_command_finds_nothing_foreign_among_its_results(monkeypatch, unbuffered: str):
    """What C keeps to print at the end is no result either."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)

    out, err = printed("command")

    assert out == ["result"]
    assert err == ["C library", "aside", "child", "deeper", "descriptor", "still aside"]


def test_a_program_that_embeds_the_kernel_keeps_its_streams():
    out, err = printed("embedded")

    assert len(out) == 7
    assert err == []
