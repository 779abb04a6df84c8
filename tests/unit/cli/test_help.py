"""Help that shows an example first, and answers to words that are nearly right."""

from __future__ import annotations

import shlex

import click
import pytest

from llamahome_core.cli.main import COMMANDS, llamahome
from llamahome_core.components import Ref


def commands(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    """A command and all below it."""
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            found += commands(inner, f"{path} {name}")
    return found


ALL = [
    pair
    for name, (_, path) in COMMANDS.items()
    for pair in commands(Ref(path).load(), f"llamahome {name}")
]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_has_a_docstring_and_help_for_each_option(
    path: str, command: click.Command
) -> None:
    assert command.help
    assert all(p.help for p in command.params if isinstance(p, click.Option)), path


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_example_parses(path: str, command: click.Command) -> None:
    """The words of each example are read without a mistake, down to the last subcommand."""
    for line, _ in getattr(command, "examples", ()):
        words = shlex.split(line.partition(" > ")[0])
        assert line.startswith(path.rsplit(" ", 1)[0])
        target, rest = command, words[len(path.split()) :]
        while isinstance(target, click.Group) and rest and rest[0] in target.commands:
            target, rest = target.commands[rest[0]], rest[1:]
        with target.make_context(target.name or "", rest, resilient_parsing=False):
            pass


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_in_the_list_and_the_help_of_the_command_agree(cli, name: str) -> None:
    listed, shown = cli("--help"), cli(name, "--help")

    assert (listed.code, shown.code, listed.err, shown.err) == (0, 0, "", "")
    assert COMMANDS[name][0] in listed.out
    assert f"Usage: llamahome {name}" in shown.out


def test_examples_come_before_options(cli) -> None:
    for words in (["--help"], ["run", "--help"], ["show", "--help"]):
        text = cli(*words).out
        assert 0 < text.index("Examples:") < text.index("Options:")


def test_the_help_tells_every_exit_code_and_the_variables(cli) -> None:
    text = cli("--help").out

    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "70 ", "129, 130, 143"):
        assert f"  {code}" in text
    assert "LLAMAHOME_HOME" in text


NEARLY = [
    (["rnu"], "Did you mean 'run'?"),
    (["runs", "lst"], "Did you mean 'list'?"),
    (["gennerate"], "Did you mean 'generate'?"),
    (["show", "optimizr"], "Did you mean 'optimizer'?"),
    (["show", "zzz"], "Choose from: model-source, data-source"),
    (["plan", "x.toml", "--jsno"], "--json"),
    (["run", "x.toml", "-v"], "fix: -v comes before the command: llamahome -v …"),
    (["run", "x.toml", "--strict"], "--strict comes before the command"),
    (["run"], "give a RECIPE, or --resume"),
    (["run", "x.toml", "--resume", "y"], "and not both"),
    (["run", "--resume", "y", "--set", "a=1"], "--set cannot change a of a run"),
    (["--color", "pink", "runs"], "pink"),
]


@pytest.mark.parametrize(("words", "answer"), NEARLY, ids=[" ".join(w) for w, _ in NEARLY])
def test_a_mistake_in_the_command_line_is_exit_2_with_a_remedy_on_stderr(
    cli, words: list[str], answer: str
) -> None:
    result = cli(*words)

    assert (result.code, result.out) == (2, "")
    assert answer in result.err


def test_an_unknown_plugin_after_p_is_an_error_and_not_a_silent_nothing(cli) -> None:
    for word in ("traaining", "no:traaining"):
        result = cli("-p", word, "plugins")
        assert (result.code, result.out) == (4, "")
        assert "did you mean 'training'?" in result.err


def test_an_unknown_plugin_in_the_environment_is_an_error_too(cli, monkeypatch) -> None:
    for word in ("traaining", "training,no:traaining"):
        monkeypatch.setenv("LLAMAHOME_PLUGINS", word)
        result = cli("plugins")
        assert (result.code, result.out) == (4, "")
        assert "LLAMAHOME_PLUGINS: no plugin is called 'traaining'" in result.err


def test_settings_that_may_block_a_plugin_end_a_command_when_they_cannot_be_read(
    cli, kernel, over
) -> None:
    """What helps to mend them works; a plugin's command that did not load is not "unknown"."""
    wrong = over(kernel, environ={"LLAMAHOME_PLUGINS__BLOCK": "caches"})

    for words in (["runs"], ["plugins"], ["check"], ["nothing-of-ours"]):
        result = cli(*words, over=wrong)
        assert (result.code, result.out) == (2, "")
        assert "block" in result.err
    doctor = cli("doctor", over=wrong)
    assert doctor.code == 3
    assert "block" in doctor.out
    assert cli("--help", over=wrong).code == 0
    assert "caches" in cli("config", "show", over=wrong).out


def test_the_version_is_that_of_the_distribution(cli) -> None:
    from importlib.metadata import version

    assert cli("--version").out == f"llamahome {version('llamahome')}\n"
    assert llamahome.name == "llamahome"
