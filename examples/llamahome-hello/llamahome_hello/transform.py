"""The transform `polite`."""

from __future__ import annotations

from attrs import evolve

from llamahome_core import Context, Dropped, Example, Row
from llamahome_hello.config import PoliteConfig


class Polite:
    """Begins the first answer with a greeting; leaves out what is all capitals."""

    identity = "polite/1"
    """Raise the number when `apply` gives other results: what was prepared is made anew."""

    def __init__(self, config: PoliteConfig, context: Context) -> None:
        self.greeting = config.greeting

    def apply(self, example: Example, row: Row) -> Example | Dropped:
        """The example as it goes on, in a copy if it changes, or why it does not."""
        for number, turn in enumerate(example.messages):
            if turn["role"] != "assistant":
                continue
            if turn["content"].isupper():
                return Dropped("shouting")
            if turn["content"].startswith(self.greeting):
                return example
            polite = {**turn, "content": self.greeting + turn["content"]}
            before, after = example.messages[:number], example.messages[number + 1 :]
            return evolve(example, messages=(*before, polite, *after))
        return example  # plain text has no answers
