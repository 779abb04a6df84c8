"""The command `llamahome hello`."""

from __future__ import annotations

import click

from llamahome_core import UnknownNameError, command_settings, suggest
from llamahome_hello.source import read_phrases


@click.command()
@click.argument("question")
@click.pass_context
def hello(context: click.Context, question: str) -> None:
    """Look up QUESTION in the phrasebook that the settings name."""
    settings = command_settings(context)
    if settings.book is None:
        raise click.UsageError("no phrasebook: llamahome config set --user command.hello.book PATH")
    phrases = read_phrases(settings.book, settings.separator)
    answers = {phrase.question: phrase.answer for phrase in phrases}
    if question not in answers:
        close = suggest(question, answers)
        hint = f"did you mean {close[0]!r}?" if close else f"it knows {len(answers)} others"
        raise UnknownNameError(f"{settings.book} does not know {question!r}", hint=hint)
    click.echo(answers[question])
