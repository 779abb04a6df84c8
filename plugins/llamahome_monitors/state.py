"""What is known of a run: a fold over its events, without input, output or a clock."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import define, field

from llamahome_monitors.format import mean

_HISTORY = 4096  # losses kept for the curve; older ones are averaged in pairs
_STEP_TIMES = 10_000
_BYTES = re.compile(r"download|fetch", re.IGNORECASE)
_FLAT = 0.002  # a relative change that is no trend


@define
class Progress:
    """A phase and how far it is."""

    phase: str
    since: float
    done: int = 0
    total: int | None = None
    unit: str | None = None

    @property
    def in_bytes(self) -> bool:
        """Whether *done* counts bytes."""
        return self.unit == "bytes" or (self.unit is None and bool(_BYTES.search(self.phase)))

    def eta(self, now: float) -> float | None:
        """Seconds left if it goes on like this; None if nobody can tell."""
        if not self.total or not self.done or now <= self.since:
            return None
        return max(0.0, (now - self.since) * (self.total - self.done) / self.done)


@define
class Answers:
    """The first and the newest answer to one prompt, each with its step."""

    before: str
    before_step: int
    now: str
    now_step: int


@define
class RunState:
    """Everything that a view shows of a run; :meth:`apply` takes the events in order.

    Attributes:
        run: The ``run`` event: name, status, recipe, model and whatever else it says.
        stage: The stage that is going on.
        stage_since: When it, or the last one, began, in seconds.
        train_stage: The stage that training steps came from.
        progress: The phase that is going on; None while training steps come.
        data: The ``data`` event, and the ``stage`` that it came in.
        parameters: The ``parameters`` event.
        train: The newest ``train`` event.
        losses: ``(step, loss)`` of this session, thinned out when there are many.
        first_loss: The loss of the first step.
        evals: The ``eval`` events, in order.
        samples: Prompt to its answers.
        rounds: How often samples were drawn.
        checkpoint: The newest ``checkpoint`` event, with its time in seconds under ``at``.
        warnings: Text to how often it came.
        stopping: Signal that asked to stop.
        published: The ``published`` events.
        end: The ``end`` event.
        now: Time of the newest event, in seconds.
        started: Time of the first.
        memory_peak: Most bytes so far.
    """

    run: dict[str, Any] = field(factory=dict)
    stage: str | None = None
    stage_since: float = 0.0
    train_stage: str | None = None
    progress: Progress | None = None
    data: dict[str, Any] = field(factory=dict)
    parameters: dict[str, Any] = field(factory=dict)
    train: dict[str, Any] = field(factory=dict)
    losses: list[tuple[int, float]] = field(factory=list)
    first_loss: float | None = None
    evals: list[dict[str, Any]] = field(factory=list)
    samples: dict[str, Answers] = field(factory=dict)
    rounds: int = 0
    checkpoint: dict[str, Any] = field(factory=dict)
    warnings: dict[str, int] = field(factory=dict)
    stopping: Any = None
    published: list[dict[str, Any]] = field(factory=list)
    end: dict[str, Any] = field(factory=dict)
    now: float = 0.0
    started: float | None = None
    memory_peak: float = 0.0
    _step_times: deque[float] = field(factory=lambda: deque(maxlen=_STEP_TIMES))
    _tokens: float = 0.0
    _seconds: float = 0.0
    _sample_step: int | None = None

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one event; kinds and fields that are not known here change nothing."""
        if (at := seconds_of(event.get("time"))) is not None:
            self.now = at
            self.started = at if self.started is None else self.started
        take = getattr(self, f"_on_{event.get('t')}", None)
        if take is not None:
            take(dict(event))

    # --- What can be asked ---------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.run.get("name") or "run")

    @property
    def training(self) -> bool:
        """Whether the stage that trains is going on and has made its first step."""
        return bool(self.train) and self.stage == self.train_stage

    @property
    def best(self) -> dict[str, Any] | None:
        """The best evaluation that counts, if there is one."""
        finite = [e for e in self.evals if _number(e.get("loss")) is not None]
        return min(finite, key=lambda e: float(e["loss"]), default=None)

    @property
    def tok_s(self) -> float | None:
        """Tokens per second over all steps, the time between steps left out."""
        return self._tokens / self._seconds if self._seconds else None

    @property
    def elapsed(self) -> float:
        """Seconds that the run took; as far as the events tell."""
        given = _number(self.end.get("seconds"))
        return given if given is not None else self.now - (self.started or self.now)

    def step_time(self, share: float) -> float | None:
        """The time that *share* of the steps did not exceed: 0.5 for the median."""
        times = sorted(self._step_times)
        return times[min(len(times) - 1, int(share * len(times)))] if times else None

    def trend(self) -> int:
        """-1 while the loss falls, 1 while it rises, else 0."""
        values = [loss for _, loss in self.losses]
        size = min(20, len(values) // 2)
        if not size:
            return 0
        recent, before = mean(values[-size:]), mean(values[-2 * size : -size])
        if abs(recent - before) <= _FLAT * abs(before):
            return 0
        return 1 if recent > before else -1

    # --- One method for each kind of event -----------------------------------------------------

    def _on_run(self, event: dict[str, Any]) -> None:
        self.run = event

    def _on_stage(self, event: dict[str, Any]) -> None:
        self.progress = None
        self.stage = event.get("stage") if event.get("status") == "started" else None
        if self.stage:
            self.stage_since = self.now

    def _on_phase(self, event: dict[str, Any]) -> None:
        self.progress = Progress(str(event.get("phase")), self.now)

    def _on_progress(self, event: dict[str, Any]) -> None:
        phase = str(event.get("phase"))
        if self.progress is None or self.progress.phase != phase:
            self.progress = Progress(phase, self.now)
        self.progress.done = int(_number(event.get("done")) or 0)
        total = _number(event.get("total"))
        self.progress.total = None if total is None else int(total)
        self.progress.unit = event.get("unit")

    def _on_data(self, event: dict[str, Any]) -> None:
        self.data = {**event, "stage": self.stage}

    def _on_parameters(self, event: dict[str, Any]) -> None:
        self.parameters = event

    def _on_train(self, event: dict[str, Any]) -> None:
        self.train, self.train_stage, self.progress = event, self.stage, None
        if (loss := _number(event.get("loss"))) is not None:
            self.first_loss = loss if self.first_loss is None else self.first_loss
            self.losses.append((int(event.get("step") or 0), loss))
            if len(self.losses) > _HISTORY:
                self.losses = _halved(self.losses)
        self.memory_peak = max(self.memory_peak, *_numbers(event, "memory", "memory_peak"))
        if seconds := _number(event.get("step_s")):
            self._step_times.append(seconds)
            if (tok_s := _number(event.get("tok_s"))) is not None:
                self._tokens += tok_s * seconds
                self._seconds += seconds

    def _on_eval(self, event: dict[str, Any]) -> None:
        self.evals.append(event)
        self.progress = None

    def _on_sample(self, event: dict[str, Any]) -> None:
        prompt, answer = str(event.get("prompt")), str(event.get("answer"))
        step = int(event.get("step") or 0)
        if step != self._sample_step:
            self._sample_step = step
            self.rounds += 1
        if known := self.samples.get(prompt):
            known.now, known.now_step = answer, step
        else:
            self.samples[prompt] = Answers(answer, step, answer, step)

    def _on_checkpoint(self, event: dict[str, Any]) -> None:
        self.checkpoint = {**event, "at": self.now}

    def _on_rewind(self, event: dict[str, Any]) -> None:
        step = int(event.get("step") or 0)
        self.losses = [known for known in self.losses if known[0] <= step]
        self.evals = [e for e in self.evals if (e.get("step") or 0) <= step]

    def _on_warning(self, event: dict[str, Any]) -> None:
        text = str(event.get("text"))
        self.warnings[text] = self.warnings.get(text, 0) + 1

    def _on_stopping(self, event: dict[str, Any]) -> None:
        self.stopping = event.get("signal") or True

    def _on_published(self, event: dict[str, Any]) -> None:
        self.published.append(event)

    def _on_end(self, event: dict[str, Any]) -> None:
        self.end = event


def seconds_of(time: Any) -> float | None:
    """Seconds since 1970 of an ISO 8601 time; None if it is none."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError):
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def _numbers(event: Mapping[str, Any], *names: str) -> Sequence[float]:
    return [_number(event.get(name)) or 0.0 for name in names]


def _halved(losses: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    pairs = zip(losses[::2], losses[1::2], strict=False)
    return [(b[0], (a[1] + b[1]) / 2) for a, b in pairs]
