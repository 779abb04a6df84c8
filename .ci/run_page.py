"""Write into a page what its commands print, by doing what the page says in an empty folder.

Usage: run_page.py [--check] [PAGE]. With --check nothing is written, and the exit code is 1 if the
page shows anything else. Files of the page are written as it says, and packages are built and
installed into a folder of their own. Nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs" / "how-to" / "two-plugins-one-name.md"]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PIP = "pip install -q --no-deps --no-build-isolation --no-index --no-compile --target site"
RECIPE = (
    '[model]\nfrom = "smollm2-135m-instruct"\n\n[[data]]\nuse = "jsonl"\npath = "train.jsonl"\n'
)


def environment(folder: Path) -> dict[str, str]:
    """No settings of this machine, and its own plugins only."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMAHOME_", "COV"))}
    before = [path for path in [kept.get("PYTHONPATH")] if path]
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), *before]),
        "LLAMAHOME_HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "settings"),
        "NO_COLOR": "1",
    }


def printed(command: str, folder: Path, code: int) -> str:
    """What *command* prints; it must exit with *code*."""
    command = re.sub(r"^pip install", PIP, command)
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != code:
        raise SystemExit(f"{command} exits with {done.returncode}, not {code}:\n{done.stdout}")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def made(page: str, folder: Path) -> str:
    """The text of *page* with the outputs of its commands, tried in *folder*."""

    def block(found: re.Match[str]) -> str:
        language, info, text = found.groups()
        if title := re.search(r'title="([^"]+)"', info):
            path = folder / title[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if language != "console":
            return found[0]
        wanted = re.search(r"exit=(\d+)", info)
        commands = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
        last = int(wanted[1]) if wanted else 0
        codes = [0] * (len(commands) - 1) + [last]
        shown = "".join(
            f"$ {command}\n{printed(command, folder, code)}"
            for command, code in zip(commands, codes, strict=True)
        )
        return f"```{language}{info}\n{shown}```"

    return FENCE.sub(block, page)


def main() -> int:
    """Write the pages, or say which of them are not what would be written."""
    chosen = [Path(word) for word in sys.argv[1:] if word != "--check"] or PAGES
    code = 0
    for page in chosen:
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "recipe.toml").write_text(RECIPE)
            (folder / "train.jsonl").write_text('{"text": "One."}\n')
            new = made(text, folder)
        if "--check" not in sys.argv:
            page.write_text(new, encoding="utf-8")
        elif new != text:
            print(f"{page.name} does not show what its commands print: run .ci/run_page.py")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
