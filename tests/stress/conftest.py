"""Full counts of the trials; what they found goes to docs/results/stress.md."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FULL = 100

Record = Callable[[str, int, int, int, str], None]


@pytest.fixture(scope="session")
def trials() -> int:
    """Trials of each claim: all, or as many as ``LLAMAHOME_TRIALS`` says."""
    wanted = os.environ.get("LLAMAHOME_TRIALS", "full")
    return FULL if wanted == "full" else int(wanted)


@pytest.fixture(scope="session")
def seed() -> int:
    """``LLAMAHOME_TEST_SEED``, or one that no run before had."""
    given = os.environ.get("LLAMAHOME_TEST_SEED")
    return int(given) if given else random.SystemRandom().randrange(10**6)


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    """Takes claim, seed, trials, failures and remarks; the end writes them to the table."""
    lines: list[str] = []

    def take(claim: str, seed: int, trials: int, failures: int, remarks: str) -> None:
        bound = (
            f"under {300 / trials:.2g} %" if not failures else f"{100 * failures / trials:.2g} %"
        )
        lines.append(f"| {claim} | {seed} | {trials} | {failures} | {bound} | {remarks} |")

    yield take
    if lines and os.environ.get("LLAMAHOME_TRIALS") == "full":
        _write(lines)


def _write(lines: list[str]) -> None:
    packages = ", ".join(f"{name} {version(name)}" for name in ("llamahome", "torch", "peft"))
    text = f"""\
# Trials

Written by `tox run -e stress`. `LLAMAHOME_TEST_SEED` repeats the choices of a seed; what is random
besides is the machine's own timing.

{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} processors; {platform.platform()},
Python {platform.python_version()}; {packages}.

No failure in n trials bounds the rate of failure by 3/n, with 95 % confidence. A kill of a process
never finds a missing sync: the page cache survives it.

| claim | seed | trials | failures | rate of failure | remarks |
|---|---:|---:|---:|---:|---|
"""
    target = ROOT / "docs" / "results" / "stress.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n".join([*lines, ""]), encoding="utf-8")
