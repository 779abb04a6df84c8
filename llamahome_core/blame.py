"""Names whose code failed: the component, its plugin, and the distribution that it came with."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from llamahome_core import protocols
from llamahome_core.components import Kind
from llamahome_core.discovery import Plugin, is_own
from llamahome_core.errors import LlamaHomeError, PluginError

PROTOCOLS: dict[str, type] = {
    Kind.MODEL_SOURCE.value: protocols.ModelSource,
    Kind.DATA_SOURCE.value: protocols.DataSource,
    Kind.TRANSFORM.value: protocols.Transform,
    Kind.OBJECTIVE.value: protocols.Objective,
    Kind.ADAPTER.value: protocols.Adapter,
    Kind.OPTIMIZER.value: protocols.Optimizer,
    Kind.SCHEDULE.value: protocols.Schedule,
    Kind.TRAINER.value: protocols.Trainer,
    Kind.CACHE.value: protocols.Cache,
    Kind.STORE.value: protocols.Store,
    Kind.MONITOR.value: protocols.Monitor,
}
"""What a component of each kind must be."""


@contextlib.contextmanager
def at_fault(who: str, origin: str = "") -> Iterator[None]:
    """Turn what is raised in the block, unless it explains itself, into an error that names *who*.

    Raises:
        PluginError: It was raised instead of another error.
    """
    try:
        yield
    except LlamaHomeError as error:
        if type(error) is not PluginError:  # such as a secret that is not there
            raise
        raise PluginError(f"{who}: {error.message}", hint=error.hint or tell(origin)) from error
    except (Exception, SystemExit, GeneratorExit) as error:
        raise _failed(who, origin, error) from error


def _failed(who: str, origin: str, error: BaseException) -> PluginError:
    # The text of an exception is code of somebody else's too, and may fail.
    said = "".join(traceback.format_exception_only(error)).strip()
    return PluginError(f"{who} failed: {said}", hint=tell(origin))


def tell(origin: str) -> str | None:
    """Whom to tell of a mistake in code of *origin*."""
    if is_own(origin) or not origin or origin == "embedded":
        return None
    return f"if its settings are right, tell the makers of {origin}"


def whole(thing: Any, protocol: type, who: str, origin: str = "") -> Any:
    """*thing*, if it has all that *protocol* asks for.

    Raises:
        PluginError: Something is missing; the message says what.
    """
    if thing is None:
        raise PluginError(f"{who} gave None instead of the object", hint=tell(origin))
    if missing := lacking(thing, protocol):
        raise PluginError(
            f"{who} is no {protocol.__name__}: {type(thing).__name__} lacks {', '.join(missing)}",
            hint=tell(origin),
        )
    return thing


def lacking(thing: Any, protocol: type) -> list[str]:
    """The members of *protocol* that *thing* has not, or has only as the Protocol's empty ones."""
    return [
        name
        for name, member in vars(protocol).items()
        if not name.startswith("_") and not _has(thing, name, member)
    ]


def _has(thing: Any, name: str, member: Any) -> bool:
    try:
        found = inspect.getattr_static(thing, name)
    except AttributeError:
        return hasattr(thing, name)  # its class may answer for any name
    return found is not member or "Default:" in (member.__doc__ or "")


# --- By the traceback ---------------------------------------------------------------------------


def accused(error: BaseException, plugins: Iterable[Plugin], chosen: Iterable[Any]) -> Any:
    """*error* or, where code of an installed third party raised it, an error that names the party.

    An error that explains itself stays, and so does one of LlamaHome's own code, or of what the
    program brought that embeds the kernel.

    Args:
        error: What ended a run.
        plugins: The active plugins.
        chosen: The recipe's selections.
    """
    if isinstance(error, LlamaHomeError):
        return error
    theirs = {p.name: p for p in plugins if p.entry is not None and not is_own(p.origin)}
    selections = [s for s in chosen if s.plugin in theirs]
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if found := _whose(frame, theirs, selections):
            who, origin = found
            named = _failed(who, origin, error)
            named.__cause__ = error
            return named
    return error


def _whose(
    frame: FrameType, plugins: dict[str, Plugin], selections: list[Any]
) -> tuple[str, str] | None:
    """The component or the plugin whose code *frame* runs, with its distribution."""
    module = frame.f_globals.get("__name__") or ""
    for selection in selections:
        at, _, name = selection.component.factory.path.partition(":")
        if at == module and frame.f_code.co_qualname.partition(".")[0] == name.partition(".")[0]:
            return selection.owner, selection.origin
    for plugin in plugins.values():
        if module.partition(".")[0] in _packages(plugin, selections):
            return f"plugin {plugin.name!r} ({plugin.origin})", plugin.origin
    return None


def _packages(plugin: Plugin, selections: list[Any]) -> set[str]:
    entry = plugin.entry.value if plugin.entry else ""
    paths = [s.component.factory.path for s in selections if s.plugin == plugin.name]
    return {path.partition(":")[0].partition(".")[0] for path in (entry, *paths)} - {""}
