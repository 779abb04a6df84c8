"""The reference says what the code says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import Any

import pytest

import llamahome_core
from llamahome_core import Kernel, NoSettings, Workspace, hookimpl, hookspecs, read_events
from llamahome_core.discovery import Policy, from_object

HOOKS = [name for name in vars(hookspecs) if name.startswith("llamahome_")]


def test_generated_pages_are_what_the_code_says(root):
    """Settings, components, hooks, Protocols, errors, command and names: nobody edits them."""
    command = [sys.executable, root / ".ci" / "generate_docs.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_that_is_changed_by_hand_is_noticed(root, tmp_path):
    """The check of the test above can fail: a copy with one changed word does."""
    script = (root / ".ci" / "generate_docs.py").read_text(encoding="utf-8")
    (tmp_path / ".ci").mkdir()
    for name in ("generate_docs.py", "as_markdown.py"):
        (tmp_path / ".ci" / name).write_text((root / ".ci" / name).read_text(encoding="utf-8"))
    pages = tmp_path / "docs" / "reference"
    pages.mkdir(parents=True)
    for name in re.findall(r'^    "([\w-]+\.md)": ', script, re.MULTILINE):
        text = (root / "docs" / "reference" / name).read_text(encoding="utf-8")
        (pages / name).write_text(text.replace("Errors", "Mistakes", 1))
    command = [sys.executable, tmp_path / ".ci" / "generate_docs.py", "--check"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "docs/reference/errors.md is not what the code says" in done.stdout


class Names(dict[str, Any]):
    """The public names; a settings class that an example only mentions has no settings."""

    def __missing__(self, name: str) -> Any:
        if name.endswith("Config"):
            return NoSettings
        if name == "profiler":
            import contextlib

            return contextlib.nullcontext
        raise KeyError(name)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_a_hook_runs(hook, tmp_path):
    """It is registered as a plugin is, and what it declares is taken by a strict kernel."""
    example = _example(hook)
    names = Names({n: getattr(llamahome_core, n) for n in llamahome_core.__all__})
    names["__builtins__"] = __builtins__
    exec(compile(ast.parse(example), hook, "exec"), names)  # noqa: S102  # the example is ours
    kernel = Kernel(
        [],
        policy=Policy(strict=True),
        workspace=Workspace(tmp_path),
        environ={},
        user_file=tmp_path / "none",
        extra=[SimpleNamespace(**{hook: names[hook]})],
    )

    if hook in {"llamahome_run_started", "llamahome_run_finished", "llamahome_execute"}:
        assert [i.plugin_name for i in getattr(kernel.plugins.manager.hook, hook).get_hookimpls()]
    else:
        assert len(list(kernel.plugins.records(hook, object))) == 1


def _example(hook: str) -> str:
    import inspect
    import textwrap

    doc = inspect.cleandoc(getattr(hookspecs, hook).__doc__)
    return textwrap.dedent(doc.partition("Example::\n")[2].partition("\n.. versionadded")[0])


def test_every_hook_says_since_when_it_is_there():
    """A plugin author knows which version to ask for."""
    without = [h for h in HOOKS if ".. versionadded::" not in getattr(hookspecs, h).__doc__]

    assert not without


@pytest.fixture
def documented_events(root) -> dict[str, set[str]]:
    """Kind to the fields that events.md describes."""
    text = (root / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    parts = re.split(r"^## `([\w.]+)`$", text, flags=re.MULTILINE)
    fields = [set(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)) for part in parts]
    return {"": fields[0]} | dict(zip(parts[1::2], fields[2::2], strict=True))


class StopAtOnce:
    """Asks the first run that it sees to stop, as a signal would."""

    asked = False

    @hookimpl
    def llamahome_run_started(self, run: Any) -> None:
        if not self.asked:
            self.asked = True
            run.context.stop.request()


DIVERGING = {"optimizer": {"learning_rate": 1e38}, "train": {"steps": 20, "clip": 0}}


def test_every_event_of_runs_is_documented_with_every_field(kernel, recipe, documented_events):
    """Of runs that are finished, stopped, resumed and failed; and no field is made up."""
    recipe |= {"evaluate": {"split": 0.2, "every": 3}, "checkpoint": {"every": 2}}
    recipe |= {"sample": {"prompts": ["Hello"], "max_tokens": 2}}
    runs = [kernel.run(recipe)]
    kernel.plugins.add(from_object(StopAtOnce()))
    runs += [kernel.run(recipe), kernel.resume("@last")]
    runs += [kernel.run(recipe | more) for more in ({"publish": {"enabled": False}}, DIVERGING)]
    assert [run.status for run in runs] == ["finished", "stopped", "finished", "finished", "failed"]
    seen: dict[str, set[str]] = {}
    for path in kernel.workspace.runs.glob("*/events.jsonl"):
        for _, event in read_events(path):
            seen.setdefault(event["t"], set()).update(event)

    undocumented = {
        kind: missing
        for kind, fields in seen.items()
        if (missing := fields - documented_events.get(kind, set()) - documented_events[""])
    }

    assert undocumented == {}
    assert seen.keys() == documented_events.keys() - {""}
    unseen = {k: f - seen[k] for k, f in documented_events.items() if k and f - seen[k]}
    # A crash report, and what `run --resume --set` changed: other tests see these.
    assert unseen == {"end": {"report"}, "note": {"changed"}}, (
        "these fields are described and never written"
    )


def test_every_kind_of_event_in_the_code_is_documented(root, documented_events):
    """No event is emitted that no page knows."""
    kinds = set()
    for folder in ("llamahome_core", "plugins"):
        for path in (root / folder).rglob("*.py"):
            if path.name != "hookspecs.py":
                kinds |= set(re.findall(r"\.emit\(\s*\"([\w.]+)\"", path.read_text("utf-8")))

    assert kinds
    assert kinds <= documented_events.keys()


def test_every_file_of_a_run_is_documented(root, kernel, recipe, tmp_path):
    """A run's folder holds nothing that run-files.md does not name, and all that it promises."""
    import tomlkit

    path, base = tmp_path / "recipe.toml", tmp_path / "base.toml"
    recipe |= {"sample": {"prompts": ["Hello"], "max_tokens": 2}}
    recipe["monitor"] = [{"use": "tensorboard"}]
    base.write_text(tomlkit.dumps(recipe))
    path.write_text(f'extends = "{base.name}"')
    assert kernel.run(path).error is None
    (directory,) = kernel.workspace.runs.iterdir()
    text = (root / "docs" / "reference" / "run-files.md").read_text(encoding="utf-8")
    table = text.partition("\n## ")[0]
    patterns = [
        re.sub(r"<.*?>", "*", name) for name in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    ]
    files = [str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()]

    unknown = [f for f in files if not any(fnmatch(f, _file(p)) for p in patterns)]
    absent = {p for p in patterns if not any(fnmatch(f, _file(p)) for f in files)}

    assert not unknown
    assert absent <= {"log/crash.txt", "log/monitor-*.log"}


