"""Side by side with other loops: ``python benchmarks``; writes docs/results/bench.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import conversations
from padded_loop import Contest, measure
from report import circumstances

ROOT = Path(__file__).parent.parent
MODEL = "smollm2-135m-instruct"
FETCH = """
import sys
from llamahome_core import Kernel, Models
models = Kernel().context().get(Models)
print(models.fetch(sys.argv[1], lambda done, total: None).path)
"""


def real_model() -> Path:
    """The folder of the real model; the workspace, ``LLAMAHOME_HOME`` or the default, keeps it."""
    # In a process of its own: this one stays small, for its children's memory is compared.
    command = [sys.executable, "-c", FETCH, MODEL]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # our own code
    return Path(done.stdout.strip().splitlines()[-1])


def kernel_cost(model: Path, wheel: Path, folder: Path, *, short: bool) -> str:
    """The chapter of ``kernel_cost.py``, in a process of its own."""
    script = str(Path(__file__).with_name("kernel_cost.py"))
    command = [sys.executable, script, str(model), str(wheel), str(folder)]
    command += ["--short"] if short else []
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(  # noqa: S603  # our own script
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    print(done.stdout, flush=True)
    return done.stdout[done.stdout.index("## ") :].strip()


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", choices=["kernel-cost", "padded-loop"])
    parser.add_argument("--steps", type=int, default=12, help="steps of the padded loop")
    parser.add_argument("--rounds", type=int, default=2, help="times that each side runs")
    parser.add_argument("--trl-python", type=Path, help="a Python that has TRL, to run it too")
    parser.add_argument("--short", action="store_true", help="a few steps, to see that it works")
    parser.add_argument("--wheels", type=Path, help="folder that has chatterbot-corpus's wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "bench.md")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.steps, arguments.rounds = 2, 1
    return arguments


def main() -> None:
    """Run what was asked for and write the report."""
    arguments = parse()
    chapters = ["# Side by side", "Written by `tox run -e bench`.", circumstances()]
    model = real_model()
    with tempfile.TemporaryDirectory(prefix="llamahome-bench-") as scratch:
        folder = Path(scratch)
        wheel = conversations.fetch(arguments.wheels or folder)
        if arguments.only != "padded-loop":
            short = arguments.short
            chapters.append(kernel_cost(model, wheel, folder / "kernel-cost", short=short))
        if arguments.only != "kernel-cost":
            contest = Contest(
                model=model,
                wheel=wheel,
                folder=folder / "padded-loop",
                steps=arguments.steps,
                rounds=arguments.rounds,
                trl=arguments.trl_python,
            )
            chapters.append(measure(contest))
    text = "\n\n".join(chapters) + "\n"
    print(text)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
