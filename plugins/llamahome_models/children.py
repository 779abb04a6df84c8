"""Runs another program, watches it, and ends it when the run is to stop."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

_POLL = 0.1
_PATIENCE = 5.0


@frozen
class Finished:
    """How a child ended.

    Attributes:
        code: Its exit code; negative for a signal.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
    """

    code: int
    output: str
    errors: str

    def last_line(self) -> str:
        """The last thing that it said, for a message to people."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


def run_child(
    command: Sequence[str], *, scratch: Path, environ: Mapping[str, str], poll: Callable[[], None]
) -> Finished:
    """Run *command* to its end.

    It gets a session of its own: a Ctrl-C of the terminal reaches the run alone, which decides.

    Args:
        command: Program and arguments.
        scratch: Folder for what it writes to its outputs.
        environ: Its whole environment.
        poll: Called ten times a second; what it raises ends the child and is passed on.
    """
    output, errors = scratch / "stdout", scratch / "stderr"
    with (
        output.open("wb") as out,
        errors.open("wb") as err,
        subprocess.Popen(  # noqa: S603  # our own command, without a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=dict(environ),
            start_new_session=True,
        ) as child,
    ):
        try:
            while child.poll() is None:
                poll()
                time.sleep(_POLL)
        finally:
            _end(child)
    return Finished(child.returncode, _text(output), _text(errors))


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
