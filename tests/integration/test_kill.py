"""Runs that are killed at random moments: some here, and many with ``tox run -e stress``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "stress" / "kills.py"
TRIALS = 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_random_moments_and_resumed_ends_with_the_same_bits(
    tiny_model, rows, tmp_path
):
    """kill -9, resume, again and again until done: weights equal to those of a straight run."""
    seed = os.environ.get("LLAMAHOME_TEST_SEED", "1")

    done = subprocess.run(
        [sys.executable, str(PROGRAM), tiny_model, rows, tmp_path, str(TRIALS), seed],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    assert done.returncode == 0, f"seed {seed}:\n{done.stderr[-3000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["equal"] == TRIALS, f"seed {seed}:\n{done.stdout}"
    assert found["published_twice"] == 0, f"seed {seed}:\n{done.stdout}"
    assert found["kills"] > TRIALS, "most runs are killed more than once"
