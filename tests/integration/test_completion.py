"""Pressing Tab in bash, zsh and fish: the real shells, and the real command."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SHELLS = ("bash", "zsh", "fish")
LOADED = {
    "bash": 'eval "$(llamahome completion bash)"',
    "zsh": 'autoload -Uz compinit; compinit -u -D; eval "$(llamahome completion zsh)"',
}
PLUGIN = """
    from typing import Literal
    from attrs import frozen
    from llamahome_core import Component, hookimpl

    print("a plugin that prints where it must not")

    @frozen(kw_only=True)
    class Settings:
        mood: Literal["sunny", "stormy"] = "sunny"
        "How it rings."

    @hookimpl
    def llamahome_monitors():
        yield Component(name="zephyr", summary="A breeze.", factory="a:b", config=Settings)
"""


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """The name of a shell; skipped, and counted, where it is not installed."""
    if shutil.which(request.param) is None:
        if "shells" in os.environ.get("LLAMAHOME_REQUIRE", ""):
            pytest.fail(f"{request.param} is not installed")
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path, recipe_text: str, install: Any) -> tuple[Path, dict[str, str]]:
    """A workspace with a recipe, runs, a catalogue and a third party's plugin; its environment."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "llamahome"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m llamahome_core "$@"\n')
    program.chmod(0o755)
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "llamahome.toml").write_text("")
    (tmp_path / ".config" / "models.json").write_text('{"library-bot": {"source": "hub:a/b"}}')
    (tmp_path / "winter.toml").write_text(recipe_text + '[[monitor]]\nuse = "zephyr"\n')
    (tmp_path / "winter.txt").write_text("no recipe\n")
    for name in ("desk-1", "desk-2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "status.json").write_text(json.dumps({"state": "finished"}))
    env = install(tmp_path / "site", "weather", PLUGIN)
    more = {"PATH": f"{program.parent}:{env['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    # fish makes its folders where these lead.
    more |= {f"XDG_{name}_HOME": str(tmp_path / "user") for name in ("CONFIG", "DATA", "CACHE")}
    return tmp_path, {k: v for k, v in env.items() if k != "HISTFILE"} | more


def pressed(shell: str, line: str, place: tuple[Path, dict[str, str]]) -> str:
    """*line* after Tab: what an interactive shell on a terminal makes of it."""
    folder, env = place
    if shell == "fish":
        return _fish(line, folder, env)
    options = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(shell, [shell, *options], env | {"PS1": "> "})  # noqa: S606  # the shell itself
    try:
        _type(terminal, LOADED[shell] + "; echo read''y\n", "ready\r")
        # At the start of the line comes a command that shows its words.
        shown = _type(terminal, f"{line}\t\x01printf '<%s>' \x05; echo don''e\n", "done\r")
        return " ".join(re.findall(r"<([^<>]*)>", shown.rpartition("\n")[2]))
    finally:
        os.close(terminal)
        os.kill(child, 9)
        os.waitpid(child, 0)


def _type(terminal: int, keys: str, until: str) -> str:
    """Press *keys*; what is shown, up to *until*."""
    os.write(terminal, keys.encode())
    shown, deadline = "", time.monotonic() + 60
    while until not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    assert until in shown, shown
    return shown.partition(until)[0]


def _fish(line: str, folder: Path, env: dict[str, str]) -> str:
    """The line with fish's only answer; fish says by itself what it would put in."""
    found = completions_of_fish(line, folder, env)
    assert len(found) == 1, found
    return f"{line.rpartition(' ')[0]} {found[0]}"


def completions_of_fish(line: str, folder: Path, env: dict[str, str]) -> list[str]:
    script = f"llamahome completion fish | source; complete -C {shlex.quote(line)}"
    done = subprocess.run(
        [str(shutil.which("fish")), "--no-config", "-c", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [found.partition("\t")[0] for found in done.stdout.splitlines()]


COMPLETED: list[tuple[str, str]] = [
    ("llamahome expl", "llamahome explain"),
    ("llamahome run winter", "llamahome run winter.toml"),
    ("llamahome run quicks", "llamahome run quickstart"),
    ("llamahome runs show desk-2", "llamahome runs show desk-2"),
    ("llamahome run --resume @l", "llamahome run --resume @last"),
    ("llamahome show monitor zep", "llamahome show monitor zephyr"),
    ("llamahome config get batch.over", "llamahome config get batch.overlong"),
    ("llamahome config set train.precision bf", "llamahome config set train.precision bf16"),
    ("llamahome plan --set batch.overl", "llamahome plan --set batch.overlong="),
    (
        "llamahome run winter.toml --set batch.overlong=spl",
        "llamahome run winter.toml --set batch.overlong=split",
    ),
    (
        "llamahome run winter.toml --set monitor.0.mood=st",
        "llamahome run winter.toml --set monitor.0.mood=stormy",
    ),
    (
        "llamahome run winter.toml --set model.from=lib",
        "llamahome run winter.toml --set model.from=library-bot",
    ),
    ("llamahome generate lib", "llamahome generate library-bot"),
    ("llamahome -p no:wea", "llamahome -p no:weather"),
    ("llamahome plugins check wea", "llamahome plugins check weather"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "whole"), COMPLETED, ids=[line.partition(" ")[2] for line, _ in COMPLETED]
)
def test_tab_completes_the_word(
    shell: str, line: str, whole: str, place: tuple[Path, dict[str, str]]
) -> None:
    assert pressed(shell, line, place) == whole


def test_a_shell_is_told_nothing_where_something_is_wrong(
    shell: str, place: tuple[Path, dict[str, str]]
) -> None:
    """Settings that cannot be read, and a recipe that is none: no message, and still the names."""
    folder, _ = place
    (folder / ".config" / "llamahome.toml").write_text("[train\n")
    (folder / "winter.toml").write_text("[[[\n")

    assert pressed(shell, "llamahome run --resume @l", place) == "llamahome run --resume @last"
    line = "llamahome run winter.toml --set batch.overlong=spl"
    assert pressed(shell, line, place) == f"{line}it"


# --- What the command answers --------------------------------------------------------------------


def asked(line: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    question = {"_LLAMAHOME_COMPLETE": "bash_complete", "COMP_LINE": line, "COMP_WORDBREAKS": ""}
    return subprocess.run(
        [sys.executable, "-m", "llamahome_core"],
        cwd=folder,
        env=env | question,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_wrong_line_has_no_answer_and_no_message(place: tuple[Path, dict[str, str]]) -> None:
    folder, env = place
    for line in ("llamahome nosuch ", "llamahome show nosuch ", "llamahome explain Q"):
        done = asked(line, folder, env)
        assert done.stdout == ""
        assert done.stderr in ("", "a plugin that prints where it must not\n")


def test_all_names_of_a_kind_are_offered(place: tuple[Path, dict[str, str]]) -> None:
    """Each with how it ends: a folder and a key go on."""
    folder, env = place

    def offered(line: str) -> set[str]:
        return set(asked(line, folder, env).stdout.split())

    assert {"plain,@last", "plain,desk-1", "plain,desk-2"} == offered("llamahome runs logs ")
    assert {"plain,quickstart", "plain,winter.toml", "open,runs/"} <= offered("llamahome plan ")
    assert "plain,winter.txt" not in offered("llamahome plan w")
    assert {"plain,hub", "plain,pypi"} <= offered("llamahome show model-source ")
    assert {"open,model.hub.token=", "open,schedule.warmup="} <= offered("llamahome plan --set ")
    assert {"plain,C101", "plain,P201"} <= offered("llamahome explain ")
    assert {"plain,recipe", "plain,settings", "plain,models"} == offered("llamahome schema ")
    assert {"plain,true", "plain,false"} == offered("llamahome config set publish.enabled ")
    assert {"plain,bash", "plain,zsh", "plain,fish"} == offered("llamahome completion ")


def test_an_answer_imports_no_torch(place: tuple[Path, dict[str, str]]) -> None:
    folder, env = place
    code = (
        "import atexit, sys; atexit.register(lambda: open('modules', 'w').write("
        "'\\n'.join(sys.modules)))\nfrom llamahome_core.cli import program\nprogram()"
    )
    line = "llamahome run winter.toml --set "
    question = {"_LLAMAHOME_COMPLETE": "bash_complete", "COMP_LINE": line}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=env | question,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "open,train.steps=" in done.stdout
    modules = {name.partition(".")[0] for name in (folder / "modules").read_text().split()}
    assert not modules & {"torch", "transformers", "numpy", "peft", "rich", "structlog"}
