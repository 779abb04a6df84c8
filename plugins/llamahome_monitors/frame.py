"""Lays out the live view: a run's state, a size and a time in; lines of text out."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from rich.text import Text

from llamahome_monitors import format as fmt
from llamahome_monitors.format import Symbols
from llamahome_monitors.state import Progress, RunState
from llamahome_monitors.words import (
    LABEL,
    columns,
    counted,
    evaluation,
    facts,
    fit,
    label,
    position,
)

_ROOM = (14, 18, 18, 18)  # columns keep their place when numbers change their length
_SMALLEST_BAR = 8
_LARGEST_BAR = 44
_JUST_NOW = 10.0  # seconds


@frozen(kw_only=True)
class Frame:
    """One picture of a run.

    Attributes:
        state: The run.
        width: Cells of a line; none is longer.
        height: Most lines; the least important go first.
        now: The time in seconds, for ages and for what is left.
        symbols: What the terminal can show.
    """

    state: RunState
    width: int
    height: int
    now: float
    symbols: Symbols

    def lines(self) -> list[Text]:
        """The picture, from the top."""
        blocks = [b() for b in (self._header, self._numbers, self._sample, self._foot)]
        blocks = [block for block in blocks if block]
        # A low terminal loses the sample, then the space between, then the lower numbers.
        if _height(blocks) > self.height:
            blocks = [b for b in blocks if b[0].plain.split()[:1] != ["sample"]]
        spaced = _height(blocks) <= self.height
        rows = [row for block in blocks for row in ([Text(), *block] if spaced else block)]
        keep = max(1, self.height)
        rows = rows if len(rows) <= keep else [*rows[: keep - 1], rows[-1]][-keep:]
        return [fit(row, self.width, self.symbols) for row in rows]

    # --- The blocks ----------------------------------------------------------------------------

    def _header(self) -> list[Text]:
        row = Text().append(fmt.clean(self.state.name), "bold")
        for number, fact in enumerate(facts(self.state, self.symbols)):
            more = "  " if number == 0 else f" {self.symbols.dot} "
            if row.cell_len + len(more) + Text(fact).cell_len > self.width:
                break
            row.append(more + fact, "dim")
        return [row]

    def _numbers(self) -> list[Text]:
        state = self.state
        rows = [self._training()] if state.training else self._phase()
        if state.train:
            rows += [self._loss()]
            rows += [self._eval()] if state.evals else []
            rows += [self._step(), self._memory()]
        elif state.evals:
            rows += [self._eval()]
        return rows

    def _sample(self) -> list[Text]:
        samples = list(self.state.samples.items())
        if not samples:
            return []
        prompt, answers = samples[(self.state.rounds - 1) % len(samples)]
        rows = [label("sample").append(fmt.clean(prompt))]
        if answers.now_step != answers.before_step:
            rows.append(label("before").append(fmt.clean(answers.before), "dim"))
        return [*rows, label(f"step {answers.now_step}").append(fmt.clean(answers.now))]

    def _foot(self) -> list[Text]:
        state, hint = self.state, Text("  ")
        if state.stopping:
            # The training loop saves at the end of a step; other work just ends.
            words = "stopping after this step, then saving" if state.training else "stopping"
            hint.append(f"{words} (press again to stop at once)", "bold yellow")
        else:
            hint.append("Ctrl-C saves and stops", "dim")
        if state.warnings:
            number = counted(sum(state.warnings.values()), "warning")
            hint.append(f"   {self.symbols.warning} {number}", "yellow")
        if state.training and state.progress:
            hint.append(f"   {fmt.clean(state.progress.phase)}", "cyan")
            hint.append(self._share(state.progress), "cyan")
        return [hint]

    # --- The rows ------------------------------------------------------------------------------

    def _row(self, word: str, *cells: Text) -> Text:
        return columns(label(word), cells, self.width, _ROOM)

    def _training(self) -> Text:
        state = self.state
        step, steps = state.train.get("step") or 0, state.train.get("steps")
        eta = state.train.get("eta_s")
        left = None if eta is None else eta - max(0.0, self.now - state.now)
        text = position(state, self.symbols)
        most = 2 * len(fmt.count(steps, self.symbols)) + 1 if steps else 0
        return self._bar("train", step, steps, text.rjust(most), left)

    def _phase(self) -> list[Text]:
        """How far the stage is, and below it what it is doing, if it says so."""
        progress, stage = self.state.progress, fmt.clean(self.state.stage or "start")
        if progress is None:
            return [label(stage).append(fmt.wait(self.now - self.state.stage_since), "dim")]
        amount: Callable[[float], str] = (
            fmt.size if progress.in_bytes else lambda n: fmt.count(n, self.symbols)
        )
        text = amount(progress.done)
        if progress.total is not None:
            text = f"{text} / {amount(progress.total)}"
        if not progress.done:
            text = fmt.wait(self.now - progress.since)
        eta = progress.eta(self.now)
        row = self._bar(stage, progress.done, progress.total, text, eta)
        phase = fmt.clean(progress.phase)
        return [row] if phase == stage else [row, label("").append(phase, "dim")]

    def _bar(
        self, word: str, done: float, total: float | None, text: str, left: float | None
    ) -> Text:
        """A label, a bar in the room that is left, the numbers; narrow terminals lose the bar."""
        head, tail = label(word), Text(text)
        if total:
            tail.append(f"   {fmt.percent(done, total):>5}")
        if left is not None and total and done < total:
            time = fmt.wait(left)
            room = self.width - head.cell_len - tail.cell_len
            forms = (f"   {f'{time} left':<12}", f"   {time} left", f"  {time}", "")
            tail.append(next(form for form in forms if len(form) <= max(0, room)))
        room = min(_LARGEST_BAR, self.width - head.cell_len - tail.cell_len - 3)
        if not total or room < _SMALLEST_BAR:
            return head.append_text(tail)
        return head.append_text(self._drawn(done / total, room)).append("   ").append_text(tail)

    def _drawn(self, share: float, room: int) -> Text:
        halves = int(min(1.0, max(0.0, share)) * room * 2)
        full, half = divmod(halves, 2)
        bar = Text(self.symbols.full * full + self.symbols.half * half, "cyan")
        return bar.append(self.symbols.rest * (room - full - half), "bright_black")

    def _share(self, progress: Progress) -> str:
        return f" {fmt.percent(progress.done, progress.total)}" if progress.total else ""

    def _loss(self) -> Text:
        state, trend = self.state, self.state.trend()
        cell = Text().append(fmt.loss(state.train.get("loss")), "bold")
        if trend:
            arrow = self.symbols.down if trend < 0 else self.symbols.up
            cell.append(f" {arrow}", "green" if trend < 0 else "yellow")
        room = min(_LARGEST_BAR, self.width - LABEL - 2 - _ROOM[0])
        curve = fmt.sparkline([loss for _, loss in state.losses], room, self.symbols)
        return self._row("loss", cell, Text(curve, "cyan"))

    def _eval(self) -> Text:
        last, best = self.state.evals[-1], self.state.best
        cells = [Text(evaluation(last))]
        if best is not None and best["loss"] == last.get("loss"):
            cells.append(
                Text("best so far", "green") if last.get("step") else Text("before training", "dim")
            )
        elif best is not None:
            cells.append(Text(f"best {evaluation(best)}", "dim"))
        if last.get("ppl") is not None:
            cells.append(Text(f"perplexity {fmt.perplexity(last['ppl'])}"))
        return self._row("eval", *cells)

    def _step(self) -> Text:
        train, cells = self.state.train, []
        if train.get("step_s") is not None:
            cells.append(Text(fmt.seconds(train["step_s"])))
        if train.get("tok_s") is not None:
            cells.append(Text(f"{fmt.count(train['tok_s'], self.symbols)} tok/s"))
        if train.get("lr") is not None:
            cells.append(Text(f"lr {train['lr']:.2e}"))
        cells.append(self._gradient())
        return self._row("step", *cells)

    def _gradient(self) -> Text:
        train = self.state.train
        clip = self.state.run.get("clip") or self.state.parameters.get("clip")
        norm = train.get("grad_norm")
        cell = Text("grad not finite" if norm is None else f"grad {norm:.2f}")
        if clip and norm is not None and norm > clip:
            cell.append(" clipped", "dim")
        return cell if train.get("applied", True) else cell.append(" step left out", "yellow")

    def _memory(self) -> Text:
        train, saved = self.state.train, self.state.checkpoint
        cells = []
        if train.get("memory") is not None:
            cells.append(Text(fmt.size(train["memory"])))
        if self.state.memory_peak:
            cells.append(Text(f"peak {fmt.size(self.state.memory_peak)}"))
        if saved:
            age = self.now - saved["at"]
            when = "now" if age < _JUST_NOW else f"{fmt.wait(age)} ago"
            cells.append(Text(f"saved step {saved.get('step')}, {when}", "dim"))
        return self._row("memory", *cells)


def _height(blocks: list[list[Text]]) -> int:
    return sum(map(len, blocks)) + len(blocks)
