"""Settings say where a secret is; only what is built is given it, and nothing shows it."""

# ruff: noqa: S105, S106  # references, and a canary, are no passwords

from __future__ import annotations

import io
import json
import logging
import os
import sys
import tempfile
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import field, frozen

from llamahome_core import (
    Component,
    ConfigError,
    Context,
    Recipe,
    SecretError,
    hookimpl,
    secret,
    secrets,
)
from llamahome_core.config import describe, json_schema, render, show_origins, structure, to_json
from llamahome_core.secrets import (
    covering,
    read_secret,
    redact,
    redacted,
    references,
    remember,
    reveal,
)

CANARY = "canary-3f9d1c"


@frozen(kw_only=True)
class Account:
    """A table in a table."""

    password: str | None = secret()
    """Its password."""


@frozen(kw_only=True)
class Settings:
    """What a component might be told."""

    token: str | None = secret()
    """The token."""
    name: str = "x"
    account: Account = field(factory=Account)
    accounts: tuple[Account, ...] = ()
    named: dict[str, Account] = field(factory=dict)


# --- References


@pytest.mark.parametrize(
    "value", ["env:TOKEN", "env:_T1", "file:/run/secrets/x", "file:~/my token"]
)
def test_a_reference_is_a_value(value):
    found, problems = structure({"token": value}, Settings)

    assert not problems
    assert found is not None
    assert found.token == value
    assert value not in repr(found)


@pytest.mark.parametrize(
    "value", [CANARY, "", "env:", "env:A B", "file:x", "file:", "ENV:X", 7, [CANARY]]
)
def test_a_secret_that_is_written_down_is_refused_and_not_shown(value):
    """In a table in a table too."""
    found, problems = structure({"token": value, "named": {"a": {"password": value}}}, Settings)

    assert found is None
    assert [p.code for p in problems] == ["C104", "C104"]
    assert problems[0].message == "`token` is a secret: the settings say only where it is"
    assert problems[1].path == ("named", "a", "password")
    assert problems[0].fix == "write `env:NAME` or `file:/path`"
    assert CANARY not in render(problems, color=False)


def test_a_secret_may_be_left_out():
    for data in ({}, {"token": None}):
        assert structure(data, Settings) == (Settings(), [])


def test_a_secret_whose_name_does_not_say_so_is_its_authors_mistake():
    """What shows settings knows secrets by their names."""

    @frozen(kw_only=True)
    class Quiet:
        webhook: str | None = secret()

    with pytest.raises(TypeError, match="webhook is a secret: its name must say so"):
        structure({"webhook": "env:X"}, Quiet)


def test_the_form_is_documented():
    (token, *_) = describe(Settings)
    schema = json_schema(Settings)["properties"]["token"]

    assert (token.type, token.default, token.help) == (
        "`env:NAME` or `file:/path`",
        None,
        "The token.",
    )
    assert schema["type"] == "string"
    assert schema["pattern"].startswith("^(env:")


# --- What stands behind them


def test_every_secret_is_revealed_wherever_it_stands():
    account = Account(password="env:P")
    tables: dict[str, Any] = {"account": account, "accounts": (account,), "named": {"a": account}}
    settings = Settings(token="env:T", name="env:N", **tables)

    found = reveal(settings, lambda name: f"<{name}>")

    assert found.token == "<env:T>"
    assert found.name == "env:N"  # no secret: it means what it says
    assert found.account.password == found.accounts[0].password == "<env:P>"
    assert found.named["a"].password == "<env:P>"
    assert list(references(settings)) == ["env:T", "env:P", "env:P", "env:P"]
    assert settings.token == "env:T"


def test_settings_without_references_are_left_as_they_are():
    settings = Settings()

    assert reveal(settings, lambda _: pytest.fail("nothing to read")) is settings
    assert reveal(3, lambda _: pytest.fail("nothing to read")) == 3


def test_a_secret_does_not_show_itself():
    found = reveal(Settings(token="env:T"), lambda _: CANARY)

    assert found.token == CANARY
    assert CANARY not in repr(found) + repr(found.token) + repr([found.token])
    assert json.dumps(found.token) == f'"{CANARY}"'


def test_a_file_is_read_without_the_line_end(tmp_path, monkeypatch):
    (tmp_path / "token").write_text(f"{CANARY}\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert read_secret(f"file:{tmp_path / 'token'}", os.environ.get) == CANARY
    assert read_secret("file:~/token", os.environ.get) == CANARY


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b" \n", "the file is empty"), (b"\xff\xfe", "it is no text")],
)
def test_a_file_that_holds_none_is_told(tmp_path, content, words):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SecretError, match=words) as caught:
        read_secret(f"file:{path}", os.environ.get)

    assert caught.value.__cause__ is None
    assert caught.value.exit_code == 3


def test_a_variable_may_stand_in_the_env_file(workspace, make_kernel, tables):
    """The environment is stronger; a kernel's own variables are its environment."""
    (workspace.root / ".env").write_text("A=of the file\nB='of the file'\n")
    context = make_kernel(environ={"A": "of the kernel"}).context()

    assert context.variable("A") == "of the kernel"
    assert context.variable("B") == "of the file"
    assert context.variable("C") is None
    assert "of the kernel" not in repr(context)
    with pytest.raises(SecretError, match="C is not set") as caught:
        read_secret("env:C", context.variable)
    assert "export C=" in (caught.value.hint or "")
    assert tables["name"] == "small"


