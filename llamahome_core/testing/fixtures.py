"""The fixtures of the kit: a kernel without surprises, a recipe, the command, plugins, hooks."""

from __future__ import annotations

import importlib
import json
import os
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field, frozen

from llamahome_core import Kernel, Workspace, hookimpl
from llamahome_core.discovery import Plugin, Policy, discover, from_object
from llamahome_core.hookspecs import PROJECT
from llamahome_core.testing import tiny


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace of the test's own."""
    root = tmp_path / "workspace"
    (root / ".config").mkdir(parents=True)
    (root / ".config" / "llamahome.toml").write_text("", encoding="utf-8")
    return Workspace(root)


@pytest.fixture
def kernel(workspace: Workspace, tmp_path: Path) -> Callable[..., Kernel]:
    """Make a strict kernel that is deaf to this machine's settings.

    ``kernel(*plugins, builtins=False, strict=True)``: a plugin is a module or an object with hook
    implementations, or the name of an installed one. ``builtins`` adds LlamaHome's own plugins,
    which a run needs. No other installed plugin is there. A broken plugin raises, unless
    ``strict=False`` sets it aside.
    """

    def make(*plugins: Any, builtins: bool = False, strict: bool = True) -> Kernel:
        installed = list(discover()) if builtins or any(_is_name(p) for p in plugins) else []
        own = [p for p in installed if builtins and p.origin.partition(" ")[0] == PROJECT]
        names = [p.name for p in own]
        chosen = [_plugin(p, installed) for p in plugins if p not in names]
        return Kernel(
            [*own, *chosen],
            policy=Policy(strict=strict),
            workspace=workspace,
            environ={},
            user_file=tmp_path / "no-user-file.toml",
        )

    return make


def _is_name(plugin: Any) -> bool:
    return isinstance(plugin, str)


def _plugin(plugin: Any, installed: list[Plugin]) -> Plugin:
    if isinstance(plugin, Plugin):
        return evolve(plugin, status="found", error=None)  # a kernel notes in it what became of it
    if not isinstance(plugin, str):
        return from_object(plugin)
    for found in installed:
        if found.name == plugin and found.status != "shadowed":
            return found
    names = ", ".join(p.name for p in installed)
    raise LookupError(f"no plugin {plugin!r} is installed; there are {names}")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random Llama and its tokenizer; read only. Needs transformers."""
    pytest.importorskip("transformers", reason="the tiny model needs llamahome[train]")
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tiny.save_model(folder)
    return folder


@pytest.fixture
def recipe(tiny_model: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe that trains the tiny model for six steps, in seconds; a test changes it."""
    path = tmp_path / "train.jsonl"
    lines = [json.dumps(row) + "\n" for row in tiny.conversations()]
    path.write_text("".join(lines), encoding="utf-8")
    return {
        "name": "tiny",
        "seed": 3,
        "model": {"from": str(tiny_model)},
        "data": [{"use": "jsonl", "path": str(path)}],
        "batch": {"tokens": 160},
        "train": {"steps": 6},
        "optimizer": {"use": "adamw", "learning_rate": 1e-2},
    }


@frozen
class CliResult:
    """How a command ended.

    Attributes:
        code: Its exit code.
        out: What it printed to standard output.
        err: What it printed to standard error.
    """

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as one JSON document."""
        return json.loads(self.out)


@pytest.fixture
def run_cli(
    kernel: Callable[..., Kernel], capsys: pytest.CaptureFixture[str]
) -> Callable[..., CliResult]:
    """Run the command in this process: ``run_cli("plugins", "--json", over=kernel(shout))``.

    Without ``over`` it is a kernel of LlamaHome's own plugins.
    """
    from llamahome_core.cli import main
    from llamahome_core.cli.main import State

    def run(*words: str, over: Kernel | None = None) -> CliResult:
        used = over or kernel(builtins=True)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words), state=State(make=lambda _policy: used))
        out, err = capsys.readouterr()
        return CliResult(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def make_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Make a plugin: an object from functions, or an importable package from source text.

    ``make_plugin("shout", llamahome_data_sources=function)`` returns an object with these hooks.
    ``make_plugin("shout", source="…", config="…")`` writes a package ``llamahome_shout``: its
    ``plugin.py`` is ``source``, and each further text a module of that name. It lies in a
    temporary folder with the metadata of an installed distribution, so ``kernel("shout")``,
    ``check_plugin("shout")`` and processes that the test starts find it.
    """
    site = tmp_path / "site"

    def make(name: str, source: str | None = None, **parts: Any) -> Any:
        if source is None:
            hooks = {hook: hookimpl(function) for hook, function in parts.items()}
            return types.SimpleNamespace(__name__=name, **hooks)
        package = f"llamahome_{name.replace('-', '_')}"
        _write_package(site, name, package, {"plugin": source, **parts})
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))
            monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        importlib.invalidate_caches()
        (found,) = [d for d in distributions(path=[str(site)]) if d.name == f"llamahome-{name}"]
        return next(iter(discover(found.entry_points)))

    before = set(sys.modules)
    yield make
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(site)):
            del sys.modules[module]


def _write_package(site: Path, name: str, package: str, modules: dict[str, str]) -> None:
    folder, metadata = site / package, site / f"{package}-1.0.dist-info"
    folder.mkdir(parents=True)
    metadata.mkdir()
    (folder / "__init__.py").write_text('"""A plugin made by a test."""\n', encoding="utf-8")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    entry = EntryPoint(name=name, value=f"{package}.plugin", group=PROJECT)
    (metadata / "entry_points.txt").write_text(
        f"[{entry.group}]\n{entry.name} = {entry.value}\n", encoding="utf-8"
    )
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: llamahome-{name}\nVersion: 1.0\n", encoding="utf-8"
    )


@frozen
class HookCall:
    """One call of a hook.

    Attributes:
        hook: Its name.
        arguments: What it was called with.
    """

    hook: str
    arguments: dict[str, Any]


@define(eq=False)
class HookRecorder:
    """A plugin that notes what happens in a run: give it to the kernel beside the others.

    Attributes:
        calls: The calls so far, in order.
    """

    calls: list[HookCall] = field(factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the hooks that were called, in order."""
        return [call.hook for call in self.calls]

    def of(self, hook: str) -> list[dict[str, Any]]:
        """The arguments of each call of *hook*."""
        return [call.arguments for call in self.calls if call.hook == hook]

    @hookimpl
    def llamahome_run_started(self, run: Any) -> None:
        """Note it."""
        self.calls.append(HookCall("llamahome_run_started", {"run": run}))

    @hookimpl
    def llamahome_run_finished(self, run: Any, outcome: Any) -> None:
        """Note it."""
        arguments = {"run": run, "outcome": outcome}
        self.calls.append(HookCall("llamahome_run_finished", arguments))

    @hookimpl(wrapper=True)
    def llamahome_execute(self, run: Any) -> Any:
        """Note it, and let the others do it."""
        self.calls.append(HookCall("llamahome_execute", {"run": run}))
        return (yield)


@pytest.fixture
def hook_recorder() -> HookRecorder:
    """A plugin that notes what happens: ``kernel(shout, hook_recorder, builtins=True)``."""
    return HookRecorder()
