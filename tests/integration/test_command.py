"""The command as its users meet it: real processes, real signals, real pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def bash(line: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a shell's line prints."""
    return subprocess.run(
        ["/bin/bash", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def test_without_what_train_brings_the_pip_command_is_named_and_the_code_is_3(
    finished: Path, environment
) -> None:
    """The recipe is right; this machine lacks packages. One wrong key more, and it is 2."""
    hidden = "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers']))\n"
    code = f"{hidden}from llamahome_core.cli import main; main(sys.argv[1:])"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "run", "recipe.toml", *words],
            cwd=finished,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    before = set((finished / "runs").iterdir())
    lacking, wrong = run(), run("--set", "train.stpes=3")

    assert lacking.returncode == 3
    assert "error[P204]" in lacking.stderr
    assert "pip install 'llamahome[train]'" in lacking.stderr
    assert wrong.returncode == 2
    assert set((finished / "runs").iterdir()) == before


READERS = [
    ["plan", "recipe.toml"],
    ["check", "recipe.toml"],
    ["check"],
    ["runs"],
    ["runs", "list"],
    ["runs", "show", "@last"],
    ["plugins"],
    ["plugins", "list"],
    ["plugins", "check", "caches"],
    ["show"],
    ["show", "train"],
    ["show", "adapter"],
    ["show", "adapter", "lora"],
    ["config", "show"],
    ["config", "show", "--all", "recipe.toml"],
    ["doctor"],
    ["explain"],
    ["explain", "C101"],
]


@pytest.fixture(scope="module")
def finished(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, llamahome, recipe_text: str
) -> Path:
    """A workspace in which a run of a few steps is finished."""
    work = tmp_path_factory.mktemp("finished")
    assert llamahome("init", cwd=work).returncode == 0
    rows = [{"text": f"A short text about the number {n}."} for n in range(24)]
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = recipe_text.replace("./model", str(tiny_model)).replace("steps = 40", "steps = 3")
    (work / "recipe.toml").write_text(f'{text}[objective]\nuse = "pretrain"\n')
    done = llamahome("run", "recipe.toml", cwd=work)
    assert (done.returncode, done.stdout) == (0, "bot:v1\n"), done.stderr
    return work


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_every_command_that_reads_prints_one_json_document_with_its_schema(
    words: list[str], finished: Path, llamahome
) -> None:
    done = llamahome(*words, "--json", cwd=finished)

    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["schema"].startswith("llamahome.")
    assert document["schema"].endswith("/1")


def test_run_with_json_prints_the_events_as_lines_and_nothing_else(
    finished: Path, llamahome
) -> None:
    done = llamahome("run", "recipe.toml", "--set", "train.steps=1", "--json", cwd=finished)

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["schema"] for event in events} == {"llamahome.event/1"}
    assert (events[0]["t"], events[-1]["t"], events[-1]["status"]) == ("run", "end", "finished")


def test_generate_answers_from_the_published_version(finished: Path, llamahome) -> None:
    words = ["generate", "bot:latest", "--prompt", "Hello", "--max-tokens", "4", "--json"]

    done = llamahome(*words, cwd=finished)

    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert (answer["schema"], answer["tokens"] <= 4) == ("llamahome.generate/1", True)
    wrong = llamahome("generate", "bto:latest", "--prompt", "Hello", cwd=finished)
    assert (wrong.returncode, wrong.stdout) == (4, "")
    assert "error[M304]" in wrong.stderr


def test_the_workspace_is_found_from_the_folders_in_it(finished: Path, llamahome) -> None:
    below = finished / "data" / "training"

    done = llamahome("runs", "list", cwd=below)

    assert done.stdout.splitlines()[1].startswith("bot-1")


def test_a_reader_that_goes_away_is_no_failure(finished: Path, environment) -> None:
    """`llamahome … | head -1` under `set -o pipefail`."""
    for words in ("explain", "schema", "config show --all", "--help"):
        line = f"set -o pipefail; {sys.executable} -m llamahome_core {words} | head -1"
        done = bash(line, finished, environment())
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", ["2>&1 >/dev/null", "--json"])
def test_a_reader_that_goes_early_spoils_no_run(words: str, finished: Path, environment) -> None:
    """`llamahome run … | head -1`: the run goes on to its end, and ends as it would have."""
    command = f"{sys.executable} -m llamahome_core run recipe.toml {words}"
    done = bash(f"{command} | head -1; echo ${{PIPESTATUS[0]}}", finished, environment())

    assert done.stdout.splitlines()[-1] == "0", done.stderr
    assert "Exception ignored" not in done.stderr
    assert "warning" not in done.stderr.lower()