def test_a_context_by_hand_reads_the_environment(workspace, monkeypatch):
    monkeypatch.setenv("LH_TEST_TOKEN", CANARY)
    recipe = Recipe(name="x", model="m")
    catalog: Any = None

    context = Context(recipe=recipe, workspace=workspace, catalog=catalog)

    assert context.variable("LH_TEST_TOKEN") == CANARY


# --- Canaries in every channel

MONITOR = f"""
import os, pathlib, subprocess, sys
from attrs import frozen
from llamahome_core import secret

@frozen(kw_only=True)
class Config:
    token: str | None = secret()

class Watches:
    def __init__(self, config, context):
        self.config = config
        command = pathlib.Path("/proc/self/cmdline").read_bytes().decode()
        variables = pathlib.Path("/proc/self/environ").read_bytes().decode()
        seen = config.token == {CANARY!r}, {CANARY!r} in command + variables
        print(seen, config, repr(config.token), flush=True)
    def handle(self, event):
        raise RuntimeError(f"cannot send with {{self.config!r}}")
    def close(self):
        pass
"""


class Plugin:
    """An optimizer and a monitor that need a token."""

    @hookimpl
    def llamahome_optimizers(self):
        yield Component(name="paid", summary="x", config=Settings, factory="lh_fakes:build")

    @hookimpl
    def llamahome_monitors(self):
        config = __import__("lh_watches").Config
        yield Component(name="watches", summary="x", config=config, factory="lh_watches:Watches")


def holds(folder, text):
    """The files below *folder* that hold *text*."""
    return [p for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


@pytest.fixture
def kernel_of(make_kernel, tmp_path, monkeypatch):
    (tmp_path / "lh_watches.py").write_text(MONITOR)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lh_watches", raising=False)
    yield lambda **more: make_kernel(Plugin(), **more)
    sys.modules.pop("lh_watches", None)


@pytest.fixture
def channel(request, workspace, tmp_path):
    """A reference, and the environment, once the canary is where it leads to."""
    if request.param == "file":
        (tmp_path / "token").write_text(CANARY)
        return f"file:{tmp_path / 'token'}", {}
    if request.param == "dotenv":
        (workspace.root / ".env").write_text(f"LH_TOKEN={CANARY}\n")
        return "env:LH_TOKEN", {}
    return "env:LH_TOKEN", {"LH_TOKEN": CANARY}


@pytest.fixture
def work(fakes):
    """A stage that says all it knows, and fails; what it found is in the list."""
    found: list[bool] = []

    def run(context):
        config, _ = context.build("optimizer")
        found.append(config.token == CANARY)
        logging.getLogger("lh").warning("built with %r and %s", config.token, config)
        context.warn(f"built with {config!r}", recipe=repr(context.recipe))
        raise RuntimeError(f"cannot go on with {config!r}")

    fakes.work = run
    return found


@pytest.mark.parametrize("channel", ["environment", "dotenv", "file"], indirect=True)
def test_a_run_is_given_its_secrets_and_keeps_none(channel, work, kernel_of, tables, capfd):
    """Neither in its folder, its events, its logs nor its errors; a resumed run has them again."""
    reference, environ = channel
    tables["optimizer"] = {"use": "paid", "token": reference}
    tables["monitor"] = [{"use": "watches", "token": reference}]
    kernel = kernel_of(environ=environ)

    outcomes = [kernel.run(kernel.plan(tables)), kernel.resume("@last")]

    assert [outcome.status for outcome in outcomes] == ["failed", "failed"]
    assert work == [True, True]
    (directory,) = kernel.workspace.runs.iterdir()
    watched = (directory / "log" / "monitor-watches.log").read_text()
    assert watched.count("(True, False)") == 2
    assert "cannot send with" in watched
    assert holds(kernel.workspace.runs, CANARY) == []
    assert len(holds(kernel.workspace.runs, reference)) >= 2  # resolved.toml, origins.json
    out, err = capfd.readouterr()
    assert CANARY not in out + err + repr(outcomes) + repr(kernel.plan(tables))


def test_a_secret_that_is_not_there_fails_what_needs_it_and_no_more(
    kernel_of, fakes, tables, workspace
):
    """A monitor never stops a run; an optimizer is needed."""
    tables["monitor"] = [{"use": "watches", "token": "env:LH_NOWHERE"}]
    kernel = kernel_of()

    assert kernel.run(kernel.plan(tables)).status == "finished"
    tables["optimizer"] = {"use": "paid", "token": "env:LH_NOWHERE"}
    fakes.work = lambda context: context.build("optimizer")
    outcome = kernel.run(kernel.plan(tables))

    assert isinstance(outcome.error, SecretError)
    assert outcome.error.code == "C112"
    logs = "".join(p.read_text() for p in workspace.runs.glob("*/log/run.log"))
    assert "monitor 'watches' of plugin 'plugin' (embedded) could not be started: " in logs
    assert "the secret env:LH_NOWHERE is not there" in logs


FORMS = {
    "toml": '[optimizer]\nuse = "paid"\ntoken = """\nCANARY"""\nnam_ = 1\n',
    "yaml": "optimizer:\n  use: paid\n  token: CANARY\n  nam_: 1\n",
    "yml": "optimizer:\n  use: paid\n  token:\n    CANARY\n  nam_: 1\n",
    "json": '{"optimizer": {"use": "paid",\n"token":\n"CANARY",\n"nam_": 1}}',
}


def refused(kernel, recipe, *assignments):
    """Runs what must be refused because of the canary in it; no word of that may show it."""
    with pytest.raises(ConfigError) as caught:
        kernel.run(recipe, assignments=assignments)
    error, problems = caught.value, caught.value.problems
    assert any("token` is a secret" in problem.message for problem in problems)
    shown = [render(problems, color=False), json.dumps(to_json(problems)), str(error), repr(error)]
    shown.append(repr(problems))
    shown += [row.text + row.origin for row in show_origins(kernel.settings(recipe, assignments))]
    assert CANARY not in "".join(shown)
    assert not kernel.workspace.runs.exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_a_recipe_is_refused_before_anything_is_written(kernel_of, tmp_path, form):
    """Also where another mistake shows the line beside it."""
    path = tmp_path / f"recipe.{form}"
    path.write_text(FORMS[form].replace("CANARY", CANARY))

    refused(kernel_of(), path)


@pytest.mark.parametrize("channel", ["assignment", "parameters", "variable", "dotenv", "settings"])
def test_a_secret_in_a_layer_is_refused_too(kernel_of, tables, workspace, channel):
    tables["optimizer"] = {"use": "paid"}
    line, environ, assignments = f"LLAMAHOME_OPTIMIZER__TOKEN={CANARY}", {}, []
    if channel == "assignment":
        assignments = [f"optimizer.token={CANARY}"]
    elif channel == "parameters":
        tables["optimizer"]["token"] = CANARY
    elif channel == "variable":
        environ = dict([line.split("=")])
    elif channel == "dotenv":
        (workspace.root / ".env").write_text(f"{line}\nLLAMAHOME_TRAIN__STPES=3\n")
    else:
        text = FORMS["toml"].replace("CANARY", CANARY)
        (workspace.config / "llamahome.toml").write_text(text)

    refused(kernel_of(environ=environ), tables, *assignments)


# --- Text that leaves the program


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch):
    """What one test reveals is no secret of the next."""
    monkeypatch.setattr(secrets, "_revealed_here", set())
    secrets._known.cache_clear()
    yield
    secrets._known.cache_clear()


