"""Settings of a plugin's command: where they stand, how strict they are, who shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from attrs import evolve, field, frozen, validators

from llamahome_core import (
    Command,
    Kernel,
    PluginError,
    command_kernel,
    command_settings,
    hookimpl,
    secret,
)
from llamahome_core.discovery import Policy
from llamahome_core.schema import settings_schema


@frozen(kw_only=True)
class Greeting:
    """Settings of the command ``greet``."""

    words: str = "Good morning"
    """What is said."""
    times: int = field(default=1, validator=[validators.gt(0), validators.le(9)])
    """How often."""
    book: Path | None = None
    """Where it is written down."""
    token: str | None = secret()
    """Who says it."""


@frozen(kw_only=True)
class Needy:
    """Settings of a command that cannot do without."""

    words: str
    """What is said."""
    book: Path | None = None
    """Nowhere."""
    token: str | None = secret()
    """Nobody."""


def greet(name: str) -> Any:
    @click.group(name=name, invoke_without_command=True)
    @click.pass_context
    def command(context: click.Context) -> None:
        context.obj = "something of its own"
        if context.invoked_subcommand is None:
            _say(context)

    @command.command()
    @click.pass_context
    def twice(context: click.Context) -> None:
        _say(context)
        _say(context)

    return command


def _say(context: click.Context) -> None:
    settings = command_settings(context)
    assert command_kernel(context).workspace.root.is_dir()
    click.echo(f"{settings.words} {settings.book} {settings.token == 'xyz'}")  # noqa: S105  # not one


hello, needy = greet("hello"), greet("needy")


class Greeter:
    """A plugin with three commands; one has no settings."""

    @hookimpl
    def llamahome_commands(self) -> Any:
        for name, config in (("hello", Greeting), ("needy", Needy)):
            path = f"{__name__}:{name}"
            yield Command(name=name, summary=f"Say {name}.", command=path, config=config)
        yield Command(name="bare", summary="Say nothing.", command=f"{__name__}:hello")


@pytest.fixture
def blocking(kernel) -> Any:
    """A kernel without the commands, in which a plugin is blocked."""
    return Kernel(
        [evolve(p, status="found") for p in kernel.plugins.all],
        policy=Policy(blocked=frozenset({"quickstart"})),
        workspace=kernel.workspace,
        environ={},
        user_file=kernel.user_file,
    )


@pytest.fixture
def over(over, kernel) -> Any:
    """The kernel with the commands."""
    return over(kernel, Greeter())


@pytest.fixture
def settings(kernel) -> Path:
    path: Path = kernel.workspace.config / "llamahome.toml"
    return path


def test_a_command_gets_its_settings_from_every_layer(cli, over, settings, tmp_path) -> None:
    """Defaults, the workspace's file, `.env` and the environment; in subcommands too."""
    assert cli("hello", over=over).out == "Good morning None False\n"
    settings.write_text('[command.hello]\nwords = "Hi"\nbook = "a.txt"\ntoken = "env:WHO"\n')
    (over.workspace.root / ".env").write_text("WHO=xyz\n")

    assert cli("hello", over=over).out == f"Hi {settings.parent / 'a.txt'} True\n"
    (over.workspace.root / ".env").write_text("WHO=xyz\nLLAMAHOME_COMMAND__HELLO__WORDS=Ho\n")
    assert cli("hello", "twice", over=over).out == f"Ho {settings.parent / 'a.txt'} True\n" * 2
    assert tmp_path in over.workspace.root.parents


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[command.hello]\nwrds = 'a'", "C101", "did you mean `words`?"),
        ("[command.hello]\ntimes = '3'", "C102", "llamahome.toml:2:9"),
        ("[command.hello]\ntimes = 10", "C104", "must be at most 9"),
        ("[command.hello]\ntoken = 'xyz'", "C1", "env:NAME"),
        ("[command]\nhello = 3", "C102", "`command.hello`"),
        ("[command.needy]", "C103", "`words` is missing in [command.needy]"),
        ("[command.bare]\nwords = 'a'", "C101", "unknown key `words` in [command.bare]"),
        ("[command.helo]", "C106", "did you mean `hello`?"),
        ("[commands.hello]", "C101", "did you mean `command`?"),
    ],
)
def test_wrong_settings_of_a_command_are_refused(cli, over, settings, text, code, words) -> None:
    """By check, and by each run: a typo that nobody sees would be a setting that does nothing."""
    settings.write_text(text)

    result = cli("check", over=over)

    assert result.code == 2
    assert f"error[{code}" in result.err
    assert words in result.err