def test_a_store_that_cannot_be_written_ends_a_run_before_it_trains(
    finished: Path, llamahome
) -> None:
    """Known only at the end, it would cost the whole training."""
    done = llamahome("run", "recipe.toml", "--set", "store.root=recipe.toml", cwd=finished)

    assert (done.returncode, done.stdout) == (1, "")
    assert "[S702]" in done.stderr
    assert "stage train" not in done.stderr


def test_a_disk_without_room_for_the_recipe_leaves_no_run(finished: Path, environment) -> None:
    """Such a folder would be a lost run that nobody can go on with."""
    before = set((finished / "runs").iterdir())
    # A file may have no byte: what a full disk does, for any user.
    line = f"ulimit -f 0; exec {sys.executable} -m llamahome_core run recipe.toml"
    done = bash(line, finished, environment())

    assert (done.returncode, done.stdout) == (1, "")
    assert "error[S702]" in done.stderr
    assert set((finished / "runs").iterdir()) == before


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "not"])
@pytest.mark.parametrize("words", [["explain"], ["runs", "list"], ["schema"]], ids=" ".join)
def test_a_full_disk_behind_stdout_is_told(
    finished: Path, llamahome, environment, words: list[str], variables: dict[str, str]
) -> None:
    """Once, with the stream's name, and with the exit code of a failure."""
    with Path("/dev/full").open("w") as full:
        done = llamahome(*words, cwd=finished, env=environment(**variables), stdout=full)

    assert done.returncode == 1
    message, *rest = done.stderr.splitlines()
    assert message == "error[S702]: cannot write standard output: No space left on device"
    assert len(rest) == 2


@pytest.mark.parametrize("words", ["explain", "doctor", "explain nothing"])
def test_standard_streams_that_are_closed_change_no_exit_code(
    finished: Path, environment, words: str
) -> None:
    """What would go there goes nowhere, and no other file gets it."""
    code = 4 if "nothing" in words else 0
    for closed in (">&-", "<&- >&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{sys.executable} -m llamahome_core {words} {closed}"],
            cwd=finished,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert ("error[P206]" in done.stderr) == (code == 4 and "2>&-" not in closed)


def test_a_workspace_that_cannot_be_written_is_told_before_anything_is_loaded(
    finished: Path, tmp_path: Path, llamahome, environment
) -> None:
    """Below a file nothing can be made, whoever asks."""
    (tmp_path / "file").write_text("")
    recipe = str(finished / "recipe.toml")

    done = llamahome(
        "run", recipe, cwd=tmp_path, env=environment(LLAMAHOME_HOME=str(tmp_path / "file/home"))
    )

    assert done.returncode == 1
    assert "error[S702]: " in done.stderr
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_home_the_workspace_must_be_named(tmp_path: Path, environment) -> None:
    """A container with an unknown user: no HOME, and no entry that tells one."""
    code = (
        "import pwd, sys\n"
        "def nobody(_): raise KeyError('unknown user')\n"
        "pwd.getpwuid = nobody\n"
        "from llamahome_core.cli import main; main(sys.argv[1:])\n"
    )
    env = {k: v for k, v in environment().items() if k not in {"HOME", "XDG_CONFIG_HOME"}}

    done = subprocess.run(
        [sys.executable, "-c", code, "runs", "list"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "error[W801]" in done.stderr
    assert "LLAMAHOME_HOME" in done.stderr


def test_colour_is_for_terminals_and_for_who_asks(tmp_path: Path, llamahome, environment) -> None:
    plain = llamahome("show", "optimizer", "adma", cwd=tmp_path)
    asked = llamahome("--color", "always", "show", "optimizer", "adma", cwd=tmp_path)
    forced = llamahome("explain", "Z", cwd=tmp_path, env=environment(FORCE_COLOR="1"))
    denied = llamahome(
        "--color", "never", "explain", "Z", cwd=tmp_path, env=environment(FORCE_COLOR="1")
    )

    assert "\x1b" not in plain.stderr + denied.stderr
    assert "\x1b[31m" in asked.stderr
    assert "\x1b[31m" in forced.stderr


EARLY = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[-1]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
from llamahome_core.cli import program
program()
"""


@pytest.mark.parametrize(
    "module",
    [
        "click",
        "llamahome_core.terminal",
        "llamahome_core.kernel",
        "llamahome_core.cli.main",
        "pluggy",
    ],
)
def test_ctrl_c_while_the_command_starts_is_quiet(module: str, tmp_path: Path, environment) -> None:
    """From the first import of the command on; before that, Python itself answers."""
    done = subprocess.run(
        [sys.executable, "-c", EARLY, module],
        cwd=tmp_path,
        env=environment(LLAMAHOME_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
