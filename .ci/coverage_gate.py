"""Fail where a package's tests cover too few of its lines or of its branches.

Run after ``pytest --cov``. Prints a table; exit code 1 when a package is under its threshold.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import coverage

ROOT = Path(__file__).resolve().parents[1]
KERNEL = 95.0
PLUGIN = 85.0


def measured_packages() -> list[str]:
    """The packages that pyproject.toml asks coverage to measure."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return sorted(settings["tool"]["coverage"]["run"]["source_pkgs"])


def file_summaries() -> dict[str, dict[str, Any]]:
    """What ran, file by file, as coverage.py's own JSON report counts it."""
    data = coverage.Coverage(ROOT / ".coverage", config_file=str(ROOT / "pyproject.toml"))
    data.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        data.json_report(outfile=str(report))
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    return {name: entry["summary"] for name, entry in files.items()}


def package_totals(files: dict[str, dict[str, Any]]) -> dict[str, Counter[str]]:
    """The counts of *files*, summed by the package that each lies in."""
    totals = {package: Counter[str]() for package in measured_packages()}
    for name, summary in files.items():
        owners = [part for part in Path(name).parts if part in totals]
        if owners:
            totals[owners[-1]].update(
                {key: count for key, count in summary.items() if isinstance(count, int)}
            )
    return totals


def percent(covered: int, total: int) -> float:
    """Covered in percent; all of nothing is 100."""
    return 100.0 * covered / total if total else 100.0


def main() -> int:
    """Print one line for each package; return the exit code."""
    failed = []
    print(f"{'package':<24}{'lines':>9}{'branches':>10}{'needed':>8}")
    for package, counts in package_totals(file_summaries()).items():
        needed = KERNEL if package == "llamahome_core" else PLUGIN
        lines = percent(counts["covered_lines"], counts["num_statements"])
        branches = percent(counts["covered_branches"], counts["num_branches"])
        # A package without a single counted line was not measured: that is no success.
        enough = counts["num_statements"] > 0 and min(lines, branches) >= needed
        mark = "" if enough else "  <--"
        print(f"{package:<24}{lines:>8.1f}%{branches:>9.1f}%{needed:>7.0f}%{mark}")
        if not enough:
            failed.append(package)
    if failed:
        print(f"Too few tests of: {', '.join(failed)}. See: coverage report")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
