"""Logs go to stderr for people or as JSON, and all of a run's goes to its file."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from llamahome_core import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The loggers of the process as they were."""
    names = (log.NAME, *log.THIRD_PARTY)
    before = [(n, logging.getLogger(n).handlers[:], logging.getLogger(n).level) for n in names]
    yield
    logging.captureWarnings(capture=False)
    for name, handlers, level in before:
        logging.getLogger(name).handlers = handlers
        logging.getLogger(name).setLevel(level)


class Collects(logging.Handler):
    """A screen."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def lines(path: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (-3, ["critical"]),
        (-2, ["critical"]),
        (-1, ["error", "critical"]),
        (0, ["warning", "error", "critical"]),
        (1, ["info", "warning", "error", "critical"]),
        (2, ["debug", "info", "warning", "error", "critical"]),
        (9, ["debug", "info", "warning", "error", "critical"]),
    ],
)
def test_verbosity_decides_what_is_shown(monkeypatch, verbosity, shown):
    """From -qq to -vv; as JSON each line can be read by a machine."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.show(verbosity, json=True)
    logger = log.logger("part")

    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger, level)("said", number=1)

    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in found] == shown
    assert all(line["event"] == "said" and line["number"] == 1 for line in found)
    assert {line["logger"] for line in found} == {"llamahome.part"}


def test_people_get_a_line_without_colour_unless_asked(monkeypatch):
    """Showing again replaces the handler: nothing is said twice."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.show()
    log.show()

    log.logger().warning("the disk is slow", seconds=3)

    assert stream.getvalue().count("the disk is slow") == 1
    assert "seconds=3" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()


def test_a_traceback_is_plain_text_in_the_json_log(tmp_path):
    """So that a run's log can be searched."""
    path = tmp_path / "log" / "run.log"
    with log.captured(path):
        try:
            int("boom")
        except ValueError as error:
            log.logger("run").debug("run ended", exc_info=error)

    (line,) = lines(path)
    assert line["event"] == "run ended"
    assert "ValueError: invalid literal" in line["exception"]


def test_the_file_gets_everything_and_the_libraries_too(tmp_path):
    """Debug records of ours, what torch and transformers say, and warnings; not on the screen."""
    path = tmp_path / "run.log"
    shown: list[logging.LogRecord] = []
    theirs = logging.getLogger("transformers")
    screen = Collects(shown)
    theirs.addHandler(screen)

    with log.captured(path):
        log.logger("x").debug("deep")
        theirs.info("loading weights")
        logging.captureWarnings(capture=True)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("slow path", UserWarning, stacklevel=1)

    events = [line["event"] for line in lines(path)]
    assert events[:2] == ["deep", "loading weights"]
    assert "slow path" in events[2]
    assert shown == []
    theirs.warning("afterwards")
    assert [record.getMessage() for record in shown] == ["afterwards"]
    assert len(lines(path)) == 3


def test_a_host_program_sees_what_its_own_settings_let_it_see(tmp_path, caplog):
    """While a run writes debug records to its file, the host's handlers get none of them."""
    ours = logging.getLogger(log.NAME)
    own: list[logging.LogRecord] = []
    handler = Collects(own)
    handler.setLevel(logging.ERROR)
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)

    with log.captured(tmp_path / "run.log"):
        for level in ("debug", "info", "error"):
            getattr(log.logger("x"), level)(level)

    assert [line["level"] for line in lines(tmp_path / "run.log")] == ["debug", "info", "error"]
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert [record.levelname for record in own] == ["ERROR"]
    assert ours.handlers[-1] is handler
    assert ours.level == logging.INFO


def test_a_host_without_handlers_gets_nothing_on_its_stderr(tmp_path, capsys, monkeypatch):
    """The standard library's last resort would print our records unformatted."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])

    with log.captured(tmp_path / "run.log"):
        log.logger("x").warning("hello")

    assert capsys.readouterr().err == ""
    assert len(lines(tmp_path / "run.log")) == 1


def test_the_loggers_are_given_back_after_an_error(tmp_path):
    ours = logging.getLogger(log.NAME)
    before = (ours.handlers[:], ours.propagate, ours.level)

    with pytest.raises(RuntimeError), log.captured(tmp_path / "run.log"):
        raise RuntimeError

    assert (ours.handlers, ours.propagate, ours.level) == before
