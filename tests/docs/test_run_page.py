"""Pages that are made by running them show what their commands print today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_the_page_of_two_plugins_shows_what_its_commands_print(root: Path) -> None:
    """Packages are built and installed, and every command is run anew."""
    done = subprocess.run(
        [sys.executable, root / ".ci" / "run_page.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_that_shows_something_else_is_told(root: Path, tmp_path: Path) -> None:
    """And is put right without --check."""
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```console\n$ llamahome --version\nllamahome 0.0\n```\n")
    command = [sys.executable, str(root / ".ci" / "run_page.py"), str(page)]

    stale = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    subprocess.run(command, check=True)

    assert stale.returncode == 1
    assert "page.md does not show what its commands print" in stale.stdout
    assert "\nllamahome 0.0\n" not in page.read_text()
    assert subprocess.run([*command, "--check"], check=False).returncode == 0
