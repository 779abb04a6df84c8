"""Packages with a fault each, installed by pip: the command lives, and names who is at fault."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import subprocess
import sys
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PACKAGES = runpy.run_path(str(Path(__file__).with_name("hostile_packages.py")))
FAULTS, MONITORS = _PACKAGES["FAULTS"], _PACKAGES["MONITORS"]
OURS = tuple(
    e.name for e in entry_points(group="llamahome") if e.dist and e.dist.name == "llamahome"
)


class Hostile:
    """A virtual environment with all of the packages, that sees LlamaHome's environment."""

    def __init__(self, folder: Path) -> None:
        wheels = folder / "wheels"
        wheels.mkdir()
        make = _PACKAGES["wheel"]
        paths = [make(wheels, name, code) for name, (code, *_) in FAULTS.items()]
        watching = _PACKAGES["monitors"]()
        paths.append(make(wheels, "lh-monitors", watching, distribution="lh-monitors"))
        twin = _PACKAGES["component"]("twin")
        paths += [make(wheels, "twin", twin, distribution=f"lh-twin-{x}") for x in "ab"]
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.python = folder / "venv" / "bin" / "python"
        found = subprocess.run(
            [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        )
        below = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in sorted(below))
        Path(found.stdout.strip(), "llamahome.pth").write_text(lines)
        options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", "-q"]
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.python, "install", *options, *paths],
            check=True,
        )


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """Made once; pip does what it does for a user."""
    return Hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def work(tiny_model: Path, tmp_path: Path, recipe_text: str) -> Path:
    """A workspace with a recipe of three steps."""
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "llamahome.toml").write_text("")
    rows = [{"text": f"A short text about the number {n}."} for n in range(24)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = recipe_text.replace("./model", str(tiny_model)).replace("steps = 40", "steps = 3")
    (tmp_path / "recipe.toml").write_text(f'{text}[objective]\nuse = "pretrain"\n')
    return tmp_path


@pytest.fixture
def command(hostile: Hostile, work: Path, environment: Any) -> Any:
    """Runs the command of the environment, with LlamaHome's plugins and those that are named."""

    def run(*words: str, only: tuple[str, ...] | None = (), seconds: int = 1, **more: str) -> Any:
        allowed = {} if only is None else {"LLAMAHOME_PLUGINS": ",".join((*OURS, *only))}
        return subprocess.run(
            [hostile.python, "-m", "llamahome_core", *words],
            cwd=work,
            env=environment(LLAMAHOME_TRIAL=str(seconds), **allowed, **more),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in OURS])
def test_a_faulty_plugin_ends_no_command_and_is_named(name: str, command: Any) -> None:
    """Help, the list, and a recipe that does not need it; `plugins check` says why."""
    _, status, words, why = FAULTS[name]

    shown, checked = command("--help", only=(name,)), command("check", "recipe.toml", only=(name,))
    listed = command("plugins", "--json", only=(name,))
    examined = command("plugins", "check", name, only=(name,), seconds=2)

    for done in (shown, checked, listed):
        assert done.returncode == 0, done.stderr
    assert "Commands:" in shown.stdout
    plugins = json.loads(listed.stdout)["plugins"]
    (found,) = (p for p in plugins if p["origin"] == f"lh-{name} 1.0")
    assert (found["name"], found["status"]) == (name, status)
    offered = "; ".join(f"{o['kind']} {o['name']}" for o in found["offers"])
    assert words in (found["error"] or offered)
    assert {p["status"] for p in plugins if p["origin"].startswith("llamahome ")} == {"active"}
    assert examined.returncode == 1, examined.stdout
    assert f"{name}  " in examined.stdout
    assert f"lh-{name} 1.0" in examined.stdout
    assert why in examined.stdout
    if words.startswith("it "):
        for done in (shown, checked, listed):
            assert done.stderr.count(f"plugin '{name}' (lh-{name} 1.0) is set aside: it ") == 1


def test_a_run_that_needs_none_of_them_goes_through_with_all_of_them(
    command: Any, work: Path
) -> None:
    """Installed together, nothing blocked: the version is published, as without them."""
    alone = command("run", "recipe.toml")
    beside = command("run", "recipe.toml", only=None)

    assert (alone.returncode, alone.stdout) == (0, "bot:v1\n"), alone.stderr
    assert (beside.returncode, beside.stdout) == (0, "bot:v2\n"), beside.stderr
    assert weights(work, 1) == weights(work, 2)


def test_of_two_with_one_name_the_first_distribution_is_kept(command: Any) -> None:
    """And one of LlamaHome's own name never takes its place, although it would end the process."""
    listed = command("plugins", only=("twin",))

    assert listed.returncode == 0, listed.stderr
    rows = {tuple(line.split()[:4]) for line in listed.stdout.splitlines()}
    assert ("twin", "active", "lh-twin-a", "1.0") in rows
    assert ("twin", "shadowed", "lh-twin-b", "1.0") in rows
    assert ("training", "shadowed", "lh-training", "1.0") in rows


def test_bad_monitors_change_no_bit_of_the_weights(command: Any, work: Path) -> None:
    """The run finishes beside all of them; those that failed are named with what they came with.

    The others go on: what they reseed, print and change is their own process's.
    """
    tables = ", ".join(f'{{use = "lh-monitors:{name}"}}' for name in MONITORS)
    alone = command("run", "recipe.toml")
    assert alone.returncode == 0, alone.stderr

    words = ["--set", f"monitor=[{tables}]"]
    done = command("run", "recipe.toml", *words, only=("lh-monitors",))

    assert (done.returncode, done.stdout) == (0, "bot:v2\n"), done.stderr
    assert weights(work, 1) == weights(work, 2)
    log = work / "runs" / "bot-2" / "log"
    events = (work / "runs" / "bot-2" / "events.jsonl").read_text()  # those that died on the way
    failed = set()
    for line in [*events.splitlines(), *(log / "run.log").read_text().splitlines()]:
        found = re.search(r"monitor 'lh-monitors:(\w+)' of plugin 'lh-monitors' (.*)", line)
        if found:
            assert found[2].startswith("(lh-monitors 1.0) ")
            failed.add(found[1])
    assert failed == {"raise", "hang", "fill", "die", "deaf"}
    text = (log / "monitor-lh-monitors:raise.log").read_text()
    assert "monitor 'lh-monitors:raise' of plugin 'lh-monitors' (lh-monitors 1.0) failed" in text


@pytest.mark.parametrize("name", ["reseed", "fork"])
def test_a_bad_monitor_alone_changes_no_bit_either(name: str, command: Any, work: Path) -> None:
    """Neither what reseeds every random generator, nor what copies itself."""
    for words in ([], ["--set", f'monitor=[{{use="lh-monitors:{name}"}}]']):
        done = command("run", "recipe.toml", *words, only=("lh-monitors",))
        assert done.returncode == 0, done.stderr

    assert weights(work, 1) == weights(work, 2)


def weights(work: Path, number: int) -> str:
    """A hash over all weights of a version."""
    folder = work / "data" / "models" / "bot" / f"v{number}"
    found = sorted(folder.rglob("*.safetensors"))
    assert found
    return hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest()
