"""What goes away is told with its owner and its place, and nothing fails."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from llamahome_core import Component, Kernel, deprecated, hookimpl
from llamahome_core.deprecated import (
    LlamaHomeDeprecationWarning,
    LlamaHomeRemovedIn1Warning,
    LlamaHomeRemovedIn2Warning,
)
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.hookspecs import hookspec
from llamahome_core.inspection import examine
from llamahome_core.plugins import Plugins

OLD_HOOK = LlamaHomeRemovedIn2Warning("llamahome_olds goes in 2.0: implement llamahome_caches")
OLD_ARGUMENT = LlamaHomeRemovedIn1Warning("the argument `outcome` goes in 1.0: read run.status")

pytestmark = pytest.mark.filterwarnings(
    "ignore::llamahome_core.deprecated.LlamaHomeDeprecationWarning"
)


@hookspec(warn_on_impl=OLD_HOOK)
def llamahome_olds() -> None:
    """A hook that goes away."""


@hookspec(warn_on_impl_args={"outcome": OLD_ARGUMENT})
def llamahome_pasts(run: Any, outcome: Any) -> None:
    """A hook with an argument that goes away."""


class Old:
    """Implements both."""

    @hookimpl
    def llamahome_olds(self) -> None: ...

    @hookimpl
    def llamahome_pasts(self, outcome: Any) -> None: ...


class New:
    """Implements neither the hook nor the argument."""

    @hookimpl
    def llamahome_pasts(self, run: Any) -> None: ...


@pytest.fixture(autouse=True)
def _specs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hooks that go away are among the kernel's."""
    from llamahome_core import hookspecs

    monkeypatch.setattr(hookspecs, "llamahome_olds", llamahome_olds, raising=False)
    monkeypatch.setattr(hookspecs, "llamahome_pasts", llamahome_pasts, raising=False)


def plugin(thing: Any, name: str) -> Plugin:
    return Plugin(name=name, origin=f"llamahome-{name} 1.2", module=thing)


def test_a_deprecated_hook_and_argument_are_told_with_owner_and_line():
    """And the plugin works."""
    plugins = Plugins([plugin(Old(), "old"), plugin(New(), "new")], Policy())

    told = [text for _, text in deprecated.hooks(plugins)]

    assert list(plugins.active) == ["old", "new"]
    assert len(told) == 2
    assert all(text.startswith("old (llamahome-old 1.2): llamahome_") for text in told)
    assert all(f" ({__file__}:" in text for text in told)
    assert [text.endswith((str(OLD_HOOK), str(OLD_ARGUMENT))) for text in told] == [True, True]


def test_a_check_tells_it_and_finds_no_problem():
    report = examine(plugin(Old(), "old"))

    assert report.problems == []
    assert len(report.warnings) == 2


def test_a_test_with_warnings_as_errors_sees_it():
    """That is how its author finds out early: pluggy warns with the plugin's own line."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plugins = Plugins([plugin(Old(), "old")], Policy())

    assert isinstance(plugins.broken[0].error, LlamaHomeDeprecationWarning)


def test_a_run_logs_it_once_and_goes_on(make_kernel, tables):
    outcome = make_kernel(Old()).run(tables)

    assert outcome.status == "finished"
    assert log_of(outcome, make_kernel).count("llamahome_olds goes in 2.0") == 1


def log_of(_: Any, make_kernel: Any) -> str:
    runs: Path = make_kernel().workspace.runs
    return (runs / "small-1" / "log" / "run.log").read_text()


def test_one_class_for_each_version_that_removes_something():
    """A filter of warnings can turn those of the next version into errors."""
    assert issubclass(LlamaHomeRemovedIn1Warning, LlamaHomeDeprecationWarning)
    assert issubclass(LlamaHomeRemovedIn2Warning, LlamaHomeDeprecationWarning)
    assert issubclass(LlamaHomeDeprecationWarning, DeprecationWarning)


# --- Settings


@frozen(kw_only=True)
class Inner:
    """A table."""

    depth: int | None = field(default=None, metadata={"deprecated": "write `height`"})
    """How deep."""


@frozen(kw_only=True)
class Config:
    """Settings of the cache ``aged``."""

    slots: int = field(default=3, metadata={"deprecated": "write `entries`"})
    """How many."""
    inner: Inner = field(factory=Inner)
    """One table."""
    more: tuple[Inner, ...] = ()
    """Several."""
    entries: int = 3
    """How many."""


def _aged() -> types.SimpleNamespace:
    def llamahome_caches() -> Any:
        yield Component(name="aged", summary="Old.", config=Config, factory="lh_fakes:build")

    return types.SimpleNamespace(__name__="aging", llamahome_caches=hookimpl(llamahome_caches))


def test_a_deprecated_setting_is_told_with_its_line_and_what_to_write(make_kernel, tmp_path):
    """In the table itself, in one below it, and in a list of them; the others are not."""
    path = tmp_path / "recipe.toml"
    path.write_text(
        'name = "x"\n[model]\nfrom = "some:model"\n[[data]]\nuse = "rows"\npath = "a"\n'
        '[cache]\nuse = "aged"\nentries = 4\nslots = 4\ninner = {depth = 1}\n'
        "[[cache.more]]\n[[cache.more]]\ndepth = 2\n"
    )
    kernel: Kernel = make_kernel(_aged())

    plan = kernel.plan(path)

    assert list(plan.warnings) == [
        f"{path}:10:1: `cache.slots` is deprecated: write `entries`",
        f"{path}:11:10: `cache.inner.depth` is deprecated: write `height`",
        f"{path}:14:1: `cache.more.1.depth` is deprecated: write `height`",
    ]
    resolved = tmp_path / "resolved.toml"
    resolved.write_text(plan.resolved_toml())
    assert kernel.plan(resolved).warnings == (), "nobody chose what a resolved recipe holds"


def test_a_setting_that_is_not_used_is_not_told(make_kernel, tables):
    assert make_kernel(_aged()).plan(tables | {"cache": {"use": "aged"}}).warnings == ()


def test_the_description_of_a_setting_says_that_it_goes():
    from llamahome_core.config import describe

    assert describe(Config)[0].help == "How many. Deprecated: write `entries`."
