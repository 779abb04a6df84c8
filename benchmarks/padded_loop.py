"""The same training by LlamaHome, by a plain padded loop and, if it is there, by TRL.

Each side is a process of its own, so that its peak of memory is its own; they take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import conversations
from attrs import define, field
from report import spread, table

ARMS = Path(__file__).parent / "arms"
RATE, CLIP, ROWS = 2e-5, 1.0, 8
TOLERANCE = 1e-4
_PACKING = (
    " TRL's packing fills rows of 512 tokens, so its steps hold other documents, and on a CPU "
    "attention crosses from one document to the next: it is another training, shown for its cost."
)

Result = dict[str, Any]


@define(kw_only=True)
class Contest:
    """One training, done by several programs.

    Attributes:
        model: The real model's folder.
        wheel: The corpus.
        folder: An empty folder.
        steps: Optimizer steps.
        rounds: Times that each side runs.
        trl: A Python that has TRL, if there is one.
    """

    model: Path
    wheel: Path
    folder: Path
    steps: int = 12
    rounds: int = 2
    trl: Path | None = None
    results: dict[str, list[Result]] = field(init=False, factory=dict)

    @property
    def batches(self) -> Path:
        """What each step holds, as tokens, for the sides that are not LlamaHome."""
        return self.folder / "batches.json"

    def prepare(self) -> None:
        """Write the recipe, the rows, and what each step of LlamaHome holds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = conversations.write(self.wheel, self.folder / "rows.jsonl")
        recipe = {
            "name": "padded-loop",
            "seed": 7,
            "model": {"from": str(self.model)},
            "data": [{"use": "jsonl", "path": str(rows)}],
            "batch": {"rows": ROWS, "max_length": 512, "overlong": "error"},
            "adapter": {"use": "full"},
            "optimizer": {"use": "adamw", "learning_rate": RATE},
            "schedule": {"use": "constant"},
            "train": {"steps": self.steps, "clip": CLIP},
            "publish": {"enabled": False},
        }
        (self.folder / "recipe.json").write_text(json.dumps(recipe))
        _child(self._llamahome("prepare", "--batches", str(self.batches)))

    def _llamahome(self, name: str, *more: str) -> list[str]:
        home = self.folder / name
        home.mkdir()
        script, recipe = ARMS / "run_llamahome.py", self.folder / "recipe.json"
        return [sys.executable, str(script), str(recipe), str(home), *more]

    def _other(self, python: Path | str, script: str, *more: str) -> list[str]:
        options = ["--rate", str(RATE), "--clip", str(CLIP), *more]
        return [str(python), str(ARMS / script), str(self.model), str(self.batches), *options]

    def sides(self, number: int) -> dict[str, list[str]]:
        """The command of each side in round *number*."""
        found = {
            "padded loop": self._other(sys.executable, "run_padded.py"),
            "LlamaHome": self._llamahome(f"round-{number}"),
        }
        if self.trl is not None:
            found["TRL"] = self._other(self.trl, "run_trl.py")
            found["TRL, packing"] = self._other(self.trl, "run_trl.py", "--packing")
        return found

    def run(self) -> None:
        """All rounds; the order of the sides is reversed in every second one."""
        for number in range(self.rounds):
            sides = list(self.sides(number).items())
            for name, command in sides if number % 2 == 0 else reversed(sides):
                result = _child(command)
                self.results.setdefault(name, []).append(result)
                print(
                    f"{name}: {result['seconds']:.1f} s, {result['peak'] / 1e9:.2f} GB", flush=True
                )

    def difference(self) -> float:
        """Largest relative difference between LlamaHome's and the padded loop's loss of a step."""
        left, right = (self.results[name][0]["losses"] for name in ("LlamaHome", "padded loop"))
        return float(max(abs(a - b) / abs(b) for a, b in zip(left, right, strict=True)))

    def lines(self) -> list[list[str]]:
        """The lines of the table."""
        ours = self.results["LlamaHome"]
        found = []
        for name, results in self.results.items():
            seconds, peak = _median(results, "seconds"), _median(results, "peak")
            steady = spread([s for result in results for s in result["step_seconds"]], ".2f")
            found.append(
                [
                    name.replace("TRL", f"TRL {results[0].get('version')}"),
                    f"{seconds:.1f} s",
                    steady,
                    f"{peak / 1e9:.2f} GB",
                    f"{seconds / _median(ours, 'seconds'):.2f}",
                    f"{_median(ours, 'peak') / peak:.2f}",
                ]
            )
        return found

    def padding(self) -> tuple[int, int]:
        """Tokens of all steps, and places that a padded batch has for them."""
        steps = [[len(row["ids"]) for row in s] for s in json.loads(self.batches.read_bytes())]
        return sum(map(sum, steps)), sum(len(step) * max(step) for step in steps)


def _child(command: list[str]) -> Result:
    """Run *command* and read the JSON in its last line, if it prints any."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(  # noqa: S603  # our own scripts
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    lines = done.stdout.strip().splitlines()
    result: Result = json.loads(lines[-1]) if lines else {}
    return result


def _median(results: list[Result], key: str) -> float:
    return float(statistics.median(result[key] for result in results))


def measure(contest: Contest) -> str:
    """Carry out *contest* and return the chapter of the report."""
    contest.prepare()
    contest.run()
    head = ["", "training", "a step, s", "peak memory", "time over ours", "our memory over its"]
    chapter = ["## Against a padded loop", _explanation(contest), table(head, contest.lines())]
    return "\n\n".join([*chapter, _verdict(contest.difference())])


def _explanation(contest: Contest) -> str:
    tokens, places = contest.padding()
    return (
        f"SmolLM2-135M, all weights, fp32, AdamW at {RATE}, {contest.steps} steps of {ROWS} rows "
        f"from 48 conversations of widely different length: {tokens:,} tokens, {places:,} when "
        f"padded. Each side in a process of its own, in turns, {contest.rounds} rounds; medians, "
        "of the seconds of a step with quartiles. Time is that of training, without imports and "
        "loading; memory is the most that the process ever had."
    ) + (_PACKING if contest.trl else "")


def _verdict(difference: float) -> str:
    met = "within" if difference <= TOLERANCE else "**not within**"
    return (
        "Loss of LlamaHome and of the padded loop: the largest relative difference of a step is "
        f"{difference:.1e}, {met} {TOLERANCE}."
    )