def test_a_command_refuses_its_own_wrong_settings_and_no_others(cli, over, settings) -> None:
    """What is wrong elsewhere is no reason for it to stop."""
    settings.write_text("[train]\nstpes = 3\n[command.hello]\ntimes = 0\n")
    wrong = cli("hello", over=over)
    settings.write_text("[train]\nstpes = 3\n[command.needy]\nwords = 'Hm'\n")

    assert (wrong.code, wrong.out) == (2, "")
    assert "times" in wrong.err
    assert "stpes" not in wrong.err
    assert cli("hello", over=over).code == 0
    assert cli("needy", over=over).out.startswith("Hm")


def test_what_a_command_needs_is_asked_for_when_it_runs(cli, over) -> None:
    """Without a table nothing is wrong, until then."""
    assert cli("check", over=over).code == 0

    result = cli("needy", over=over)

    assert result.code == 2
    assert "`words` is missing" in result.err


def test_a_recipe_and_a_command_line_hold_no_settings_of_a_command(
    cli, over, recipe, tmp_path
) -> None:
    """They would do nothing there."""
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe | {"command": {"hello": {"words": "a"}}}))
    (tmp_path / "good.json").write_text(json.dumps(recipe))

    for words in ([str(path)], [str(tmp_path / "good.json"), "--set", "command.hello.words=a"]):
        result = cli("check", *words, over=over)
        assert result.code == 2
        assert "a recipe has no use for the settings of a command" in result.err


def test_settings_of_a_plugin_that_is_not_loaded_are_passed_over(
    cli, kernel, blocking, settings
) -> None:
    """It is blocked or broken: nobody knows what is right. `plugins` says what became of it."""
    settings.write_text("[command.hello]\nwords = 'a'\n")

    assert cli("check", over=blocking).code == 0
    assert cli("check", over=kernel).code == 2


def test_settings_of_commands_are_shown(cli, over) -> None:
    """With what they mean, as those of components are."""
    listed, shown = cli("show", "command", over=over), cli("show", "command", "hello", over=over)
    document = json.loads(cli("show", "command", "hello", "--json", over=over).out)
    everything = json.loads(cli("show", "--json", over=over).out)
    commands = json.loads(cli("show", "command", "--json", over=over).out)["commands"]
    wrong = cli("show", "command", "helo", over=over)

    assert "Say hello." in listed.out
    assert "times: a whole number = 1\n      How often.\n      greater than 0" in shown.out
    assert [s["name"] for s in document["settings"]] == ["words", "times", "book", "token"]
    assert everything["tables"]["command.hello"] == ["words", "times", "book", "token"]
    assert {c["name"] for c in commands} == {"hello", "needy", "bare", "generate", "new"}
    assert "It has no settings." in cli("show", "command", "bare", over=over).out
    assert wrong.code == 4
    assert "did you mean 'hello'?" in wrong.err


def test_settings_of_commands_can_be_read_and_changed(cli, over) -> None:
    """By `config`, which checks them."""
    assert cli("config", "get", "command.hello.times", over=over).out == "1\n"
    assert cli("config", "set", "command.hello.times", "4", over=over).code == 0
    assert cli("config", "get", "command.hello.times", over=over).out == "4\n"
    wrong = cli("config", "set", "command.hello.times", "40", over=over)
    assert wrong.code == 2
    assert "must be at most 9" in wrong.err
    assert "command.hello.words" in cli("config", "show", "--all", over=over).out
    assert "command  " not in cli("config", "show", "--all", over=over).out


def test_the_schema_knows_them(over) -> None:
    """An editor completes them."""
    schema = settings_schema(over.catalog)
    table = schema["properties"]["command"]

    assert table["properties"]["hello"]["properties"]["times"]["default"] == 1
    assert set(table["properties"]) == {"hello", "needy"}
    assert table["additionalProperties"] is False


def test_a_command_that_llamahome_did_not_start_is_told() -> None:
    """Such as one in a test of its author's."""
    with pytest.raises(PluginError, match="'hello' was not started by llamahome"):
        hello.main([], "hello", standalone_mode=False)
