"""Many runs, each killed at random moments and resumed until it is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("kills.py")


def test_every_killed_run_ends_with_the_bits_of_a_straight_one(
    tiny_model, rows, tmp_path, trials, seed, record
):
    """kill -9, resume, again and again until done; the table says where the kills hit."""
    with (tmp_path / "errors").open("w+b") as errors:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), tiny_model, rows, tmp_path, str(trials), str(seed)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        errors.seek(0)
        said = errors.read().decode(errors="replace")[-3000:]
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout[-1000:]}\n{said}"
    found = json.loads(done.stdout.splitlines()[-1])
    places = ", ".join(f"{n} in {place}" for place, n in found["places"].items())

    record(
        "a run killed with SIGKILL at random moments and resumed ends with the same bits",
        seed,
        trials,
        trials - found["equal"],
        f"{found['kills']} kills: {places}; {found['published_twice']} runs published twice",
    )

    assert found["equal"] == trials, f"seed {seed}:\n{done.stdout}"
    assert found["published_twice"] == 0, f"seed {seed}:\n{done.stdout}"
