"""A run knows the plugins that it was made with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from llamahome_core import Ref
from llamahome_core.discovery import Plugin
from llamahome_core.provenance import differences, foreign, record, recorded

OWN = {"distribution": "llamahome", "version": "0.1.0"}
HELLO = {"distribution": "llamahome-hello", "version": "1.0"}
EMBEDDED = {"distribution": "embedded"}


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"hello": HELLO}, {"hello": HELLO}, []),
        (
            {"hello": HELLO},
            {"hello": HELLO | {"version": "1.1"}},
            ["plugin hello: llamahome-hello 1.0 when the run began, and llamahome-hello 1.1 now"],
        ),
        (
            {"hello": HELLO},
            {},
            ["plugin hello: llamahome-hello 1.0 when the run began, and is not active now"],
        ),
        (
            {},
            {"hello": HELLO},
            ["plugin hello: llamahome-hello 1.0, and was not there when the run began"],
        ),
        (
            {"hello": HELLO | {"sha256": "a"}},
            {"hello": HELLO | {"sha256": "b"}},
            ["plugin hello: llamahome-hello 1.0, with other files than when the run began"],
        ),
        # Only one of them was locked: nothing is known of the files.
        ({"hello": HELLO | {"sha256": "a"}}, {"hello": HELLO}, []),
        ({"hello": HELLO}, {"hello": HELLO | {"sha256": "a"}}, []),
        # LlamaHome's own are one thing.
        (
            {"data": OWN, "models": OWN},
            {"data": OWN | {"version": "0.2"}, "models": OWN | {"version": "0.2"}},
            ["LlamaHome: llamahome 0.1.0 when the run began, and llamahome 0.2 now"],
        ),
        (
            {"data": OWN},
            {},
            ["plugin data: llamahome 0.1.0 when the run began, and is not active now"],
        ),
        ({"mine": EMBEDDED}, {"mine": EMBEDDED}, []),
    ],
)
def test_what_differs_from_the_beginning_of_a_run_is_named(before, now, told):
    assert differences(before, now) == told


def test_a_record_holds_distribution_version_and_the_hash_that_was_compared():
    plugin = Plugin(name="hello", origin="llamahome-hello 1.0")
    mine = Plugin(name="mine", origin="embedded")

    assert record([plugin, mine]) == {"hello": HELLO, "mine": EMBEDDED}
    assert record([evolve(plugin, digest="f00")]) == {"hello": HELLO | {"sha256": "f00"}}


@pytest.mark.parametrize("text", [None, "", "[1]", '{"a": 3}', '{"a": "llamahome 0.1"}', "\x80"])
def test_a_record_that_cannot_be_read_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "plugins.json").write_bytes(text.encode("latin-1"))

    assert recorded(tmp_path) == {}


def test_third_parties_plugins_are_those_that_matter():
    assert list(foreign({"data": OWN, "hello": HELLO, "mine": EMBEDDED})) == [
        ("hello", "llamahome-hello 1.0"),
        ("mine", "embedded"),
    ]


# --- A run


def test_a_run_that_goes_on_with_other_plugins_says_which(make_kernel, tables, fakes):
    """As warnings, which the summary repeats; the run goes on."""

    def stop(context: Any) -> None:
        context.stop.request()
        context.stop.check()

    fakes.work = stop
    kernel = make_kernel()
    kernel.run(tables)
    path = kernel.workspace.runs / "small-1" / "plugins.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hello": HELLO}))
    fakes.work = lambda _: None

    assert kernel.resume("small-1").status == "finished"

    lines = (path.parent / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [e["text"] for e in events if e["t"] == "warning"] == [
        "plugin hello: llamahome-hello 1.0 when the run began, and is not active now"
    ]
    assert [e["plugins"] for e in events if e["t"] == "run"] == [{"parts": "embedded"}] * 2


def test_what_a_plugin_logs_is_in_the_log_of_the_run_under_its_own_name(
    make_kernel, tables, fakes, make_plugin
):
    """The name of the logger begins with its package: that says whose line it is."""
    chatty = make_plugin(
        "chatty",
        "x = 1",
        work="import logging\ndef work():\n    logging.getLogger(__name__).info('hello')\n",
    )
    fakes.work = lambda _: Ref("llamahome_chatty.work:work").load()()
    kernel = make_kernel(plugins=[chatty])

    kernel.run(tables)

    lines = (kernel.workspace.runs / "small-1" / "log" / "run.log").read_text().splitlines()
    assert [r["logger"] for r in map(json.loads, lines) if r["event"] == "hello"] == [
        "llamahome_chatty.work"
    ]