def test_a_secret_that_was_revealed_is_covered_in_any_text():
    """In a text, in the texts of a plain value, and in what a stream is given."""
    remember(CANARY)

    assert redact(f"key {CANARY}!") == "key ••••••••!"
    assert redacted({"a": [CANARY, 1, {"b": (CANARY,)}], "c": None}) == {
        "a": ["••••••••", 1, {"b": ["••••••••"]}],
        "c": None,
    }
    below = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    above = covering(below)
    print("told", CANARY, file=above, flush=True)
    below.seek(0)
    assert below.read() == "told ••••••••\n"


def test_a_secret_that_another_thread_reveals_while_they_are_looked_up_is_covered(monkeypatch):
    def order(found: set[str], **more: Any) -> list[str]:
        known = sorted(found, **more)
        remember("of-another-run")
        return known

    monkeypatch.setattr(secrets, "sorted", order, raising=False)
    redact("any text")

    assert redact("key of-another-run") == "key ••••••••"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pa55@host/x", "https://••••••••@host/x"),
        ("https://t0ken@host", "https://••••••••@host"),
        ("see s3://a:b@bucket, or not", "see s3://••••••••@bucket, or not"),
        ("ssh://git@host", "ssh://git@host"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_a_password_in_an_address_is_covered(text, shown):
    assert redact(text) == shown


def test_a_short_secret_is_not_looked_for():
    """It would be found in every text."""
    remember("abc")

    assert redact("abcdef") == "abcdef"


def test_a_crash_report_holds_no_secret(tmp_path, monkeypatch, capsys):
    """Neither the command's nor the run's."""
    from llamahome_core.cli.endings import crash
    from llamahome_core.cli.main import State
    from llamahome_core.run import end_fields
    from llamahome_core.values import Outcome

    remember(CANARY)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    error = RuntimeError(f"no such key {CANARY}")

    assert crash(error, State(verbosity=2)) == 70
    plan = SimpleNamespace(catalog=SimpleNamespace(plugins=SimpleNamespace(all=[])))
    run: Any = SimpleNamespace(directory=tmp_path, name="x-1", plan=plan)
    end_fields(run, Outcome(status="failed", error=error), 1.0)

    reports = [path.read_text() for path in tmp_path.rglob("*.txt")]
    assert len(reports) == 2
    assert CANARY not in "".join([*reports, *capsys.readouterr()])
    assert all("no such key ••••" in text for text in reports)
