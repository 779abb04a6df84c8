"""``llamahome generate`` answers on standard output, and says the rest elsewhere."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from llamahome_core import DataError, LlamaHomeError, ModelError
from llamahome_core.recipe import Resources
from llamahome_models.commands import _progress, _Stream, generate


@pytest.fixture
def run(make_context) -> Any:
    """Run the command with a kernel that makes our context."""

    def call(*arguments: str, stdin: str | None = None, **recipe: Any) -> Any:
        def context(*, model: str) -> Any:
            return make_context(model=model, **recipe)

        state = SimpleNamespace(kernel=SimpleNamespace(context=context))
        return CliRunner().invoke(generate, list(arguments), input=stdin, obj=state)

    return call


def test_the_answer_and_nothing_else_is_on_standard_output(run, tiny_model):
    """Streamed and as JSON it is the same text; a prompt from standard input works as well."""
    streamed = run(str(tiny_model), "--prompt", "hello", "--max-tokens", "9")
    assert streamed.exit_code == 0, streamed.output
    whole = run(str(tiny_model), "--max-tokens", "9", "--json", stdin="hello")
    answer = json.loads(whole.stdout)
    assert answer["schema"] == "llamahome.generate/1"
    assert answer["tokens"] == 9
    assert answer["finished"] == "length"
    assert answer["prompt"] == "hello"
    assert answer["digest"].startswith("sha256:")
    assert streamed.stdout.rstrip("\n") == answer["answer"].rstrip("\n")


def test_a_system_prompt_and_a_seed_are_used(run, tiny_model):
    """The system prompt is in the prompt; the seed decides the sampling."""
    plain = json.loads(run(str(tiny_model), "--prompt", "a", "--json").stdout)
    told = json.loads(run(str(tiny_model), "--prompt", "a", "--system", "b", "--json").stdout)
    assert told["prompt_tokens"] > plain["prompt_tokens"]
    warm = ["--prompt", "a", "--temperature", "2", "--max-tokens", "12", "--json", "--seed"]
    one, same, two = (
        json.loads(run(str(tiny_model), *warm, seed).stdout)["answer"] for seed in "112"
    )
    assert one == same != two


def test_a_model_without_a_template_continues_the_text(run, tiny_model, tmp_path):
    """A system prompt would be lost, and is refused."""
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    (base / "chat_template.jinja").unlink()
    answer = json.loads(run(str(base), "--prompt", "hello", "--json").stdout)
    assert answer["prompt_tokens"] < 6
    assert isinstance(
        run(str(base), "--prompt", "hello", "--system", "be brief").exception, ModelError
    )


@pytest.mark.parametrize("arguments", [["--prompt", "  "], []])
def test_an_empty_prompt_is_a_usage_error(arguments, run, tiny_model):
    """Exit code 2, before anything is loaded."""
    assert run(str(tiny_model), *arguments, stdin="").exit_code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["", "--prompt", "a"], "the name of the model is empty"),
        (["tiny", "--prompt", "a", "--temperature", "nan"], "no finite number"),
        (["tiny", "--prompt", "a", "--temperature", "inf"], "no finite number"),
        (["tiny", "--prompt", "a", "--temperature", "-1"], "is not in the range"),
        (["tiny", "--prompt", "a", "--seed", str(2**64)], "is not in the range"),
        (["tiny", "--prompt", "a\udcff"], "--prompt is not UTF-8"),
        (["tiny", "--prompt", "a", "--system", "\udcff"], "--system is not UTF-8"),
    ],
)
def test_a_value_that_cannot_be_used_is_a_usage_error(words, says, run):
    """Exit code 2 with the reason, before anything is looked up."""
    result = run(*words)
    assert result.exit_code == 2
    assert says in result.stderr


def generated(words: list[str], tiny_model: Path, home: Path, shell: str) -> Any:
    """``llamahome generate`` as a shell starts it."""
    command = shlex.join([sys.executable, "-m", "llamahome_core", "generate", str(tiny_model)])
    keep = {k: v for k, v in os.environ.items() if not k.startswith("LLAMAHOME_")}
    return subprocess.run(
        ["/bin/bash", "-c", shell.format(" ".join([command, *words]))],
        env={**keep, "LLAMAHOME_HOME": str(home), "LC_ALL": "C"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("shell", "says"),
    [
        ("{} <&-", "text on standard input"),
        (r"printf 'a\xffb' | {}", "standard input is not UTF-8: byte 0xff at 1"),
        ("{} 0> written", "standard input cannot be read: Bad file descriptor"),
        ("{} < /dev/null", "the prompt is empty"),
    ],
)
def test_standard_input_that_cannot_be_used_is_a_usage_error(shell, says, tiny_model, tmp_path):
    """Closed, no text, not to be read, or empty: exit code 2 and no traceback, in any locale."""
    done = generated([], tiny_model, tmp_path, shell)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_standard_input_is_utf_8_in_any_locale(tiny_model, tmp_path):
    """What was typed is what the model gets; a line ends in one way."""
    words = ["--max-tokens", "1", "--json"]
    done = generated(words, tiny_model, tmp_path, r"printf 'é 你好\r\n!' | {}")
    assert json.loads(done.stdout)["prompt"] == "é 你好\n!"


def test_a_prompt_longer_than_the_model_is_refused(run, tiny_model):
    """With both numbers and what to do; a little shorter, the answer ends where the model does."""
    words = [str(tiny_model), "--json", "--max-tokens", "50", "--prompt"]
    long = "w" * 300
    refused = run(*words, long).exception
    assert isinstance(refused, DataError)
    assert "the model holds 256" in refused.message
    answer = json.loads(run(*words, "w" * 235).stdout)
    assert answer["prompt_tokens"] + answer["tokens"] == 256
    assert answer["finished"] == "length"


def test_what_does_not_exist_has_its_exit_code(run, tmp_path):
    """No such name, version or path: 4, as the help says."""
    for name in ("tinny", "bot:v7", "registry:bot:v7", str(tmp_path / "nowhere")):
        error = run(name, "--prompt", "a").exception
        assert isinstance(error, LlamaHomeError)
        assert (name, error.exit_code) == (name, 4)


def test_a_terminal_without_a_prompt_is_told_what_to_give(run, tiny_model, monkeypatch):
    """The command does not wait for input that nobody knows of."""
    from llamahome_models import commands

    monkeypatch.setattr(
        commands, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    )
    result = run(str(tiny_model))
    assert result.exit_code == 2
    assert "--prompt" in result.stderr


def test_a_model_is_loaded_without_pickles_and_code(run, tiny_model, monkeypatch):
    """transformers is told so, whatever lies in the folder."""
    from transformers import AutoModelForCausalLM

    load, asked = AutoModelForCausalLM.from_pretrained, {}

    def watch(*arguments: Any, **options: Any) -> Any:
        asked.update(options)
        return load(*arguments, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", watch)
    assert run(str(tiny_model), "--prompt", "a", "--max-tokens", "1").exit_code == 0
    assert asked["use_safetensors"] is True
    assert asked["trust_remote_code"] is False


def test_the_number_of_threads_is_the_recipes(run, tiny_model):
    """As for training."""
    import torch

    before = torch.get_num_threads()
    try:
        run(str(tiny_model), "--prompt", "a", resources=Resources(threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_half_a_character_waits_for_its_other_half(capsys):
    """A character of several tokens is shown whole."""

    class Bytes:
        def decode(self, ids: list[int]) -> str:
            return bytes(ids).decode("utf-8", errors="replace")

    stream = _Stream(Bytes())  # type: ignore[arg-type]  # only decode is used
    shown = []
    for token in "aé!".encode():
        stream.add(token)
        shown.append(capsys.readouterr().out)
    assert shown == ["a", "", "é", "!"]


def test_an_answer_cannot_steer_the_terminal(capsys):
    """Also where a sequence comes in several tokens, or never ends: the rest is shown."""

    class Letters:
        def decode(self, ids: list[int]) -> str:
            return "".join(map(chr, ids))

    stream = _Stream(Letters())  # type: ignore[arg-type]  # only decode is used
    for sign in "a\x1b[2J\n\tb\x1b]0;c\x9b\u202ed\r":
        stream.add(ord(sign))

    assert capsys.readouterr().out == "a[2J\n\tb]0;cd"


def test_progress_is_shown_on_a_terminal_only(capsys, monkeypatch):
    """Megabytes done and in all, on standard error."""
    _progress()(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = _progress()
    progress(5_000_000, None)
    progress(9_000_000, 9_000_000)
    assert capsys.readouterr().err == "\rfetching: 5 MB\rfetching: 9 of 9 MB\n"


def test_errors_of_the_conversation_are_not_hidden(run, tiny_model, tmp_path):
    """Only a missing template makes it plain text."""
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    (base / "chat_template.jinja").write_text("{{ raise_exception('no') }}")
    assert isinstance(run(str(base), "--prompt", "hello").exception, DataError)
