"""Prove that the built wheel is whole: every file of the packages is in it, and it runs alone.

Usage: check_package.py DIST, where DIST holds one wheel. The wheel is installed with its base
dependencies only, as by a person who types ``pip install llamahome``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def source_files() -> set[str]:
    """The files of the packages, named as they must be named in the wheel."""
    packages = [ROOT / "llamahome_core", *(ROOT / "plugins").glob("llamahome_*")]
    return {
        path.relative_to(package.parent).as_posix()
        for package in packages
        for path in package.rglob("*")
        if path.is_file() and not _is_cache(path.relative_to(package))
    }


def _is_cache(path: Path) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def wheel_files(wheel: Path) -> set[str]:
    """The files in *wheel*, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def check_contents(wheel: Path) -> None:
    """Exit unless *wheel* holds the files of the packages, no fewer and no more."""
    expected, actual = source_files(), wheel_files(wheel)
    if expected != actual:
        missing, surplus = sorted(expected - actual), sorted(actual - expected)
        sys.exit(f"{wheel.name} lacks {missing} and holds, from nowhere, {surplus}")
    print(f"{wheel.name}: all {len(actual)} files of the packages are in it")


def check_runs(wheel: Path, folder: Path) -> None:
    """Exit unless the command works where only *wheel* is installed, in *folder*."""
    venv.create(folder, with_pip=True)
    python, script = str(folder / "bin" / "python"), str(folder / "bin" / "llamahome")
    install = [python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, str(wheel)], check=True)
    shown = ""
    for command in (
        [script, "--version"],
        [python, "-m", "llamahome_core", "--version"],
        [script, "plugins"],
    ):
        # Run outside the checkout: what answers is the wheel.
        done = subprocess.run(command, check=True, cwd=folder, stdout=subprocess.PIPE, text=True)
        shown = done.stdout
        print(shown, end="")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing = [name for name in project["entry-points"]["llamahome"] if name not in shown]
    if missing:
        sys.exit(f"`llamahome plugins` does not list: {', '.join(missing)}")


def main() -> None:
    """Check the one wheel of the folder given on the command line."""
    (wheel,) = Path(sys.argv[1]).glob("*.whl")
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as folder:
        check_runs(wheel.resolve(), Path(folder))


if __name__ == "__main__":
    main()
