"""The view for files, pipes and continuous integration: one line for each record, in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from attrs import define, field

from llamahome_monitors import format as fmt
from llamahome_monitors.state import RunState, seconds_of

_PAUSE = 10.0  # seconds between two lines of training or of one phase's progress


@define
class PlainView:
    """Writes ``time kind key=value …``; never a carriage return, never a bar.

    Attributes:
        stream: Where the lines go.
        state: The run so far, the shown event included.
        verbosity: From 1 on, phases and kinds of other plugins are shown too.
    """

    stream: TextIO
    state: RunState
    verbosity: int = 0
    _shown: dict[str, float] = field(factory=dict)

    def show(self, event: Mapping[str, Any]) -> None:
        """Write *event*'s line, if it is worth one."""
        if (text := self._line(event)) is None:
            return
        print(f"{_time(event)} {text}", file=self.stream, flush=True)

    def tick(self) -> None:
        """Nothing here changes with time alone."""

    def close(self) -> None:
        """Every line is written already."""

    def _line(self, event: Mapping[str, Any]) -> str | None:
        kind = str(event.get("t"))
        if self._too_soon(kind, event):
            return None
        if kind in _LINES:
            return _LINES[kind](event, self)
        if kind == "phase" or self.verbosity > 0:
            return _other(event)
        return None

    def _too_soon(self, kind: str, event: Mapping[str, Any]) -> bool:
        """Whether another line of this sort came less than ten seconds of the run's time ago."""
        if kind not in {"train", "progress"}:
            return False
        key, now = f"{kind} {event.get('phase')}", seconds_of(event.get("time")) or 0.0
        last = event.get("step") is not None and event.get("step") == event.get("steps")
        if key in self._shown and now - self._shown[key] < _PAUSE and not last:
            return True
        self._shown[key] = now
        return False


def _time(event: Mapping[str, Any]) -> str:
    text = fmt.clean(event.get("time", "-"))
    return text[:19] + "Z" if text.endswith("+00:00") else text


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.5g}"
    text = fmt.clean(value)
    # A reader of lines splits at spaces and takes quotes for quotes.
    return text if text and not set(text) & set(" \"'=") else json.dumps(text, ensure_ascii=False)


def _pairs(event: Mapping[str, Any], **keys: str) -> str:
    """``label=value`` of the fields that *event* has; a label maps to its field."""
    given = ((label, event.get(name)) for label, name in keys.items())
    return "".join(f" {label}={_value(value)}" for label, value in given if value is not None)


def _run(event: Mapping[str, Any], _: PlainView) -> str:
    keys = {key: key for key in ("recipe", "model", "device", "host")}
    return f"run {_value(event.get('name'))} {_value(event.get('status'))}{_pairs(event, **keys)}"


def _stage(event: Mapping[str, Any], _: PlainView) -> str:
    took = _pairs(event, seconds="seconds")
    return f"stage {_value(event.get('stage'))} {_value(event.get('status'))}{took}"


def _progress(event: Mapping[str, Any], _: PlainView) -> str:
    done, total = event.get("done"), event.get("total")
    share = f" {fmt.percent(done, total).replace(' ', '')}" if done is not None and total else ""
    pairs = _pairs(event, done="done", total="total")
    return f"progress {_value(event.get('phase'))}{share}{pairs}"


def _data(event: Mapping[str, Any], _: PlainView) -> str:
    keys = ("rows", "documents", "tokens", "trained_tokens", "steps_per_epoch")
    line = "data" + _pairs(event, **{key: key for key in keys}, evaluation="evaluation_documents")
    dropped = event.get("dropped") or {}
    return line + "".join(f" dropped_{_value(k)}={_value(v)}" for k, v in dropped.items() if v)


def _train(event: Mapping[str, Any], _: PlainView) -> str:
    steps = f"/{event['steps']}" if event.get("steps") else ""
    loss = _value(event.get("loss"))
    rounded = {k: v if v is None else round(v) for k in ("tok_s", "eta_s") for v in [event.get(k)]}
    return (
        f"train step={event.get('step')}{steps} loss={loss}"
        + _pairs(event, lr="lr", grad="grad_norm")
        + _pairs(rounded, tok_s="tok_s", eta_s="eta_s")
        + (" applied=false" if event.get("applied") is False else "")
    )


def _eval(event: Mapping[str, Any], _: PlainView) -> str:
    loss = f" loss={_value(event.get('loss'))}"
    return f"eval step={event.get('step')}{loss}" + _pairs(event, ppl="ppl", best="best")


def _warning(event: Mapping[str, Any], view: PlainView) -> str | None:
    once = view.state.warnings.get(str(event.get("text")), 1) == 1
    return f"warning {_value(event.get('text'))}" if once else None


def _fields(*names: str) -> Callable[[Mapping[str, Any], PlainView], str]:
    def line(event: Mapping[str, Any], _: PlainView) -> str:
        return _value(event.get("t")) + _pairs(event, **{name: name for name in names})

    return line


def _published(event: Mapping[str, Any], _: PlainView) -> str:
    parts = ",".join(event.get("parts") or ())
    shown = {"parts": parts or None, "tags": ",".join(event.get("tags") or ()) or None}
    return (
        f"published {_value(event.get('label'))}"
        + _pairs(shown, tags="tags", parts="parts")
        + _pairs(event, digest="digest")
    )


def _other(event: Mapping[str, Any]) -> str:
    plain = {
        k: k
        for k, v in event.items()
        if k not in {"t", "time", "schema", "phase"} and isinstance(v, str | int | float)
    }
    phase = f" {_value(event['phase'])}" if "phase" in event else ""
    return f"{_value(event.get('t'))}{phase}{_pairs(event, **plain)}"


_LINES: dict[str, Callable[[Mapping[str, Any], PlainView], str | None]] = {
    "run": _run,
    "stage": _stage,
    "progress": _progress,
    "data": _data,
    "parameters": _fields("total", "trained"),
    "train": _train,
    "eval": _eval,
    "sample": _fields("step", "prompt", "answer"),
    "checkpoint": _fields("step", "reason", "seconds", "path"),
    "note": lambda event, _: f"note {_value(event.get('text'))}",
    "rewind": _fields("step"),
    "warning": _warning,
    "stopping": _fields("signal"),
    "published": _published,
    "end": _fields("status", "seconds"),
}
