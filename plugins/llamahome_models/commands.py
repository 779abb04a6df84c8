"""``llamahome generate``: one answer from any model or published version."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from typing import Any

import click

from llamahome_core import (
    ChatCodec,
    Context,
    Generator,
    ModelFolder,
    Models,
    Progress,
    Registry,
    clean,
    command_kernel,
)

_GIVE = 'give --prompt "…", or text on standard input'


def _finite(_: click.Context, __: click.Parameter, value: float) -> float:
    if not math.isfinite(value):
        raise click.BadParameter("it is no finite number")
    return value


def _named(_: click.Context, __: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("the name of the model is empty")
    return value


def _models(command: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names that complete *incomplete*: the catalogue's, and those that were published here."""
    context = command_kernel(command).context()
    names = list(context.recipe.models)
    for version in context.get(Registry).versions():
        names += [f"{version.name}:{tag}" for tag in (*version.tags, f"v{version.number}")]
    return [name for name in names if name.startswith(incomplete)]


@click.command()
@click.argument("model", callback=_named, shell_complete=_models)
@click.option("--prompt", help="What to answer; standard input if not given.")
@click.option("--system", help="Instructions that come before the prompt.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=256, show_default=True)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    callback=_finite,
    help="0 takes the likeliest token each time.",
)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, help="Seed of the sampling.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
@click.pass_context
def generate(
    command: click.Context, /, model: str, prompt: str | None, as_json: bool, **options: Any
) -> None:
    """Answer one prompt with MODEL: a published name:tag, a name, hub:org/name, or a path.

    The answer goes to standard output as it comes. A model without a chat template continues the
    text instead.
    """
    prompt, system = _prompt(prompt), _text(options.pop("system"), "--system")
    context = command_kernel(command).context(model=model)
    folder = context.get(Models).fetch(model, _progress())
    context.put(ModelFolder, folder)
    ids = context.get(ChatCodec).encode_prompt(prompt, system=system)
    module = _load(folder, context)
    longest = _room(module, ids, options["max_tokens"])
    show = None if as_json else _Stream(context.get(ChatCodec)).add
    started = time.monotonic()
    new = context.get(Generator).generate(module, ids, on_token=show, **options)
    seconds = time.monotonic() - started
    if not as_json:
        click.echo()
        return
    answer = {
        "schema": "llamahome.generate/1",
        "model": folder.name,
        "digest": folder.digest,
        "prompt": prompt,
        "answer": context.get(ChatCodec).decode(new),
        "prompt_tokens": len(ids),
        "tokens": len(new),
        "finished": "length" if len(new) == longest else "end",
        "seconds": round(seconds, 3),
    }
    click.echo(json.dumps(answer, indent=2, ensure_ascii=False))


def _prompt(given: str | None) -> str:
    # there is no standard input after `<&-`, in some ways to start the command
    if given is None and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError(_GIVE)
    prompt = _read() if given is None else _text(given, "--prompt")
    if not prompt or not prompt.strip():
        raise click.UsageError(f"the prompt is empty: {_GIVE}")
    return prompt


def _read() -> str:
    """Standard input as text, whatever the locale says of it."""
    try:
        return sys.stdin.buffer.read().decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"standard input is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}"
        ) from error
    except OSError as error:
        raise click.UsageError(f"standard input cannot be read: {error.strerror}") from error


def _text(given: str | None, option: str) -> str | None:
    """What was *given*; Python keeps what is no UTF-8 in it as halves of characters."""
    try:
        (given or "").encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(f"{option} is not UTF-8") from error
    return given


def _room(module: Any, ids: list[int], max_tokens: int) -> int:
    from llamahome_models.generator import room

    return min(max_tokens, room(module, ids))


def _load(folder: ModelFolder, context: Context) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    if context.recipe.resources.threads is not None:
        torch.set_num_threads(context.recipe.resources.threads)
    module: Any = AutoModelForCausalLM.from_pretrained(
        str(folder.path),
        dtype="auto",
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    return module.to("cuda" if torch.cuda.is_available() else "cpu")


class _Stream:
    """Writes text to standard output as its tokens come."""

    def __init__(self, codec: ChatCodec) -> None:
        self._codec = codec
        self._ids: list[int] = []
        self._shown = 0

    def add(self, token: int) -> None:
        """Show what *token* adds; a character of several tokens waits for its last one."""
        self._ids.append(token)
        text = self._codec.decode(self._ids)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            # Piece by piece: an escape sequence without an end may not swallow what follows it.
            click.echo(clean(text[self._shown :], keep="\n\t"), nl=False)
            self._shown = len(text)
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.flush()


def _progress() -> Progress:
    """A line on a terminal, nothing elsewhere."""
    live = sys.stderr.isatty()

    def progress(done: int, total: int | None = None) -> None:
        if live:
            of = f" of {total / 1e6:.0f}" if total else ""
            end = "\n" if done == total else ""
            click.echo(f"\rfetching: {done / 1e6:.0f}{of} MB{end}", nl=False, err=True)

    return progress
