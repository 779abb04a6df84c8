"""Every hook has an example that runs as it stands, and what it declares arrives."""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import textwrap
import types
from typing import Any

import pytest

import llamahome_core
from llamahome_core import (
    Check,
    Command,
    Component,
    Defaults,
    Kind,
    NoSettings,
    Outcome,
    PackagedRecipe,
    Service,
    Stage,
    TrainingError,
    hookspecs,
)
from llamahome_core.discovery import Policy

HOOKS = {
    name: spec
    for name, spec in vars(hookspecs).items()
    if name.startswith("llamahome_") and callable(spec)
}
RECORDS = {
    **{kind.hook: Component for kind in Kind},
    "llamahome_services": Service,
    "llamahome_stages": Stage,
    "llamahome_commands": Command,
    "llamahome_checks": Check,
    "llamahome_defaults": Defaults,
    "llamahome_recipes": PackagedRecipe,
}
HAPPENS = {"llamahome_run_started", "llamahome_run_finished", "llamahome_execute"}


def example(name: str) -> str:
    """The code under ``Example::`` in the hook's docstring."""
    doc = inspect.getdoc(HOOKS[name]) or ""
    found = re.search(r"^Example::\n\n((?:    .*\n|\n)+)", doc, re.MULTILINE)
    assert found, f"{name} has no example"
    return textwrap.dedent(found[1])


def plugin(name: str, **more: Any) -> types.ModuleType:
    """The example as a plugin's module, with what its imports would bring."""
    code = example(name)
    module = types.ModuleType(f"example_{name}")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and hasattr(llamahome_core, node.id):
            setattr(module, node.id, getattr(llamahome_core, node.id))
        elif isinstance(node, ast.Name) and node.id.endswith("Config"):
            setattr(module, node.id, NoSettings)  # the author's own settings class
    vars(module).update(more)
    exec(compile(code, name, "exec"), vars(module))  # noqa: S102  # the example is what is tested
    return module


def test_every_hook_is_one_that_declares_or_one_that_happens():
    """A new hook needs an entry here, and so a test."""
    assert HOOKS.keys() == RECORDS.keys() | HAPPENS


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_what_it_is_for_and_since_when(name):
    """A summary line, an example, and the version that brought it."""
    doc = inspect.getdoc(HOOKS[name]) or ""

    assert re.match(r"[A-Z].*[.;]", doc.splitlines()[0])
    assert example(name)
    assert re.search(r"\.\. versionadded:: \d+\.\d+$", doc)


@pytest.mark.parametrize("name", RECORDS)
def test_the_example_of_a_declaring_hook_declares(name, make_kernel):
    """It loads in a strict kernel, which checks its hooks; its record arrives with its owner."""
    module = plugin(name)
    kernel = make_kernel(module)

    found = [
        record
        for owner, record in kernel.plugins.records(name, RECORDS[name])
        if owner.module is module
    ]

    (record,) = found
    assert isinstance(record, RECORDS[name])
    assert HOOKS[name]() == (), "what a hook does that nobody implements"


@pytest.mark.parametrize("kind", Kind)
def test_the_example_of_a_component_can_be_chosen(kind, make_kernel):
    """By the name that it declares."""
    kernel = make_kernel(plugin(kind.hook))

    owner, component = next(
        (p, c) for p, c in kernel.catalog.components(kind) if p.name.startswith("example")
    )
    assert kernel.catalog.find(kind, component.name) == (owner, component)


def test_the_example_of_run_started_sees_the_run(make_kernel, tables):
    kernel = make_kernel(plugin("llamahome_run_started"))

    kernel.run(tables)

    text = (kernel.workspace.runs / "small-1" / "events.jsonl").read_text()
    assert "the coffee is on" in text


def test_the_example_of_run_finished_sees_how_it_ended(make_kernel, tables, fakes, capsys):
    def work(_: Any) -> None:
        raise TrainingError("boom")

    fakes.work = work
    make_kernel(plugin("llamahome_run_finished")).run(tables)

    assert capsys.readouterr().out == "small-1 failed: boom\n"


def test_the_example_of_execute_wraps_the_run(make_kernel, tables):
    """Its result is the run's."""
    seen = []

    @contextlib.contextmanager
    def profiler() -> Any:
        seen.append("before")
        yield
        seen.append("after")

    outcome = make_kernel(plugin("llamahome_execute", profiler=profiler)).run(tables)

    assert seen == ["before", "after"]
    assert isinstance(outcome, Outcome)
    assert outcome.status == "finished"


def test_a_hook_with_a_misspelt_name_is_refused(make_kernel):
    """Silence would be worse: the plugin would be active and do nothing."""
    module = types.ModuleType("misspelt")
    code = "@hookimpl\ndef llamahome_cashes():\n    return ()\n"
    exec(code, vars(module) | {"hookimpl": llamahome_core.hookimpl}, vars(module))  # noqa: S102  # as above

    kernel = make_kernel(module, policy=Policy())

    assert kernel.plugins.all[-1].status == "broken"
    assert "unknown hook 'llamahome_cashes'" in str(kernel.plugins.all[-1].error)
