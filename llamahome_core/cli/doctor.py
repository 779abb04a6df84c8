"""``llamahome doctor``: look at this machine; change nothing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from llamahome_core.cli.main import State
from llamahome_core.cli.output import print_json
from llamahome_core.cli.plan import as_json
from llamahome_core.errors import LlamaHomeError
from llamahome_core.kernel import Kernel

Finding = tuple[str, str, str]
SYMBOLS = {"ok": "ok", "info": "--", "warning": "!!", "problem": "XX"}


@click.command()
@as_json
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this machine, the workspace and the plugins. Exit code 3 if there is a problem."""
    kernel = ctx.ensure_object(State).kernel
    findings = [*_own(kernel), *_of_plugins(kernel)]
    if as_json:
        print_json(
            "doctor",
            findings=[
                {"check": check, "status": status, "message": text}
                for check, status, text in findings
            ],
        )
    else:
        for check, status, text in findings:
            click.echo(f"{SYMBOLS[status]}  {check:<12}{text}")
        count = sum(status == "problem" for _, status, _ in findings)
        click.echo(f"{count} problem{'s' if count != 1 else ''}")
    ctx.exit(3 if any(status == "problem" for _, status, _ in findings) else 0)


def _own(kernel: Kernel) -> Iterator[Finding]:
    from importlib.metadata import version

    yield "python", "ok", f"{platform.python_version()}, llamahome {version('llamahome')}"
    yield from _workspace(kernel.workspace.root)
    broken = kernel.plugins.broken
    yield "plugins", "ok", f"{len(kernel.plugins.active)} active"
    for plugin in broken:
        text = f"{plugin.name} is broken: {plugin.error}; llamahome plugins check {plugin.name}"
        yield "plugins", "problem", text
    try:
        kernel.context()
        yield "settings", "ok", "all settings are valid"
    except LlamaHomeError as error:
        yield "settings", "problem", f"{error.message}; llamahome check"


def _workspace(root: Path) -> Iterator[Finding]:
    nearest = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(nearest).free / 2**30
    yield (
        "workspace",
        "ok" if root.exists() else "info",
        f"{root}" + ("" if root.exists() else " (made by the first run)"),
    )
    if not os.access(nearest, os.W_OK):
        yield "disk", "problem", f"{nearest} cannot be written"
    yield "disk", "ok" if free > 2 else "warning", f"{free:.1f} GiB free"  # noqa: PLR2004  # a small model and a run


def _of_plugins(kernel: Kernel) -> Iterator[Finding]:
    try:
        context = kernel.context()
    except LlamaHomeError:
        return  # already reported
    for plugin, check in kernel.catalog.checks():
        try:
            for status, text in check.run.load()(context):
                yield check.name, status, text
        except Exception as error:  # noqa: BLE001  # a check that fails is a finding
            yield check.name, "problem", f"the check of {plugin.name} failed: {error}"
