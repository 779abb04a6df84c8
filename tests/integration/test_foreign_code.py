"""Plugins that do what no plugin should, met by the command as a real process."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LOUD = """
    import os, subprocess
    from attrs import field, frozen
    from llamahome_core import Check, Component, Stage, hookimpl

    def shout(when):
        print("python", when)
        os.write(1, f"descriptor {when}\\n".encode())
        subprocess.run(["echo", "child", when])

    def when(_, __, ___):
        shout("validating")

    @frozen(kw_only=True)
    class Settings:
        path: str = field(default="rows.jsonl", validator=when)
        "A file."

    shout("importing")

    @hookimpl
    def llamahome_data_sources():
        shout("declaring")
        yield Component(name="loud", summary="", config=Settings, factory="lh_loud_parts:Loud")

    @hookimpl
    def llamahome_checks():
        yield Check(name="loud", summary="", run="lh_loud_parts:check")

    @hookimpl
    def llamahome_stages():
        yield Stage(
            name="noise", summary="", run="lh_loud_parts:stage", plan="lh_loud_parts:plan"
        )
"""
PARTS = """
from lh_loud import shout
shout("loading")
class Loud: ...
def check(context):
    shout("checking")
    yield "ok", "loud"
def plan(context):
    shout("planning")
    return {"caches": __import__("os").environ["HF_HOME"]}
def stage(context):
    shout("working")
"""


@pytest.fixture
def work(tiny_model: Path, tmp_path: Path, recipe_text: str) -> Path:
    """A workspace with a recipe of one step."""
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "llamahome.toml").write_text("")
    rows = [{"text": f"A short text about the number {n}."} for n in range(24)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = recipe_text.replace("./model", str(tiny_model)).replace("steps = 40", "steps = 1")
    (tmp_path / "recipe.toml").write_text(f'{text}[objective]\nuse = "pretrain"\n')
    return tmp_path


@pytest.fixture
def loud(work: Path, install) -> dict[str, str]:
    """Variables with which a plugin is found that prints whenever it is asked."""
    (work / "site").mkdir()
    (work / "site" / "lh_loud_parts.py").write_text(PARTS)
    found: dict[str, str] = install(work / "site", "loud", LOUD)
    return found


QUIET = [
    ["plugins"],
    ["plugins", "check", "loud"],
    ["show", "data-source", "loud"],
    ["check", "recipe.toml", "--set", "data.0.use=loud"],
    ["plan", "recipe.toml"],
    ["doctor"],
    ["schema"],
]


@pytest.mark.parametrize("words", QUIET, ids=" ".join)
def test_a_plugin_that_prints_spoils_no_json(
    words: list[str], work: Path, llamahome, loud: dict[str, str]
) -> None:
    """Neither Python's print, nor what writes to descriptor 1, nor a child process."""
    option = [] if words == ["schema"] else ["--json"]

    done = llamahome(*words, *option, cwd=work, env=loud)

    assert isinstance(json.loads(done.stdout), dict)
    assert done.returncode == 0, done.stderr
    for who in ("python", "descriptor", "child"):
        assert f"{who} importing\n" in done.stderr


def test_the_events_of_a_run_are_alone_on_stdout(work: Path, llamahome, loud) -> None:
    """Although stages print while the run goes on."""
    done = llamahome("run", "recipe.toml", "--json", cwd=work, env=loud)
    plain = llamahome("run", "recipe.toml", cwd=work, env=loud)

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, events[-1]
    assert (events[0]["t"], events[-1]["status"]) == ("run", "finished")
    assert (plain.returncode, plain.stdout) == (0, "bot:v2\n")
    for who in ("python", "descriptor", "child"):
        assert f"{who} working\n" in done.stderr


def test_what_loads_libraries_keeps_their_caches_in_the_workspace(
    work: Path, llamahome, loud
) -> None:
    """Not only a run does; what the user has set stays."""
    kept = {k: v for k, v in loud.items() if k != "HF_HOME"}

    done = llamahome("plan", "recipe.toml", "--json", cwd=work, env=kept)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    own = llamahome("plan", "recipe.toml", "--json", cwd=work, env=kept | {"HF_HOME": "/mine"})

    assert found["stages"]["noise"]["caches"] == str(work / ".cache/models/huggingface")
    assert json.loads(own.stdout)["stages"]["noise"]["caches"] == "/mine"


LEAVES = """
    from attrs import field, frozen
    from llamahome_core import Component, Stage, hookimpl

    def leave(*_):
        raise SystemExit(0)

    @frozen(kw_only=True)
    class Settings:
        path: str = field(default="rows.jsonl", validator=leave)

    @hookimpl
    def llamahome_data_sources():
        yield Component(name="leaver", summary="", config=Settings, factory="lh_leaves:leave")

    @hookimpl
    def llamahome_stages():
        yield Stage(name="leave", summary="", run="lh_leaves:leave", plan="lh_leaves:leave")
"""


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "recipe.toml"],
        ["plan", "recipe.toml", "--set", "data.0.use=leaver"],
        ["check", "recipe.toml", "--set", "data.0.use=leaver"],
        ["run", "recipe.toml", "--set", "data.0.use=leaver"],
    ],
    ids=" ".join,
)
def test_a_plugin_that_ends_the_program_is_no_success(
    words: list[str], work: Path, llamahome, install
) -> None:
    """`SystemExit(0)` from the middle of the work: the message names the line."""
    done = llamahome(*words, cwd=work, env=install(work / "site", "leaves", LEAVES))

    assert (done.returncode, done.stdout) == (1, "")
    assert "error[P201]: " in done.stderr
    assert "lh_leaves.py:6 ended the program: SystemExit(0)" in done.stderr


