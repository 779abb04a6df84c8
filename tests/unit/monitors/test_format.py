"""Numbers and foreign text for the terminal."""

from __future__ import annotations

import attrs
import pytest
from rich.cells import cell_len

from llamahome_monitors import format as fmt
from llamahome_monitors.format import ASCII, UNICODE


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (9.4 * 2**20, "9.4 MiB"),
        (513 * 2**20, "513.0 MiB"), (1000 * 2**20, "1.0 GiB"), (4.1 * 2**30, "4.1 GiB"),
        (2**40, "1.0 TiB"), (5000 * 2**40, "5000.0 TiB"),
    ],
)  # fmt: skip
def test_sizes_are_binary_and_short(number: float, text: str):
    """KiB, MiB, GiB, TiB, with one decimal and never four digits before the last unit."""
    assert fmt.size(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0ms"), (0.012, "12ms"), (0.1, "0.10s"), (1.77, "1.77s"), (9.996, "10s"), (42, "42s"),
        (59.6, "1m"), (60, "1m"), (700, "11m 40s"), (3600, "1h"), (4320, "1h 12m"),
        (183600, "2d 3h"),
    ],
)  # fmt: skip
def test_times_have_at_most_two_units(number: float, text: str):
    """From milliseconds to days."""
    assert fmt.seconds(number) == text


def test_counts_have_thin_spaces():
    """Plain ones where the encoding lacks them; millions are shortened only where asked."""
    assert fmt.count(1938) == "1\u2009938"
    assert fmt.count(1938, ASCII) == "1 938"
    assert fmt.short(999_999, ASCII) == "999 999"
    assert [fmt.short(n) for n in (4.92e6, 1.5e9, 2e12)] == ["4.92 M", "1.50 G", "2.00 T"]


def test_percent_is_not_100_before_the_end():
    """999 of 1000 is 99 %."""
    assert fmt.percent(999, 1000) == "99 %"
    assert fmt.percent(1000, 1000) == "100 %"
    assert fmt.percent(0, 0) == "100 %"


def test_losses_and_perplexities():
    """A value that is not finite is null in the events and says so."""
    assert fmt.loss(1.8424) == "1.842"
    assert fmt.loss(None) == "not finite"
    assert fmt.perplexity(6.49) == "6.5"
    assert fmt.perplexity(123456.0) == "1.2e+05"


def test_sparklines_go_from_the_highest_to_the_lowest():
    """One character for each part of the values; nothing for one value; flat is low."""
    assert fmt.sparkline([3, 2, 1], 10) == "█▅▁"
    assert fmt.sparkline([3, 2, 1], 10, ASCII) == "#+_"
    assert fmt.sparkline([5, 5, 3, 3, 1, 1], 3) == "█▅▁"
    assert fmt.sparkline([1.0], 10) == ""
    assert fmt.sparkline([1.0, 2.0], 0) == ""
    assert fmt.sparkline([2.0, 2.0], 5) == "▁▁"
    assert fmt.sparkline([1.0, float("nan"), 2.0], 5) == "▁█"
    assert len(fmt.sparkline(range(1000), 44)) == 44


@pytest.mark.parametrize(
    ("dirty", "text"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("\x9b31mred", "red"),
        ("\x9dtitle\x9cx", "x"),
        ("\x1b]never ends", ""),
        ("\x1bcreset", "reset"),
        ("\x1b", ""),
        ("a\x1b(0b", "ab"),
        ("bell\x07 back\x08 nul\x00", "bell back nul"),
        ("over\rwrite\nnext\tcolumn\u2028end", "over write next column end"),
        ("\u202eright to left", "right to left"),
        ("zero\u200bwidth", "zerowidth"),
        ("[bold]no markup[/bold]", "[bold]no markup[/bold]"),
        ("  spaces   inside ", "spaces inside"),
        ("naïve 模型 🦙", "naïve 模型 🦙"),
        ("\ud800", ""),
        (7, "7"),
    ],
)
def test_foreign_text_is_harmless(dirty: str, text: str):
    """Nothing that a terminal obeys is left of an answer; words of all languages are."""
    assert fmt.clean(dirty) == text


def test_foreign_text_is_cut_before_it_is_cleaned():
    """An answer of megabytes costs no more than one of kilobytes."""
    assert len(fmt.clean("x" * 10_000_000)) == 4000


@pytest.mark.parametrize(
    ("encoding", "symbols"),
    [("utf-8", UNICODE), ("UTF8", UNICODE), ("ascii", ASCII), ("iso-8859-1", ASCII), (None, ASCII)],
)
def test_symbols_follow_the_encoding(encoding: str | None, symbols: fmt.Symbols):
    """Only UTF gets the signs beyond ASCII."""
    assert fmt.symbols_for(encoding) is symbols


def test_every_sign_is_one_cell_wide_and_ascii_is_ascii():
    """A bar of n signs is n cells; the ASCII forms are that."""
    for symbols in (UNICODE, ASCII):
        for name in ("full", "half", "rest", "down", "up", "dot", "warning", "good", "bad", "thin"):
            assert cell_len(getattr(symbols, name)) == 1
        assert all(cell_len(sign) == 1 for sign in symbols.spark)
    assert all(sign.isascii() for sign in attrs.astuple(ASCII))
