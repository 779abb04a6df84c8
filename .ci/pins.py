"""Write constraints.txt from what is installed in the environment that runs this.

Usage: pins.py FILE. The opening comment of FILE is kept.
"""

from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

OURS_AND_SEEDS = {"llamahome", "pip"}


def pins() -> list[str]:
    """One line for each distribution; a local part, as in 2.13.0+cpu, names a build and goes."""
    versions = {canonicalize_name(d.name): Version(d.version).public for d in distributions()}
    return [f"{n}=={v}" for n, v in sorted(versions.items()) if n not in OURS_AND_SEEDS]


def main() -> None:
    """Replace the pins of the file given on the command line."""
    path = Path(sys.argv[1])
    head = [ln for ln in path.read_text(encoding="utf-8").splitlines() if ln.startswith("#")]
    path.write_text("\n".join([*head, *pins()]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
