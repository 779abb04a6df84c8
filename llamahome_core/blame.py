"""Names whose code failed: the component, its plugin, and the distribution that it came with."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from llamahome_core import protocols
from llamahome_core.components import Kind, Ref
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


def culprit(
    error: BaseException, plugins: Iterable[Plugin], chosen: Iterable[Any] = ()
) -> Plugin | None:
    """The third party's plugin whose code *error* came from; None if it was none's.

    It is the owner of the innermost frame that is a plugin's at all: what a library raises is
    the fault of who called it.

    Args:
        error: What ended a run or a command.
        plugins: The plugins.
        chosen: The recipe's selections, whose code may lie in another package than their plugin's.
    """
    found = _nearest(error, plugins, chosen)
    return found[0] if found else None


def blame(error: BaseException, plugins: Iterable[Plugin]) -> str:
    """`` (in plugin hello (llamahome-hello 1.0))`` for an error from its code; else nothing."""
    owner = culprit(error, plugins)
    if owner is None or owner.origin in str(error):
        return ""
    return f" (in plugin {owner.owner})"


def accused(error: BaseException, plugins: Iterable[Plugin], chosen: Iterable[Any]) -> Any:
    """*error* or, where there is a `culprit`, an error that names its component or plugin.

    An error that explains itself stays.
    """
    selections = list(chosen)
    found = _nearest(error, plugins, selections)
    if found is None or isinstance(error, LlamaHomeError):
        return error
    owner, frame = found
    mine = (s for s in selections if s.plugin == owner.name and _runs(frame, s.component.factory))
    selection = next(mine, None)
    who = selection.owner if selection else f"plugin {owner.name!r} ({owner.origin})"
    named = _failed(who, owner.origin, error)
    named.__cause__ = error
    return named


def _nearest(
    error: BaseException, plugins: Iterable[Plugin], chosen: Iterable[Any]
) -> tuple[Plugin, FrameType | None] | None:
    """The culprit, and the frame that runs its code."""
    owners = _owners(plugins, chosen)
    for module, frame in _places(error):
        if (owner := owners.get(module.partition(".")[0])) is not None:
            return None if owner.is_own else (owner, frame)
    return None


def _owners(plugins: Iterable[Plugin], chosen: Iterable[Any]) -> dict[str, Plugin]:
    """The installed plugins by the packages that their code is in."""
    installed = {p.name: p for p in plugins if p.entry is not None}
    owners = {_top(p.entry.value): p for p in installed.values() if p.entry is not None}
    for selection in chosen:
        if selection.plugin in installed:
            owners.setdefault(_top(selection.component.factory.path), installed[selection.plugin])
    return owners


def _top(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def _places(error: BaseException) -> Iterator[tuple[str, FrameType | None]]:
    """Module and frame of what failed, the nearest first; what cannot be imported has no frame."""
    if isinstance(error, PluginError) and error.module is not None:
        yield error.module, None
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        if module == "llamahome_core.execution":  # wrappers of it only passed the error on
            return
        yield module, frame


def _runs(frame: FrameType | None, factory: Ref) -> bool:
    """Whether *frame* is in a method of the class, or in the function, that *factory* names."""
    module, _, name = factory.path.partition(":")
    return (
        frame is not None
        and frame.f_globals.get("__name__") == module
        and frame.f_code.co_qualname.partition(".")[0] == name.partition(".")[0]
    )
