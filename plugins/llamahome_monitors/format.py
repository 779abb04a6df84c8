"""Numbers and foreign text as the terminal shows them: same units everywhere, nothing harmful."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from attrs import frozen

from llamahome_core import clean as without_controls

_LONGEST = 4000
_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"  # control characters that are white space
_THREE_DIGITS = 999.5  # from here on, the next unit
_MILLISECONDS = 0.095
_FRACTIONS = 9.995
_READABLE = 10_000
_TIMES = ((86400, 3600, "d", "h"), (3600, 60, "h", "m"), (60, 1, "m", "s"))


@frozen(kw_only=True)
class Symbols:
    """The signs of the views; each only repeats what a word beside it says."""

    full: str = "━"
    half: str = "╸"
    rest: str = "─"
    down: str = "↓"
    up: str = "↑"
    to: str = "→"
    dot: str = "·"
    warning: str = "⚠"
    good: str = "✓"
    bad: str = "✗"
    ellipsis: str = "…"
    thin: str = "\u2009"
    spark: str = "▁▂▃▄▅▆▇█"


UNICODE = Symbols()
ASCII = Symbols(
    full="=", half=">", rest="-", down="v", up="^", to="->", dot="|", warning="!",
    good="+", bad="x", ellipsis="...", thin=" ", spark="_.-=+*%#",
)  # fmt: skip


def symbols_for(encoding: str | None) -> Symbols:
    """What a stream of *encoding* can show."""
    unicode = (encoding or "").lower().replace("_", "-") in {"utf-8", "utf8", "utf-16", "utf-32"}
    return UNICODE if unicode else ASCII


def clean(text: Any) -> str:
    """One line without anything that a terminal would obey: model answers are not trusted.

    What :func:`llamahome_core.clean` drops is dropped; white space of any kind becomes one space.
    """
    return " ".join(without_controls(str(text)[:_LONGEST], keep=_SPACES).split())


def count(number: float, symbols: Symbols = UNICODE) -> str:
    """``1 938``, with a thin space between thousands."""
    return f"{round(number):,}".replace(",", symbols.thin)


def short(number: float, symbols: Symbols = UNICODE) -> str:
    """``4.92 M`` from a million on, exact below."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= limit:
            return f"{number / limit:.2f} {unit}"
    return count(number, symbols)


def size(number: float) -> str:
    """Bytes in binary units: ``9.4 MiB``."""
    if number < _THREE_DIGITS:
        return f"{number:.0f} B"
    value = float(number)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < _THREE_DIGITS:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def seconds(number: float) -> str:
    """At most two units: ``1.77s``, ``42s``, ``11m 40s``, ``1h 12m``, ``2d 3h``."""
    if number < _MILLISECONDS:
        return f"{number * 1000:.0f}ms"
    if number < _FRACTIONS:
        return f"{number:.2f}s"
    whole = round(number)
    for big, small, name, part in _TIMES:
        if whole >= big:
            rest = whole % big // small
            return f"{whole // big}{name} {rest}{part}" if rest else f"{whole // big}{name}"
    return f"{whole}s"


def wait(number: float) -> str:
    """A time that passes while one looks: no fractions, at most two units."""
    return seconds(number) if number >= _TIMES[-1][0] else f"{int(max(0.0, number))}s"


def percent(done: float, total: float) -> str:
    """``34 %``; never 100 before the end."""
    return f"{int(100 * done / total) if total else 100} %"


def loss(number: float | None) -> str:
    """Three decimals, or that it was not finite."""
    return "not finite" if number is None else f"{number:.3f}"


def perplexity(number: float) -> str:
    """One decimal; powers of ten when it says little any more."""
    return f"{number:.1f}" if number < _READABLE else f"{number:.1e}"


def mean(values: Sequence[float]) -> float:
    """The mean; ``statistics`` takes longer to import than all that is shown takes to compute."""
    return sum(values) / len(values)


def sparkline(values: Sequence[float], width: int, symbols: Symbols = UNICODE) -> str:
    """The course of *values* in at most *width* characters: each shows the mean of a part."""
    finite = [value for value in values if math.isfinite(value)]
    width = min(width, len(finite))
    if width <= 1:
        return ""
    edges = [round(i * len(finite) / width) for i in range(width + 1)]
    means = [mean(finite[a:b]) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    top = len(symbols.spark) - 1
    if high == low:
        return symbols.spark[0] * width
    return "".join(symbols.spark[round((m - low) / (high - low) * top)] for m in means)
