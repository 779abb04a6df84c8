"""What is wrong with a plugin is found and said, even where it ends, stops or fills its process."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from llamahome_core import UnknownNameError, checking, hookimpl
from llamahome_core.checking import check_plugin, examine_apart

GOOD = """
    from attrs import frozen
    from llamahome_core import Component, hookimpl

    @frozen(kw_only=True)
    class Config:
        size: int = 1
        '''How large.'''

    @hookimpl
    def llamahome_caches():
        yield Component(name="a", summary="A.", config=Config, factory="llamahome_acme.impl:make")
"""
IMPL = "def make(config, context): ..."

RECIPE = """from llamahome_core import PackagedRecipe

    @hookimpl
    def llamahome_recipes():
        yield PackagedRecipe(name="r", summary="R.", package="llamahome_acme", file="r.toml")

    @hookimpl"""

WRONG = {
    "misspelt": ("def llamahome_caches", "def llamahome_cashes", "unknown hook 'llamahome_cashes'"),
    "near": ("def llamahome_caches", "def llamahome_cashes", "did you mean 'llamahome_caches'?"),
    "unmarked": ("    @hookimpl\n", "", "llamahome_caches is never called: write @hookimpl above"),
    "arguments": ("def llamahome_caches()", "def llamahome_caches(me)", "'me'"),
    "record": ("yield Component(", "yield dict(", "llamahome_caches must yield Component, not {"),
    "nothing": ("yield Component(", "Component(", "llamahome_caches returned None"),
    "no name": ('name="a"', 'name="A a"', "'name' must match regex"),
    "factory": ("impl:make", "impl:mak", "cache a: cannot import 'llamahome_acme.impl:mak'"),
    "not callable": ("impl:make", "impl:__name__", "'llamahome_acme.impl:__name__' cannot be"),
    "silent": ("'''How large.'''", "", "cache a: the setting 'size' has no docstring"),
    "positional": ("(kw_only=True)", "", "Config must be keyword-only: @frozen(kw_only=True)"),
    "type": ("size: int", "size: object", "cache a: its settings cannot be described"),
    "heavy": ("from attrs", "import rich, attrs\n    from attrs", "imports rich, which every"),
    "raises": ("from attrs", "1 / 0\n    from attrs", "broken: ZeroDivisionError"),
    "leaves": ("from attrs", "raise SystemExit(0)\n    from attrs", "broken: SystemExit: 0"),
    "recipe": (
        "@hookimpl",
        RECIPE,
        "recipe r: there is no 'r.toml' in llamahome_acme",
    ),
}


def test_nothing_is_wrong_with_a_good_plugin(make_plugin):
    """By the name of what is installed, by its module's name, and as a module."""
    make_plugin("acme", GOOD, impl=IMPL)
    import llamahome_acme.plugin  # type: ignore[import-not-found]  # made by the line above

    for given in ("acme", "llamahome_acme.plugin", llamahome_acme.plugin):
        assert check_plugin(given) == []


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(make_plugin, case):
    """One change to the good plugin, and its message."""
    old, new, message = WRONG[case]
    assert old in GOOD
    make_plugin("acme", GOOD.replace(old, new, 1), impl=IMPL)

    assert message in "\n".join(check_plugin("acme"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import os; os._exit(0)", "the process ended with exit code 0 while it was imported"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL while it was imported"),
        ("import time; print(1); time.sleep(600)", "took too long while it was imported"),
        ("x = bytearray(2**32)", "the plugin is broken: MemoryError"),
    ],
)
def test_a_hostile_module_harms_nobody_and_is_told(make_plugin, monkeypatch, line, message):
    """It ends its own process, is killed, hangs or fills the memory."""
    monkeypatch.setattr(checking, "SECONDS", 3.0)
    make_plugin("acme", line)

    (problem, *_) = check_plugin("acme")

    assert message in problem


def test_a_factory_may_be_heavy_and_what_it_prints_is_no_report(make_plugin):
    """Limits of memory and the list of heavy modules are for what each start imports."""
    first = "import rich\nprint('{\"report\": {}}')\nx = bytearray(2**30)\n"
    made = make_plugin("acme", GOOD, impl=first + IMPL)

    assert check_plugin("acme") == []
    assert examine_apart(made).printed == '{"report": {}}'


def test_a_module_that_stops_its_own_watch_is_ended_from_outside(make_plugin, monkeypatch):
    monkeypatch.setattr(checking, "SECONDS", 0.5)
    monkeypatch.setattr(checking, "_LOADING", -9.0)
    stop = "import faulthandler, time\nfaulthandler.cancel_dump_traceback_later()\ntime.sleep(600)"
    make_plugin("acme", stop)

    (problem,) = check_plugin("acme")

    assert problem == "the process was ended because it took too long while it was imported"


def test_an_object_is_checked_where_it_is():
    """It cannot be imported by anybody else."""
    misspelt = types.SimpleNamespace(llamahome_cashes=hookimpl(lambda: ()), __name__="misspelt")

    assert "unknown hook 'llamahome_cashes'" in check_plugin(misspelt)[0]
    assert check_plugin(types.SimpleNamespace(llamahome_caches=hookimpl(lambda: ()))) == []
    assert check_plugin(types.ModuleType("empty")) == ["it implements no hook"]


def test_a_name_that_nothing_has_is_an_error_with_the_nearest(make_plugin):
    make_plugin("acme", GOOD)
    with pytest.raises(UnknownNameError) as caught:
        check_plugin("acmee")
    assert caught.value.hint == "did you mean 'acme'?"
    assert "No module named 'llamahome_nothing'" in check_plugin("llamahome_nothing.plugin")[0]


def test_the_command_says_the_same_and_loads_no_other_plugin(make_plugin):
    """A hostile plugin beside the one that is checked does nothing: only its own check runs it."""
    make_plugin("acme", GOOD, impl=IMPL)
    make_plugin("bad", "import os; os._exit(0)")

    def check(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "llamahome_core", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good, bad = check("plugins", "check", "acme"), check("plugins", "check", "bad")
    blocked = check("-p", "no:bad", "plugins", "check", "bad")

    assert (good.returncode, good.stdout) == (
        0,
        "acme  active  llamahome-acme 1.0\n1 offers, all of them importable\n",
    )
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "bad  broken  llamahome-bad 1.0\n" in bad.stdout
    assert "problem: the process ended with exit code 0 while it was imported" in bad.stdout
    assert blocked.stdout == (
        "bad  blocked  llamahome-bad 1.0\nproblem: the plugin is blocked: -p blocks it\n"
    )
