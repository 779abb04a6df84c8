"""Rows to examples: which form a row has, and whether it keeps that form's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llamahome_core import DataError, Example, Message, Row, suggest

FORMATS = {
    "messages": ("messages",),
    "prompt-completion": ("prompt", "completion"),
    "text": ("text",),
}
"""The fields that each form needs; the first form that a row has all fields of is its form."""

_SHAREGPT = (
    "these are turns of the ShareGPT form, with `from` and `value`; write `messages` with `role` "
    "(system, user, assistant, tool) and `content` instead: jq -c '{messages: [.FIELD[] | {role: "
    '({human: "user", gpt: "assistant"}[.from] // .from), content: .value}]}\' FILE > NEW'
)

# What may come before a turn; "start" is before the first one.
_AFTER = {
    "system": {"start"},
    "user": {"start", "system", "assistant"},
    "assistant": {"user", "tool"},
    "tool": {"assistant", "tool"},
}


def detect(row: Row) -> str:
    """The form of *row*: a key of :data:`FORMATS`.

    Raises:
        DataError: It has none; the message lists the fields that it has.
    """
    present = {name for name, value in row.value.items() if value is not None}
    for name, fields in FORMATS.items():
        if present.issuperset(fields):
            return name
    names = [repr(name) if name in present else f"{name!r} (null)" for name in sorted(row.value)]
    raise _error(
        row,
        f"no known form; its fields are {', '.join(names) or 'none'}",
        hint=other_form(row.value)
        or "a row has `messages`, or `prompt` and `completion`, or `text`",
    )


def other_form(value: Mapping[str, Any]) -> str | None:
    """How to mend a row with a conversation of a form that is not read; None if it has none."""
    for name, turns in value.items():
        turn = turns[0] if isinstance(turns, list) and turns else None
        if isinstance(turn, dict) and turn.keys() >= {"from", "value"}:
            return _SHAREGPT.replace("FIELD", name)
    return None


def read_example(row: Row, form: str) -> Example:
    """The example that *row* holds, in the *form* that its source has.

    Raises:
        DataError: The row breaks a rule; the message names the row and the field.
    """
    for name in FORMATS[form]:
        if name not in row.value:
            raise _error(row, f"no `{name}`, which the rows before it have ({form})")
    if form == "text":
        return Example(text=_text(row, "text", row.value["text"]))
    if form == "messages":
        return Example(messages=_conversation(row), tools=_tools(row))
    turns = (("user", "prompt"), ("assistant", "completion"))
    return Example(
        messages=tuple(
            {"role": role, "content": _text(row, field, row.value[field])} for role, field in turns
        )
    )


def _error(row: Row, text: str, hint: str | None = None) -> DataError:
    return DataError(f"{row.source}:{row.number}: {text}", hint=hint)


def _text(row: Row, field: str, value: Any) -> str:
    """*value*, if it is text with something in it, or a list of text parts."""
    if isinstance(value, list):
        value = "".join(_part(row, f"{field}[{i}]", part) for i, part in enumerate(value))
    if value is None:
        raise _error(row, f"`{field}` is null", hint="write the text, or leave the row out")
    if not isinstance(value, str):
        raise _error(row, f"`{field}` must be text, got {_named(value)}")
    if not value.strip():
        raise _error(row, f"`{field}` is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise _error(row, f"`{field}` has half a character ({half})") from None
    return value


def _part(row: Row, field: str, part: Any) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else None
    found = repr(kind) if kind else _named(part)
    raise _error(row, f"`{field}` must be a part of text, got {found}")


def _conversation(row: Row) -> tuple[Message, ...]:
    turns = row.value["messages"]
    if not isinstance(turns, list) or not turns:
        raise _error(row, f"`messages` must be a list of turns, got {_named(turns)}")
    messages, before = [], "start"
    for number, turn in enumerate(turns):
        messages.append(_turn(row, f"messages[{number}]", turn, before))
        before = turn["role"]
    if not any(message["role"] == "assistant" for message in messages):
        raise _error(row, "`messages` has no assistant turn, so there is nothing to learn")
    return tuple(messages)


def _turn(row: Row, field: str, turn: Any, before: str) -> Message:
    if not isinstance(turn, dict):
        raise _error(row, f"`{field}` must be an object with role and content, got {_named(turn)}")
    role = _required(row, field, turn, "role")
    if not isinstance(role, str) or role not in _AFTER:
        raise _error(
            row,
            f"`{field}.role` must be system, user, assistant or tool, got {_named(role)}",
            hint=_role_hint(role),
        )
    if before not in _AFTER[role]:
        at = "at the start" if before == "start" else f"after one of {before}"
        raise _error(row, f"`{field}`: a turn of {role} cannot stand {at}")
    if turn.get("weight") not in (None, 1):
        raise _error(row, f"`{field}.weight` is not supported; leave the field out")
    calls = turn.get("tool_calls")
    if role == "assistant" and calls:
        if not isinstance(calls, list):
            raise _error(row, f"`{field}.tool_calls` must be a list, got {_named(calls)}")
        if turn.get("content") in (None, "", []):
            return {**turn, "content": ""}
    content = _required(row, field, turn, "content")
    return {**turn, "content": _text(row, f"{field}.content", content)}


def _required(row: Row, field: str, turn: dict[str, Any], name: str) -> Any:
    if name not in turn:
        fields = ", ".join(map(repr, turn)) or "none"
        hint = _SHAREGPT if turn.keys() >= {"from", "value"} else None
        raise _error(row, f"`{field}` has no `{name}`; its fields are {fields}", hint)
    return turn[name]


_OTHER_NAMES = {
    "ai": "assistant",
    "bot": "assistant",
    "developer": "system",
    "function": "tool",
    "gpt": "assistant",
    "human": "user",
    "model": "assistant",
}


def _role_hint(role: Any) -> str | None:
    if not isinstance(role, str):
        return None
    meant = _OTHER_NAMES.get(role.lower()) or next(iter(suggest(role.lower(), _AFTER)), None)
    return f"did you mean {meant!r}?" if meant else None


def _tools(row: Row) -> tuple[dict[str, Any], ...]:
    tools = row.value.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise _error(row, f"`tools` must be a list of objects, got {_named(tools)}")
    return tuple(tools)


def _named(value: Any) -> str:
    """*value* for a message: short, and in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, dict):
        return "an object"
    return repr(value)[:40]
