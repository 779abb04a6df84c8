"""The monitor `diary`: a page of Markdown about a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamahome_core import MonitorContext, clean, files
from llamahome_hello.config import DiaryConfig


class Diary:
    """Writes what is worth telling; lives in a process of its own, and can harm no run."""

    whole_run = True
    """A resumed run tells all its events again, so that the page is written anew."""

    def __init__(self, config: DiaryConfig, context: MonitorContext) -> None:
        self.path = context.directory / config.file
        self.lines: list[str] = []

    def handle(self, event: Mapping[str, Any]) -> None:
        """Add a line, if there is one to write; kinds that are not known are passed over."""
        if line := _line(event):
            # A model may say anything, escape sequences too.
            self.lines.append(clean(line, keep="\n"))
            files.write_text(self.path, "\n".join([*self.lines, ""]))

    def close(self) -> None:
        """Nothing is left to do: each line was written when it came."""


def _line(event: Mapping[str, Any]) -> str | None:
    """What the diary says of *event*; a field may be missing in another version's event."""
    said = {name: "?" if value is None else value for name, value in event.items()}
    form = _FORMS.get(str(event.get("t")))
    return None if form is None else form.format_map(_Gaps(said))


class _Gaps(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "?"


_FORMS = {
    "run": "# {name}\n\nIt {status} at {time}, from {model}.\n",
    "hello.phrases": "- {phrases} phrases were read from {source}.",
    "data": "- {documents} documents of {rows} rows are learned from.",
    "eval": "- After step {step} the held-out loss is {loss}.",
    "sample": "- Asked “{prompt}” after step {step}, it says: {answer}",
    "warning": "- Mind: {text}",
    "published": "- The new version is **{label}**.",
    "end": "\nIt {status} after {seconds} seconds.",
}
