"""Settings of the data sources."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import field, frozen, validators


@frozen(kw_only=True)
class JsonlConfig:
    """Settings of the data source ``jsonl``."""

    path: Path
    """The file: one JSON object on each line, in UTF-8."""
    format: Literal["auto", "messages", "prompt-completion", "text"] = "auto"
    """What a row is. `auto` looks at the fields of the first row."""
    limit: int | None = field(default=None, validator=validators.optional(validators.gt(0)))
    """Read only this many rows, from the start of the file."""
    messages: str = field(default="messages", validator=validators.min_len(1))
    """Field with a conversation: a list of turns, each with `role` and `content`."""
    prompt: str = field(default="prompt", validator=validators.min_len(1))
    """Field with a question or an instruction."""
    completion: str = field(default="completion", validator=validators.min_len(1))
    """Field with the answer to the prompt."""
    text: str = field(default="text", validator=validators.min_len(1))
    """Field with plain text."""