@pytest.mark.parametrize("error", ["SystemExit(0)", "GeneratorExit"])
def test_whatever_a_plugin_raises_at_import_it_alone_is_broken(
    error: str, work: Path, llamahome, install
) -> None:
    env = install(work / "site", "bad", f"raise {error}")

    done = llamahome("plugins", "--json", cwd=work, env=env)

    found = {p["name"]: p["status"] for p in json.loads(done.stdout)["plugins"]}
    assert (done.returncode, found.pop("bad")) == (0, "broken")
    assert set(found.values()) == {"active"}


def test_ctrl_c_while_a_plugin_is_imported_is_the_users(work: Path, start, install) -> None:
    code = """
        import os, time
        from pathlib import Path
        Path("importing").touch()
        time.sleep(60)
    """
    started = start("plugins", cwd=work, env=install(work / "site", "slow", code))
    while not (work / "importing").exists():
        assert started.process.poll() is None
        time.sleep(0.01)

    started.process.send_signal(2)

    assert started.end()[:2] == (130, "")


FLOODS = """
    import os, signal
    from llamahome_core import Stage, hookimpl

    @hookimpl
    def llamahome_stages():
        yield Stage(name="flood", summary="", run="lh_floods:flood")

    def flood(context):
        fields = dict.fromkeys(("loss", "lr", "grad_norm", "tok_s", "step_s", "eta_s"), 1.25)
        for step in range(45_000):
            context.events.emit("train", step=step, steps=45_000, pad="x" * 160, **fields)
        os.kill(os.getpid(), signal.SIGTERM)
        context.stop.check()
"""


def test_a_stop_after_many_events_ends_quickly(work: Path, llamahome, install) -> None:
    """17 MB: they are written once and read once by each monitor, whatever else is done."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = llamahome("run", "recipe.toml", cwd=work, env=install(work / "site", "floods", FLOODS))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    events = work / "runs/bot-1/events.jsonl"
    assert done.returncode == 143, done.stderr
    assert events.stat().st_size > 17e6
    assert "llamahome run --resume bot-1" in done.stderr
    ended = json.loads(events.read_bytes().splitlines()[-1])
    since = datetime.now(UTC) - datetime.fromisoformat(ended["time"])
    assert (ended["t"], since.total_seconds() < 60) == ("end", True)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20


def test_a_profile_outside_of_the_settings_is_refused(work: Path, llamahome, environment) -> None:
    (work / "outside.toml").write_text("[train]\nsteps = 2\n")

    done = llamahome("check", cwd=work, env=environment(LLAMAHOME_ENV="../outside"))

    assert (done.returncode, done.stdout) == (2, "")
    assert "LLAMAHOME_ENV must be a plain name, got '../outside'" in done.stderr


def test_a_switch_that_is_neither_on_nor_off_is_refused(work: Path, llamahome, environment) -> None:
    done = llamahome("plugins", cwd=work, env=environment(LLAMAHOME_STRICT="maybe"))

    assert (done.returncode, done.stdout) == (2, "")
    assert "LLAMAHOME_STRICT must be true or false, got 'maybe'" in done.stderr
    assert "write 1 or true, or 0 or false" in done.stderr


def test_doctor_tells_of_a_workspace_that_is_no_folder(
    tmp_path: Path, llamahome, environment
) -> None:
    (tmp_path / "file").write_text("")
    for place in ("file", "file/home"):
        env = environment(LLAMAHOME_HOME=str(tmp_path / place))
        done = llamahome("doctor", "--json", cwd=tmp_path, env=env)

        findings = json.loads(done.stdout)["findings"]
        assert done.returncode == 3, done.stderr
        (found,) = (f for f in findings if f["check"] == "workspace")
        assert (found["status"], str(tmp_path / "file") in found["message"]) == ("problem", True)


ODD = {
    "a b.toml": (0, "ok"),
    "./-dash.toml": (0, "ok"),
    "RECIPE.TOML": (0, "ok"),
    "plain": (2, "the format of plain is not known"),
    "folder.toml": (2, "folder.toml is a folder, not a file"),
    "folder": (2, "folder is a folder, not a file"),
    "": (4, "the recipe has no name"),
    " ": (4, "the recipe has no name"),
}


@pytest.mark.parametrize("name", ODD)
def test_recipes_with_odd_names_work_or_say_why_not(name: str, work: Path, llamahome) -> None:
    code, words = ODD[name]
    if name.startswith("folder"):
        (work / name).mkdir()
    elif name.strip():
        (work / name).write_bytes((work / "recipe.toml").read_bytes())

    done: subprocess.CompletedProcess[str] = llamahome("check", "--", name, cwd=work)

    assert done.returncode == code
    assert words in done.stdout + done.stderr
