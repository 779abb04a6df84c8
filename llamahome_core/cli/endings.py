"""How a command ends when it does not simply return: a message on stderr, and an exit code."""

from __future__ import annotations

import contextlib
import errno
import sys
import traceback
from typing import TYPE_CHECKING

import click

from llamahome_core.cli.output import LINES, say, unwritable, use_color
from llamahome_core.errors import LlamaHomeError, PluginError, StorageError, WorkspaceError
from llamahome_core.secrets import redact
from llamahome_core.terminal import clean
from llamahome_core.workspace import fix_of

if TYPE_CHECKING:
    from llamahome_core.cli.main import State

SILENT = -2
"""The verbosity of ``-qq``: only the exit code speaks."""


def end(error: BaseException, state: State, root: click.Group) -> int:
    """Say what ended the command; returns the exit code."""
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return 130
    if isinstance(error, click.ClickException):
        return usage(error, root)
    if isinstance(error, OSError):
        return report(_storage(error), state)
    if isinstance(error, LlamaHomeError):
        return report(error, state)
    return crash(error, state)


def usage(error: click.ClickException, root: click.Group) -> int:
    """Show a mistake in the command line, and where a global option belongs."""
    with contextlib.suppress(OSError):
        error.show()
        if isinstance(error, click.NoSuchOption) and _is_global(error.option_name, root):
            name = error.option_name
            say(f"  fix: {name} comes before the command: llamahome {name} …")
    return 2


def _is_global(name: str, root: click.Group) -> bool:
    return any(name in parameter.opts for parameter in root.params)


def _storage(error: OSError) -> LlamaHomeError:
    """What the operating system refused; seldom a mistake of ours, so no crash report."""
    if _is_stuck():
        return unwritable(error)
    reason = error.strerror or str(error)
    where = f": {error.filename}" if error.filename else ""
    if error.errno in {errno.EACCES, errno.EROFS, errno.EPERM}:
        found: LlamaHomeError = WorkspaceError(
            f"{reason}{where}", hint="write to another folder: export LLAMAHOME_HOME=/a/folder"
        )
    else:
        found = StorageError(f"{reason}{where}", hint="llamahome doctor")
    found.__cause__ = error
    return found


def _is_stuck() -> bool:
    """Whether standard output still holds what it could not write."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    except ValueError:  # it was closed
        return False
    return False


def left(error: SystemExit) -> PluginError:
    """What to say where a plugin ended the program from the middle of our work."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return PluginError(
        f"{where.filename}:{where.lineno} ended the program: SystemExit({error.code!r})",
        hint="a plugin raises an error instead; llamahome plugins lists them",
    )


def report(error: LlamaHomeError, state: State) -> int:
    """Show a foreseen error on stderr; returns the exit code."""
    from llamahome_core.blame import blame
    from llamahome_core.config import ConfigError, render

    if state.verbosity > SILENT:
        color = use_color(state.color)
        if isinstance(error, ConfigError):
            say(render(error.problems, color=color), styled=True)
        else:
            head = clean(f"error[{error.code}]")
            head = click.style(head, fg="red", bold=True) if color else head
            whose = blame(error, state.known_plugins)
            say(f"{head}: {clean(error.message + whose, keep=LINES)}", styled=True)
            if fix := fix_of(error):
                say(f"  fix: {fix}")
            say(f"  docs: llamahome explain {error.code}")
        if state.verbosity > 0:
            say("".join(traceback.format_exception(error)))
    return error.exit_code


def crash(error: BaseException, state: State) -> int:
    """Show an error that nobody foresaw: one line, and a report with the traceback."""
    text = "".join(traceback.format_exception(error))
    name = _keep(text)
    if state.verbosity > SILENT:
        say(f"error[X900]: {type(error).__name__}: {error}")
        where = f"; the report is {name}" if name else ""
        say(f"  this is a mistake in {_whose(error, state)}{where}")
        if state.verbosity > 0 or not name:
            say(text)
    return 70


def _whose(error: BaseException, state: State) -> str:
    from llamahome_core.blame import culprit

    owner = culprit(error, state.known_plugins)
    return f"the plugin {owner.owner}" if owner else "LlamaHome or in a plugin"


def _keep(text: str) -> str | None:
    """The file that holds *text*, or None where none can be written."""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="llamahome-crash-", suffix=".txt", encoding="utf-8", delete=False
        ) as file:
            file.write(redact(text))
    except OSError:
        return None
    return file.name
