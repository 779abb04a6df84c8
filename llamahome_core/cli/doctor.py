"""``llamahome doctor``: look at this machine; change nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from llamahome_core.cli.help import Command, as_json
from llamahome_core.cli.main import State
from llamahome_core.cli.output import echo, print_json, warn
from llamahome_core.config import ConfigError
from llamahome_core.errors import LlamaHomeError, WorkspaceError
from llamahome_core.kernel import Kernel
from llamahome_core.offers import offers_of
from llamahome_core.terminal import aside

Finding = tuple[str, str, str]
SIGNS = {"ok": "✓", "info": "·", "warning": "⚠", "problem": "✗"}
ASCII_SIGNS = {"ok": "ok", "info": "--", "warning": "!!", "problem": "XX"}


@click.command(
    cls=Command,
    examples=[
        ("llamahome doctor", "is this machine ready?"),
        ("llamahome doctor --json", "the same for a script"),
    ],
)
@as_json
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this machine, the workspace and the plugins; change nothing.

    The exit code is 3 if there is a problem; a warning is none.
    """
    try:
        kernel = ctx.ensure_object(State).lenient_kernel
        with aside():  # checks are code of plugins
            findings = [*_own(kernel), *_of_plugins(kernel)]
    except WorkspaceError as error:
        findings = [("workspace", "problem", f"{error.message}; {error.hint}")]
    if as_json:
        print_json(
            "doctor",
            findings=[
                {"check": check, "status": status, "message": text}
                for check, status, text in findings
            ],
        )
    else:
        _show(findings)
    ctx.exit(3 if any(status == "problem" for _, status, _ in findings) else 0)


def _show(findings: Sequence[Finding]) -> None:
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    signs = SIGNS if unicode else ASCII_SIGNS
    width = max(len(check) for check, _, _ in findings)
    before = ""
    for check, status, text in findings:
        label = "" if check == before else check
        echo(f"{signs.get(status, status)}  {label:<{width}}  {text}")
        before = check
    echo(f"{_count(findings, 'problem')}, {_count(findings, 'warning')}")


def _count(findings: Sequence[Finding], wanted: str) -> str:
    count = sum(status == wanted for _, status, _ in findings)
    return f"{count} {wanted}{'' if count == 1 else 's'}"


def _own(kernel: Kernel) -> Iterator[Finding]:
    from importlib.metadata import version

    yield "python", "ok", f"{platform.python_version()}, llamahome {version('llamahome')}"
    yield from _workspace(kernel.workspace.root)
    yield from _plugins(kernel)
    try:
        kernel.context()
    except ConfigError as error:
        for problem in error.problems:
            where = f"{problem.place}: " if problem.place else ""
            yield "settings", "problem", f"{where}{problem.message}; llamahome check"
    except LlamaHomeError as error:
        yield "settings", "problem", f"{error.message}; llamahome check"
    else:
        yield "settings", "ok", "all settings are valid"
    yield from _runs(kernel.workspace.runs)


def _workspace(root: Path) -> Iterator[Finding]:
    nearest = next(path for path in (root, *root.parents) if path.exists())
    if not nearest.is_dir():
        text = f"{root} cannot be made: {nearest} is a file; export LLAMAHOME_HOME=/a/folder"
        yield "workspace", "problem", text
        return
    yield (
        "workspace",
        "ok" if root.exists() else "info",
        f"{root}" + ("" if root.exists() else " (made by the first run)"),
    )
    if not os.access(nearest, os.W_OK):
        yield "disk", "problem", f"{nearest} cannot be written; export LLAMAHOME_HOME=/a/folder"
    free = shutil.disk_usage(nearest).free / 2**30
    # A small model and a run take two; with less than a tenth not even a checkpoint has room.
    status = "ok" if free > 2 else "warning" if free > 0.1 else "problem"  # noqa: PLR2004  # just said
    yield "disk", status, f"{free:.1f} GiB free"


def _plugins(kernel: Kernel) -> Iterator[Finding]:
    offers = list(offers_of(kernel.catalog, warn))  # some break only when they are asked
    broken = kernel.plugins.broken
    yield "plugins", "ok", f"{len(kernel.plugins.active)} active"
    if missing := sum(bool(offer.missing) for offer in offers):
        yield "plugins", "info", f"{missing} components unavailable here; llamahome plugins"
    for plugin in broken:
        text = f"{plugin.owner} is broken: {plugin.why}; llamahome plugins check {plugin.name}"
        yield "plugins", "problem", text
    for plugin in kernel.plugins.blocked:
        yield "plugins", "info", f"{plugin.owner} is blocked: {plugin.reason}"


def _runs(runs: Path) -> Iterator[Finding]:
    """Runs whose process died without a word, and damaged ones: they can go on."""
    from llamahome_core.run import all_directories, can_resume, state_of

    reasons = {"lost": "its process is gone", "unknown": "its status.json is damaged"}
    for directory in all_directories(runs):
        if (reason := reasons.get(state_of(directory))) and can_resume(directory):
            text = f"{directory.name}: {reason}; llamahome run --resume {directory.name}"
            yield "runs", "warning", text


def _of_plugins(kernel: Kernel) -> Iterator[Finding]:
    try:
        context = kernel.context()
    except LlamaHomeError:
        return  # already reported
    for plugin, check in kernel.catalog.checks():
        try:
            for status, text in check.run.load()(context):
                yield check.name, status, text if plugin.is_own else f"{text} ({plugin.owner})"
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a check that fails is a finding
            yield check.name, "problem", f"the check of {plugin.owner} failed: {error}"
