"""A model's chat template: conversations as text, and where in the text the assistant speaks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from threading import Lock
from typing import Any

from attrs import define, field

from llamahome_core import DataError, Message

_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")

CLOCK = "strftime_now"
"""The function by which a chat template asks for the time."""

# {% generation %} is followed by state inside transformers' one compiled template per source.
_tracking = Lock()


@define
class ChatTemplate:
    """Renders conversations with transformers' sandboxed Jinja.

    Attributes:
        source: The Jinja text.
        variables: The special tokens by name, such as ``{"bos_token": "<s>"}``.
        name: The model's name, for messages to people.
        day: What a template is told that asks for the time: the first moment of this day.
    """

    source: str
    variables: Mapping[str, str]
    name: str
    day: date
    marked: bool = field(init=False)
    timed: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.marked = _MARK.search(self.source) is not None
        self.timed = CLOCK in self.source
        if self.timed:
            # transformers keeps one compiled template per source, and its clock is to be this one's
            self.source = f"{{# {self.day} #}}\n{self.source}"

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        reply: bool = False,
    ) -> tuple[str, list[tuple[int, int]]]:
        """The conversation as text, and half-open character ranges of the assistant's turns.

        The ranges are those that the template marks with ``{% generation %}``. A template without
        marks is rendered up to the opening of each assistant turn and to its end; this is valid
        only if both are prefixes of the whole.

        Args:
            messages: Turns whose content is text.
            tools: JSON-schema tool descriptions.
            reply: End with the opening of an assistant turn. There are no ranges then if the
                template writes earlier turns differently once there are later ones.

        Raises:
            DataError: The template refuses the conversation, or rewrites earlier turns.
        """
        self._check(messages, tools)
        if self.marked:
            return self._render(messages, tools, reply=reply, track=True)
        text, _ = self._render(messages, tools, reply=reply, track=False)
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        try:
            return text, [self._turn(text, messages, tools, at) for at in turns]
        except DataError:
            if not reply:
                raise
        return text, []

    def _turn(
        self,
        text: str,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        at: int,
    ) -> tuple[int, int]:
        """The range of the assistant turn ``messages[at]``."""
        if at == 0:
            raise DataError(
                "the conversation begins with the assistant: there is nothing to answer",
                hint="begin with a user turn",
            )
        opened, _ = self._render(messages[:at], tools, reply=True, track=False)
        ended, _ = self._render(messages[: at + 1], tools, reply=False, track=False)
        if not (text.startswith(ended) and ended.startswith(opened)):
            raise self._rewrites(at)
        return len(opened), len(ended)

    def _rewrites(self, at: int) -> DataError:
        return DataError(
            f"the chat template of {self.name} rewrites earlier turns: what it writes for turn "
            f"{at + 1} depends on the turns after it, so what was answered cannot be told",
            hint="mark the assistant's text with {% generation %} in the model's "
            "chat_template.jinja, or train on conversations with one answer each",
        )

    def _render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        *,
        reply: bool,
        track: bool,
    ) -> tuple[str, list[tuple[int, int]]]:
        from jinja2 import TemplateError
        from transformers.utils import chat_template_utils

        # annotated as text, and returns the texts and their marks
        render: Any = chat_template_utils.render_jinja_template
        arguments: dict[str, Any] = {
            "tools": [dict(tool) for tool in tools] or None,
            "chat_template": self.source,
            "return_assistant_tokens_mask": track,
            "add_generation_prompt": reply,
            **self.variables,
        }
        try:
            if self.timed:
                compiled: Any = chat_template_utils._compile_jinja_template(self.source)  # noqa: SLF001  # what is given to render is made text
                compiled.globals[CLOCK] = self.day.strftime
            if not track:
                rendered, _ = render([list(messages)], **arguments)
                return rendered[0], []
            with _tracking:
                rendered, marks = render([list(messages)], **arguments)
            return rendered[0], [(start, end) for start, end in marks[0]]
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise self._refuses(messages, error) from error

    def _check(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> None:
        """A template that has no place for tools would drop them without a word."""
        if tools and "tools" not in self.source:
            raise DataError(
                f"the chat template of {self.name} has no place for tools",
                hint="remove the tools, or use a model whose template supports them",
            )
        if "tool_calls" not in self.source and any(m.get("tool_calls") for m in messages):
            raise DataError(
                f"the chat template of {self.name} has no place for tool calls",
                hint="use a model whose template supports them",
            )

    def _refuses(self, messages: Sequence[Message], error: Exception) -> DataError:
        hint = None
        if any(m["role"] == "system" for m in messages) and "system" in str(error).lower():
            hint = "put the system text at the start of the first user turn"
        return DataError(
            f"the chat template of {self.name} refuses this conversation: {error}", hint=hint
        )


def plain_messages(messages: Sequence[Message]) -> list[Message]:
    """The turns with their content as text, as templates of language models expect it.

    Raises:
        DataError: A turn has no role, or holds something other than text.
    """
    return [_plain(message, number) for number, message in enumerate(messages, 1)]


def _plain(message: Any, number: int) -> Message:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise DataError(
            f"turn {number} is no message: {message!r:.80}",
            hint='write turns as {"role": "user", "content": "…"}',
        )
    return {**message, "content": _text(message.get("content"), number)}


def _text(content: Any, number: int) -> str:
    """*content* as text: OpenAI's form also allows a list of parts, or nothing beside a call."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [p.get("text") if isinstance(p, Mapping) else None for p in parts]
    if all(isinstance(text, str) for text in texts):
        return "".join(str(text) for text in texts)
    raise DataError(f"turn {number} holds something other than text: {content!r:.80}")
