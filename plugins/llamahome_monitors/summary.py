"""The last words about a run: what it reached, what was saved, what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from rich.text import Text

from llamahome_monitors import format as fmt
from llamahome_monitors.format import Symbols
from llamahome_monitors.state import RunState
from llamahome_monitors.words import LABEL, evaluation, fit, label, position, wrapped

_ANSWER_LINES = 4
_TITLE = 100  # cells; on a wider terminal the two ends of a line would be far apart


@frozen(kw_only=True)
class Summary:
    """What is printed when a run is over.

    Attributes:
        state: The run.
        directory: Its folder.
        width: Cells of a line.
        symbols: What the terminal can show.
        hints: Whether to name the next command.
    """

    state: RunState
    directory: Path
    width: int
    symbols: Symbols
    hints: bool = True

    def lines(self) -> list[Text]:
        """The lines, however the run ended."""
        status = self.state.end.get("status")
        if status == "finished":
            return [*self._finished()]
        if status == "stopped":
            return [*self._stopped()]
        if status == "failed":
            return [*self._failed()]
        return [*self._lost()]

    # --- How it ended --------------------------------------------------------------------------

    def _finished(self) -> Iterator[Text]:
        title = self._named(f"{self.symbols.good} ", "bold green")
        yield self._title(title.append(f" finished in {fmt.seconds(self.state.elapsed)}"))
        yield from self._loss()
        yield from self._speed()
        yield from self._saved()
        yield from self._answers()
        yield from self._warnings()
        yield from self._next("next")

    def _stopped(self) -> Iterator[Text]:
        title = self._named("stopped  ", "bold yellow")
        at = f" at {position(self.state, self.symbols)}" if self.state.train else ""
        yield title.append(f"{at} after {fmt.seconds(self.state.elapsed)}")
        if saved := self.state.checkpoint:
            yield self._row("saved", Text(f"checkpoint of step {saved.get('step')}"))
        yield from self._warnings()
        yield from self._next("resume", needed=True)

    def _failed(self) -> Iterator[Text]:
        end, title = self.state.end, self._named(f"{self.symbols.bad} ", "bold red")
        yield title.append(f" failed after {fmt.seconds(self.state.elapsed)}")
        code = fmt.clean(end.get("code") or "")
        text = f"[{code}] " if code else ""
        yield from self._long("error", text + fmt.clean(end.get("error") or "unknown"), "red")
        if end.get("hint"):
            yield from self._long("fix", fmt.clean(end["hint"]))
        if code and self.hints:
            yield self._row("docs", Text(f"llamahome explain {code}"))
        yield from self._long("log", fmt.clean(end.get("report") or self._log))
        yield from self._warnings()
        if self.state.checkpoint:
            yield from self._next("resume", needed=True)

    def _lost(self) -> Iterator[Text]:
        title, saved = self._named(f"{self.symbols.bad} ", "bold red"), self.state.checkpoint
        at = f" at {position(self.state, self.symbols)}" if self.state.train else ""
        asked = "was stopped at once" if self.state.stopping else "was killed or crashed"
        yield title.append(f" {asked}{at}, before it could save")
        if self.state.train:
            since = f"what it learned after step {saved.get('step')}" if saved else "every step"
            yield self._row("lost", Text(since))
        if saved:
            yield self._row("saved", Text(f"checkpoint of step {saved.get('step')}; it stays"))
        yield from self._long("log", str(self._log))
        yield self._row("resume", Text(f"llamahome run --resume {self.directory.name}"))

    # --- Parts ---------------------------------------------------------------------------------

    @property
    def _log(self) -> Path:
        return self.directory / "log" / "run.log"

    def _named(self, sign: str, style: str) -> Text:
        return Text().append(sign, style).append(fmt.clean(self.state.name), "bold")

    def _row(self, word: str, text: Text) -> Text:
        return label(word).append_text(text)

    def _long(self, word: str, text: str, style: str = "") -> Iterator[Text]:
        """A row that may take several lines: nothing of an error or a path is cut off."""
        room = max(20, self.width - LABEL - 2)
        for number, line in enumerate(wrapped(text, room, 1000, self.symbols)):
            yield self._row(word if number == 0 else "", Text(line, style))

    def _title(self, title: Text) -> Text:
        train = self.state.train
        facts = []
        if train.get("step"):
            plural = "" if train["step"] == 1 else "s"
            facts.append(f"{fmt.count(train['step'], self.symbols)} step{plural}")
        if train.get("tokens"):
            facts.append(f"{fmt.short(train['tokens'], self.symbols)} tokens")
        text = f" {self.symbols.dot} ".join(facts)
        space = min(self.width, _TITLE) - title.cell_len - len(text)
        if not text or space <= 1:
            return fit(title, self.width, self.symbols)
        return title.append(" " * space).append(text, "dim")

    def _cells(self, word: str, *cells: str) -> Text:
        row = label(word)
        for number, cell in enumerate(cell for cell in cells if cell):
            more = "" if number == 0 else f" {self.symbols.dot} "
            if row.cell_len + len(more) + Text(cell).cell_len > self.width:
                break
            row.append(more + cell)
        return row

    def _loss(self) -> Iterator[Text]:
        state, to = self.state, self.symbols.to
        if state.first_loss is not None and state.losses:
            last = fmt.loss(state.losses[-1][1])
            yield self._cells("loss", f"{fmt.loss(state.first_loss)} {to} {last}")
        if not state.evals:
            return
        # A resumed session did not see the evaluation before training; the end event tells it.
        metrics = state.end.get("metrics") or {}
        losses = [event.get("loss") for event in state.evals]
        final = losses[-1]
        first = metrics.get("evaluate_loss_before", losses[0])
        if len(losses) == 1 and "evaluate_loss_before" not in metrics:
            yield self._cells("eval", evaluation(state.evals[-1]))
            return
        # What is published is the last state: the best one is told beside it, not in its place.
        change = f"{100 * (final / first - 1):+.1f} %" if first and final is not None else ""
        yield self._cells("eval", f"{fmt.loss(first)} {to} {fmt.loss(final)}", self._best(), change)

    def _best(self) -> str:
        best, last = self.state.best, self.state.evals[-1]
        if best is None:
            return ""
        at = f"at step {best.get('step')}"
        return f"best {at}" if best is last else f"best {fmt.loss(best['loss'])} {at}"

    def _speed(self) -> Iterator[Text]:
        state = self.state
        median, slow = state.step_time(0.5), state.step_time(0.95)
        if state.tok_s and median is not None and slow is not None:
            yield self._cells(
                "speed",
                f"{fmt.count(state.tok_s, self.symbols)} tok/s mean",
                f"step {fmt.seconds(median)} p50",
                f"{fmt.seconds(slow)} p95",
            )
        if state.memory_peak:
            yield self._cells("memory", f"{fmt.size(state.memory_peak)} peak")

    def _saved(self) -> Iterator[Text]:
        for version in self.state.published:
            name = fmt.clean(version.get("label"))
            tags = ", ".join(fmt.clean(tag) for tag in version.get("tags") or ())
            digest = fmt.clean(version.get("digest") or "").replace("sha256:", "sha256 ")[:19]
            label_text = f"{name} ({tags})" if tags else name
            yield self._cells("published", label_text, *_parts(version), digest)

    def _answers(self) -> Iterator[Text]:
        if not self.state.samples:
            return
        yield Text()
        room = max(20, self.width - LABEL - 2)
        for prompt, known in self.state.samples.items():
            for line in wrapped(fmt.clean(prompt), self.width - 2, 2, self.symbols):
                yield Text(f"  {line}", "bold")
            yield from self._answer("before", known.before, room, "dim")
            if known.now_step != known.before_step:
                yield from self._answer("after", known.now, room, "")
            yield Text()

    def _answer(self, word: str, answer: str, room: int, style: str) -> Iterator[Text]:
        text = fmt.clean(answer) or "(nothing)"
        for number, line in enumerate(wrapped(text, room, _ANSWER_LINES, self.symbols)):
            yield self._row(word if number == 0 else "", Text(line, style))

    def _warnings(self) -> Iterator[Text]:
        for number, (text, times) in enumerate(self.state.warnings.items()):
            word = "" if number else "warnings"
            again = f" ({times} times)" if times > 1 else ""
            yield from self._long(
                word, f"{self.symbols.warning} {fmt.clean(text)}{again}", "yellow"
            )

    def _next(self, word: str, *, needed: bool = False) -> Iterator[Text]:
        if self.hints or needed:
            for number, command in enumerate(self.state.end.get("next") or ()):
                yield self._row(word if number == 0 else "", Text(fmt.clean(command), "cyan"))


def _parts(version: Mapping[str, Any]) -> Iterator[str]:
    """Each part with its size, if the sizes are told apart; else all parts and one size."""
    size, parts = version.get("size"), version.get("parts") or ()
    if isinstance(size, Mapping):
        for part in parts:
            known = f" {fmt.size(size[part])}" if part in size else ""
            yield f"{fmt.clean(part)}{known}"
        return
    if parts:
        yield " and ".join(fmt.clean(part) for part in parts)
    if isinstance(size, int | float):
        yield fmt.size(size)