def _file(pattern: str) -> str:
    return pattern + "*" if pattern.endswith("/") else pattern


def test_the_size_of_the_kernel_is_the_one_that_is_told(root):
    """Within a tenth: lines in all, and lines that are neither docstring, comment nor empty."""
    page = (root / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    told = re.search(r"<!-- kernel lines -->(.*?)<!-- /kernel lines -->", page)
    assert told
    total, code = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", told[1]))

    counted = [_count(path) for path in (root / "llamahome_core").rglob("*.py")]

    assert total == pytest.approx(sum(lines for lines, _ in counted), rel=0.1)
    assert code == pytest.approx(sum(lines for _, lines in counted), rel=0.1)


def _count(path: Any) -> tuple[int, int]:
    text = path.read_text(encoding="utf-8")
    strings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            strings |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = text.splitlines()
    code = [
        line
        for number, line in enumerate(lines, 1)
        if number not in strings and line.strip() and not line.strip().startswith("#")
    ]
    return len(lines), len(code)


def test_the_tests_that_a_page_names_exist(root):
    """why-no-padding.md names the test of each claim."""
    page = (root / "docs" / "explanation" / "why-no-padding.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    code = "".join(p.read_text("utf-8") for p in (root / "tests" / "unit").rglob("test_*.py"))

    assert len(named) > 4
    assert [name for name in named if f"def {name}(" not in code] == []
