"""Real conversations of widely different length, from the package chatterbot-corpus."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yaml

PACKAGE = "chatterbot-corpus==1.3.3"
FOLDER = "chatterbot_corpus/data/english/"
SHORTEST, LONGEST = 12, 420
"""Bounds of a conversation's length, in tokens as :func:`estimate` counts them."""

Turn = dict[str, str]


def fetch(folder: Path) -> Path:
    """The wheel in *folder*, downloaded with pip if it is not there."""
    if not (found := sorted(folder.glob("chatterbot_corpus-*.whl"))):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", str(folder), PACKAGE], check=True)  # noqa: S603  # pip
        found = sorted(folder.glob("chatterbot_corpus-*.whl"))
    return found[-1]


def exchanges(wheel: Path) -> Iterator[list[Turn]]:
    """Each question of the corpus with its first answer, in the order of files and lines."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith(FOLDER) and n.endswith("yml"))
        for name in names:
            for lines in yaml.safe_load(archive.read(name))["conversations"]:
                question, *answers = [str(line).strip() for line in lines]
                if question and answers and answers[0]:
                    yield [
                        {"role": "user", "content": question},
                        {"role": "assistant", "content": answers[0]},
                    ]


def estimate(turns: list[Turn]) -> int:
    """About how many tokens *turns* have: four characters each, and the template's own."""
    return sum(len(turn["content"]) // 4 + 6 for turn in turns)


def conversations(wheel: Path, count: int, seed: int) -> list[dict[str, list[Turn]]]:
    """*count* rows, each of one exchange or of several that follow each other in the corpus.

    Their lengths are drawn evenly on a logarithmic scale: many short ones, a few long.
    """
    generator = random.Random(seed)  # noqa: S311  # the same rows each time
    source = list(exchanges(wheel))
    rows: list[dict[str, list[Turn]]] = []
    at = generator.randrange(len(source))
    while len(rows) < count:
        wanted = SHORTEST * (LONGEST / SHORTEST) ** generator.random()
        turns: list[Turn] = []
        while not turns or estimate(turns) + estimate(source[at]) <= wanted:
            turns += source[at]
            at = (at + 1) % len(source)
        if estimate(turns) <= LONGEST:
            rows.append({"messages": turns})
    return rows


def write(wheel: Path, target: Path, *, count: int = 48, seed: int = 7) -> Path:
    """Write the rows to *target* as JSON Lines."""
    rows = conversations(wheel, count, seed)
    target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return target
