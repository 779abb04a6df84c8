"""The fixtures of the kit, as a project has them that asks for nothing else."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytest_plugins = ["pytester"]

CONFTEST = 'pytest_plugins = "llamahome_core.testing"\n'
PLUGIN = '''
SOURCE = """
from llamahome_core import Component, hookimpl
from llamahome_lines.config import Config

@hookimpl
def llamahome_data_sources():
    yield Component(name="lines", summary="L.", config=Config, factory="llamahome_lines.impl:Lines")
"""
CONFIG = """
from pathlib import Path
from attrs import frozen

@frozen(kw_only=True)
class Config:
    path: Path
    \'\'\'A file of text.\'\'\'
"""
IMPL = """
from llamahome_core import Row

class Lines:
    def __init__(self, config, context):
        self.path = config.path

    def digest(self):
        return self.path.read_text()

    def rows(self):
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            yield Row(value={"text": line}, source="lines", number=number)
"""
'''


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder that pytest runs in, with the kit and nothing of this project's tests."""
    pytester.makeconftest(CONFTEST)
    return pytester


def run(project: pytest.Pytester, text: str) -> None:
    """Every test of *text* passes, with warnings as errors."""
    project.makepyfile(text)
    done = project.runpytest_subprocess("-q", "-W", "error", "-p", "no:cacheprovider")
    outcome = done.parseoutcomes()
    assert outcome.keys() == {"passed"}, done.stdout.str()


def test_a_kernel_knows_what_it_is_given_and_nothing_else(project):
    """Installed plugins come by name, LlamaHome's own when asked; no setting of a user is read."""
    run(
        project,
        """
        import pytest
        from llamahome_core import BrokenPluginError, Component, hookimpl

        def test_nothing(kernel, workspace):
            assert kernel().plugins.all == []
            assert kernel().workspace == workspace
            assert kernel().environ == {}

        def test_own_plugins(kernel):
            names = set(kernel(builtins=True).plugins.active)
            assert {"data", "stores"} <= names
            assert set(kernel("stores").plugins.active) == {"stores"}
            assert set(kernel("stores", builtins=True).plugins.active) == names
            with pytest.raises(LookupError, match="no plugin 'store' is installed; there are "):
                kernel("store")

        def test_an_object(kernel, make_plugin):
            def stores():
                yield Component(name="a", summary="A.", factory="a:b")
            made = kernel(make_plugin("mine", llamahome_stores=stores))
            assert set(made.plugins.active) == {"mine"}

        def test_strict(kernel, make_plugin):
            wrong = make_plugin("wrong", llamahome_cashes=lambda: ())
            with pytest.raises(BrokenPluginError, match="unknown hook"):
                kernel(wrong)
            assert kernel(wrong, strict=False).plugins.broken
        """,
    )


def test_a_package_from_source_is_installed_for_one_test(project):
    """It is found by name, in this process and in others, and is gone afterwards."""
    run(
        project,
        PLUGIN
        + """
import subprocess, sys
import pytest
from llamahome_core.testing import check_plugin

def test_made(kernel, make_plugin):
    made = make_plugin("lines", SOURCE, config=CONFIG, impl=IMPL)
    assert made.origin == "llamahome-lines 1.0"
    for given in (made, made, "lines"):
        assert set(kernel(given).plugins.active) == {"lines"}
    assert check_plugin("lines") == []
    subprocess.run([sys.executable, "-c", "import llamahome_lines.impl"], check=True)
    import llamahome_lines

def test_gone(kernel):
    with pytest.raises(ImportError):
        import llamahome_lines
    with pytest.raises(LookupError):
        kernel("lines")
""",
    )


def test_the_command_runs_in_this_process(project):
    """With its exit code, both streams, and JSON read."""
    run(
        project,
        """
        def test_command(run_cli, kernel, make_plugin):
            own = run_cli("plugins", "--json")
            assert own.code == 0
            assert "stores" in [plugin["name"] for plugin in own.json["plugins"]]
            mine = kernel(make_plugin("mine", llamahome_stores=lambda: []))
            assert run_cli("plugins", over=mine).out.splitlines()[1].split()[0] == "mine"
            wrong = run_cli("show", "nothing")
            assert (wrong.code, wrong.out) == (2, "")
            assert "nothing" in wrong.err
        """,
    )


# Not imported here: pytester takes back what a test imports, and torch cannot be imported twice.
@pytest.mark.skipif(find_spec("torch") is None, reason="a run needs llamahome[train]")
@pytest.mark.slow
def test_a_recipe_runs_in_seconds_with_a_plugin_and_the_hooks_are_recorded(project):
    """The tiny model learns from what the plugin reads."""
    run(
        project,
        PLUGIN
        + """
def test_run(kernel, recipe, make_plugin, hook_recorder, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("mind the step\\\\n" * 20)
    recipe["data"] = [{"use": "lines", "path": str(text)}]
    recipe["objective"] = {"use": "pretrain"}
    lines = make_plugin("lines", SOURCE, config=CONFIG, impl=IMPL)
    outcome = kernel(lines, hook_recorder, builtins=True).run(recipe)
    assert outcome.error is None
    assert outcome.metrics["steps"] == 6
    assert hook_recorder.names == [
        "llamahome_run_started", "llamahome_execute", "llamahome_run_finished"
    ]
    assert hook_recorder.of("llamahome_run_finished")[0]["outcome"].status == "finished"
""".replace("\\\\n", "\\n"),
    )


def test_the_kit_is_there_for_those_who_ask_and_for_nobody_else(project):
    """Without the line in conftest.py there are no fixtures, and the kernel never imports it."""
    project.makeconftest("")
    project.makepyfile("def test_it(hook_recorder): ...")
    done = project.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    done.stdout.fnmatch_lines(["*fixture 'hook_recorder' not found*"])
    code = (
        "import sys, llamahome_core, llamahome_core.cli.plugins\n"
        "[getattr(llamahome_core, name) for name in llamahome_core.__all__]\n"
        "print([m for m in ('pytest', 'llamahome_core.testing') if m in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout

    assert printed.strip() == b"[]"


def test_a_failed_assertion_of_a_contract_shows_its_values(project):
    """Where the kit is asked for, and where a class of it is only imported."""
    text = """
        import pytest
        from llamahome_core.testing import ScheduleContract

        class Steep:
            def factor(self, step, total):
                return 2.5

        class TestSteep(ScheduleContract):
            @pytest.fixture
            def schedule(self):
                return Steep()

        class TestNothingGiven(ScheduleContract):
            pass
        """
    for conftest in (CONFTEST, ""):
        project.makeconftest(conftest)
        project.makepyfile(text)
        done = project.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "error")
        assert done.parseoutcomes() == {"failed": 5, "passed": 5, "errors": 10}
        done.stdout.fnmatch_lines(
            ["*give a fixture `schedule`*", "*Left contains 1000 more items*"]
        )
