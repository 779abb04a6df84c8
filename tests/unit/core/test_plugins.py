"""Plugins load one by one: whatever one does, it is this plugin's fault and nobody else's."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import BrokenPluginError, Component, Kind, PluginError, Ref, Stage, hookimpl
from llamahome_core.discovery import Plugin, Policy, from_object
from llamahome_core.plugins import Plugins
from llamahome_core.registry import Catalog

GOOD = """
from llamahome_core import Component, hookimpl
@hookimpl
def llamahome_caches():
    yield Component(name="{name}", summary="", factory="a:b")
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a plugin's module; returns the plugin as discovery finds it."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def make(name: str, text: str | None = None) -> Plugin:
        module = f"lh_test_{name}"
        (tmp_path / f"{module}.py").write_text(GOOD.format(name=name) if text is None else text)
        written.append(module)
        entry = EntryPoint(name, module, "llamahome")
        return Plugin(name=name, origin=f"llamahome-{name} 1.0", entry=entry)

    yield make
    for module in written:
        sys.modules.pop(module, None)


def caches(plugins: Plugins) -> list[str]:
    return [c.name for _, c in Catalog(plugins).components(Kind.CACHE)]


BROKEN = {
    "import": "import lh_absent",
    "exit": "raise SystemExit('bye')",
    "syntax": "def x(:",
    "unknown_hook": "from llamahome_core import hookimpl\n@hookimpl\ndef llamahome_cashes(): ...",
    "unknown_argument": (
        "from llamahome_core import hookimpl\n@hookimpl\ndef llamahome_run_started(run, extra): ..."
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_plugin_that_cannot_load_is_set_aside_and_the_others_work(write, kind):
    """It is remembered with its error, and unregistered."""
    plugins = Plugins([write("a"), write("bad", BROKEN[kind]), write("c")], Policy())

    assert caches(plugins) == ["a", "c"]
    assert list(plugins.active) == ["a", "c"]
    (broken,) = plugins.broken
    assert broken.name == "bad"
    assert broken.error is not None
    assert not plugins.manager.has_plugin("bad")


@pytest.mark.parametrize("kind", BROKEN)
def test_strict_makes_a_broken_plugin_fatal(write, kind):
    """With its origin and the way to work without it."""
    with pytest.raises(BrokenPluginError, match=r"plugin 'bad' .llamahome-bad 1.0. is") as caught:
        Plugins([write("bad", BROKEN[kind])], Policy(strict=True))

    assert caught.value.hint == "run without it: llamahome -p no:bad …"


DECLARES = {
    "raises": ("raise RuntimeError('no')", "no"),
    "exits": ("raise SystemExit(2)", "2"),
    "raises late": (
        "yield Component(name='x', summary='', factory='a:b'); raise RuntimeError('late')",
        "late",
    ),
    "wrong record": ("yield 'text'", "must yield Component, not 'text'"),
    "nothing": ("pass", "returned None: does it lack a yield?"),
    "no list": ("return Component(name='x', summary='', factory='a:b')", "not iterable"),
    "bad record": ("yield Component(name='X Y', summary='', factory='a:b')", "name"),
    "same twice": (
        "yield from [Component(name='x', summary='', factory='a:b')] * 2",
        "llamahome_caches yields 'x' twice",
    ),
}


@pytest.mark.parametrize("kind", DECLARES)
def test_a_hook_that_fails_sets_its_plugin_aside_when_it_is_asked(write, kind):
    """A generator that fails late gives nothing at all; the next plugin is asked all the same."""
    body, message = DECLARES[kind]
    head = "from llamahome_core import Component, hookimpl\n"
    text = f"{head}@hookimpl\ndef llamahome_caches():\n {body}"
    plugins = Plugins([write("a"), write("bad", text), write("c")], Policy())
    assert not plugins.broken

    assert caches(plugins) == ["a", "c"]
    (broken,) = plugins.broken
    assert message in str(broken.error)


def test_a_plugin_that_breaks_late_offers_nothing_any_more(write):
    """What it gave before goes too: half a plugin would be offered, depending on who asks first."""
    text = GOOD.format(name="x") + "@hookimpl\ndef llamahome_stages():\n raise RuntimeError\n"
    plugins = Plugins([write("bad", text)], Policy())
    catalog = Catalog(plugins)
    assert [c.name for _, c in catalog.components(Kind.CACHE)] == ["x"]

    assert catalog.stages() == []

    assert catalog.components(Kind.CACHE) == []


def test_strict_makes_a_failing_declaration_fatal(write):
    text = "from llamahome_core import hookimpl\n@hookimpl\ndef llamahome_caches():\n 1 / 0\n"
    plugins = Plugins([write("bad", text)], Policy(strict=True))

    with pytest.raises(BrokenPluginError, match="ZeroDivisionError"):
        caches(plugins)


def test_what_may_not_load_is_never_imported(write):
    """Its module does not run, so that a broken one can be switched off."""
    bad = write("bad", "raise RuntimeError('imported')")
    plugins = Plugins([write("a"), bad], Policy.parse(["no:bad"], strict=True))

    assert bad.status == "blocked"
    assert "lh_test_bad" not in sys.modules
    assert caches(plugins) == ["a"]


def test_a_shadowed_plugin_is_not_imported_but_is_listed(write):
    """Two distributions with one name: the second is shown and not used."""
    first, second = write("a"), write("b", "raise RuntimeError('imported')")
    second.name = "a"
    plugins = Plugins([first, second], Policy(strict=True))

    assert [plugin.status for plugin in plugins.all] == ["active", "shadowed"]
    assert caches(plugins) == ["a"]


class One:
    """A plugin object."""

    def __init__(self, name: str) -> None:
        self.part = name

    @hookimpl
    def llamahome_caches(self) -> Any:
        yield Component(name=self.part, summary="", factory="a:b")


def test_two_objects_of_one_class_are_two_plugins():
    """An embedding program need not invent names."""
    plugins = Plugins(
        [from_object(One("x")), from_object(One("y")), from_object(One("z"))], Policy()
    )

    assert list(plugins.active) == ["one", "one-2", "one-3"]
    assert sorted(caches(plugins)) == ["x", "y", "z"]


def test_one_object_twice_is_broken_the_second_time_and_stays_active_the_first():
    """pluggy refuses it, and that must not unregister the first."""
    same = One("x")
    plugins = Plugins([from_object(same), from_object(same)], Policy())

    assert [plugin.status for plugin in plugins.all] == ["active", "broken"]
    assert caches(plugins) == ["x"]


def test_two_implementations_of_one_hook_in_one_plugin_both_count():
    """Under ``specname``; that they have one owner is no reason to compare them."""

    class Two:
        @hookimpl(specname="llamahome_caches")
        def first(self) -> Any:
            return [Component(name="x", summary="", factory="a:b")]

        @hookimpl(specname="llamahome_caches")
        def second(self) -> Any:
            return [Component(name="y", summary="", factory="a:b")]

    plugins = Plugins([from_object(Two())], Policy(strict=True))

    assert sorted(caches(plugins)) == ["x", "y"]


def test_every_record_keeps_its_owner(write):
    plugins = Plugins([write("b"), write("a")], Policy())

    assert [(p.name, c.name) for p, c in Catalog(plugins).components(Kind.CACHE)] == [
        ("a", "a"),
        ("b", "b"),
    ]


def test_observers_are_called_one_by_one_and_failures_are_returned():
    """One that fails, exits or forgets that it is a generator keeps none of the others away."""
    seen: list[str] = []

    class Fails:
        @hookimpl
        def llamahome_run_started(self, run: Any) -> None:
            raise RuntimeError(run)

    class Exits:
        @hookimpl
        def llamahome_run_started(self) -> None:
            raise SystemExit(1)

    class Yields:
        @hookimpl
        def llamahome_run_started(self) -> Any:
            seen.append("never")
            yield

    class Works:
        @hookimpl
        def llamahome_run_started(self, run: Any) -> None:
            seen.append(run)

    objects = [Works(), Fails(), Exits(), Yields(), Works()]
    plugins = Plugins([from_object(thing) for thing in objects], Policy())

    failures = plugins.notify("llamahome_run_started", run="the run")

    assert seen == ["the run", "the run"]
    assert sorted((p.name, type(e).__name__) for p, e in failures) == [
        ("exits", "SystemExit"),
        ("fails", "RuntimeError"),
        ("yields", "TypeError"),
    ]


def test_a_ctrl_c_in_a_plugin_is_a_ctrl_c(write):
    """It is the user's wish and no fault of the plugin."""
    with pytest.raises(KeyboardInterrupt):
        Plugins([write("slow", "raise KeyboardInterrupt")], Policy())
    with pytest.raises(KeyboardInterrupt):
        Ref("lh_test_slow:anything").load()


@pytest.mark.parametrize("error", ["SystemExit(0)", "GeneratorExit"])
def test_what_ends_a_program_is_the_plugins_own_fault(write, error):
    """The plugin is broken, at import or late, and so is what it names."""
    text = f"{GOOD.format(name='x')}@hookimpl\ndef llamahome_stages():\n raise {error}\n"
    bad, late = write("bad", f"raise {error}"), write("late", text)
    plugins = Plugins([bad, late, write("c")], Policy())
    assert [p.name for p in plugins.broken] == ["bad"]

    Catalog(plugins).stages()

    assert list(plugins.active) == ["c"]
    with pytest.raises(PluginError, match="cannot import"):
        Ref("lh_test_bad:anything").load()


def test_a_record_of_another_kind_is_refused():
    class Wrong:
        @hookimpl
        def llamahome_caches(self) -> Any:
            yield Stage(name="x", summary="", run="a:b")

    plugins = Plugins([from_object(Wrong())], Policy())
    assert caches(plugins) == []
    assert "must yield Component" in str(plugins.broken[0].error)
