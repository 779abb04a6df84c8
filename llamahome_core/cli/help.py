"""How commands describe themselves: examples before options, and what was perhaps meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from llamahome_core.errors import suggest

Examples = Sequence[tuple[str, str]]


class _WithExamples(click.Command):
    """A command whose help shows examples before its options."""

    def __init__(self, *arguments: Any, examples: Examples = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The text, then the examples: what most readers came for."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                # A command line that is folded cannot be copied; its text goes below it instead.
                width = max(len(command) for command, _ in self.examples)
                formatter.write_dl(self.examples, col_max=width)


class Command(_WithExamples):
    """A command with examples."""


class Group(_WithExamples, click.Group):
    """A group with examples, which says what was perhaps meant by an unknown subcommand."""

    command_class = Command

    def has_command(self, ctx: click.Context, name: str) -> bool:
        """Whether there is a subcommand *name*; imports none."""
        return name in self.commands

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or say what was perhaps meant."""
        if not self.has_command(ctx, args[0]) and not args[0].startswith("-"):
            close = suggest(args[0], self.list_commands(ctx))
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def one_of(words: Iterable[str]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback of a parameter that takes one of *words*; a wrong one gets the closest."""
    known = list(dict.fromkeys(words))

    def check(_: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is not None and value not in known:
            close = suggest(value, known)
            hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else ""
            hint = hint or f"Choose from: {', '.join(known)}."
            raise click.BadParameter(f"there is no {value!r}. {hint}", param=parameter)
        return value

    return check


def completes(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What completes a parameter: names that only a kernel knows, looked up when Tab is pressed."""

    def find(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
        from llamahome_core.cli.candidates import offer

        return offer(what, ctx, incomplete)

    return find


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
_set = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=completes("assignments"),
    help="Change one value: train.steps=100, data.0.path=rows.jsonl. May be given several times.",
)


def as_json(function: Any) -> Any:
    """The option ``--json``, the same for all that read."""
    return _json(function)


def assignments(function: Any) -> Any:
    """The option ``--set``, the same for all that take a recipe."""
    return _set(function)
