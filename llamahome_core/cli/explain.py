"""``llamahome explain``: what an error code means and how to mend it, offline."""

from __future__ import annotations

import re
from importlib.resources import files

import click

from llamahome_core.cli.help import Command, as_json, completes
from llamahome_core.cli.output import print_json, write
from llamahome_core.errors import UnknownNameError, suggest

_HEADING = re.compile(r"^## ([A-Z]\d{3}): (.+)$", re.MULTILINE)
_WIDTH = 88


def pages() -> dict[str, tuple[str, str]]:
    """Code to title and text, from ``explain.md``, which is also the reference page of errors."""
    text = (files("llamahome_core") / "explain.md").read_text(encoding="utf-8")
    parts = _HEADING.split(text)[1:]
    triples = zip(parts[0::3], parts[1::3], parts[2::3], strict=True)
    return {code: (title, body.strip()) for code, title, body in triples}


@click.command(
    cls=Command,
    examples=[
        ("llamahome explain C101", "what that code means"),
        ("llamahome explain", "all codes"),
    ],
)
@click.argument("code", required=False, shell_complete=completes("codes"))
@as_json
def explain(code: str | None, as_json: bool) -> None:
    """Explain an error CODE such as C101; without one, list all. Needs no network."""
    known = pages()
    if code is None:
        if as_json:
            print_json("errors", errors=[{"code": c, "title": t} for c, (t, _) in known.items()])
            return
        for name, (title, _) in known.items():
            write(f"{name}  {title}")
        return
    name = code.strip().strip("[]").upper()
    if name not in known:
        close = suggest(name, known)
        raise UnknownNameError(
            f"there is no error code {code!r}",
            hint=f"did you mean {close[0]}?" if close else "llamahome explain",
        )
    title, body = known[name]
    if as_json:
        print_json("error", code=name, title=title, text=body)
        return
    write(f"{name}: {title}\n\n{click.wrap_text(body, _WIDTH, preserve_paragraphs=True)}")
