"""What a component, stage or service is given: the recipe, the run, and the way to the others."""

from __future__ import annotations

import contextlib
import os
import signal as signals
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from llamahome_core.blame import PROTOCOLS, at_fault, tell, whole
from llamahome_core.errors import Interrupted, PluginError, UnknownNameError
from llamahome_core.events import Emitter, NoEvents

if TYPE_CHECKING:
    from llamahome_core.recipe import Recipe, Selection
    from llamahome_core.registry import Catalog
    from llamahome_core.workspace import Workspace

T = TypeVar("T")


@define
class Stop:
    """Whether a run was asked to stop; set by a signal handler or another thread.

    Several runs may have one: it stops them all. It cannot be taken back, so the next run needs
    another one.

    Attributes:
        signal: The signal that asked.
    """

    signal: int | None = None
    _listeners: list[Callable[[int], None]] = field(factory=list, init=False, repr=False, eq=False)
    # A signal handler may come in the middle of a request of its own thread.
    _lock: threading.RLock = field(factory=threading.RLock, init=False, repr=False, eq=False)

    def request(self, signal: int = signals.SIGINT) -> None:
        """Ask the run to stop at the next step, save, and end."""
        with self._lock:
            first, self.signal = self.signal is None, signal
            for listener in self._listeners[:] if first else ():
                listener(signal)

    @contextlib.contextmanager
    def telling(self, listener: Callable[[int], None]) -> Iterator[None]:
        """In the block, *listener* is called with the signal of the first request; not after it."""
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    @property
    def requested(self) -> bool:
        """Whether anybody asked."""
        return self.signal is not None

    def check(self) -> None:
        """End work that has nothing to save.

        Raises:
            Interrupted: Somebody asked to stop.
        """
        if self.signal is not None:
            name = signals.Signals(self.signal).name
            raise Interrupted(f"stopped by {name}", signal=self.signal)


@define(kw_only=True)
class Context:
    """Everything a component may need, and nothing global.

    Attributes:
        recipe: The validated recipe.
        workspace: Where things are kept.
        catalog: All components, services and stages of the active plugins.
        directory: The run's folder; None outside a run.
        events: Takes events; swallows them outside a run.
        stop: Polled by everything that takes longer than a second.
        resume: Whether the run goes on from a checkpoint.
        environ: Environment variables, for what the settings refer to.
    """

    recipe: Recipe
    workspace: Workspace
    catalog: Catalog
    directory: Path | None = None
    events: Emitter = field(factory=NoEvents)
    stop: Stop = field(factory=Stop)
    resume: bool = False
    environ: Mapping[str, str] = field(factory=lambda: os.environ, repr=False)
    _values: dict[type, Any] = field(factory=dict, repr=False)
    _shown: dict[str, float] = field(factory=dict, repr=False)

    def put(self, protocol: type[T], value: T) -> None:
        """Give *value* to whoever asks for *protocol* later."""
        self._values[protocol] = value

    def find(self, protocol: type[T]) -> T | None:
        """What was put, or None; builds nothing."""
        return self._values.get(protocol)

    def get(self, protocol: type[T]) -> T:
        """What was put for *protocol*, or the service that a plugin provides for it.

        Raises:
            UnknownNameError: Nobody put one and no active plugin provides one.
        """
        if protocol not in self._values:
            self._values[protocol] = self._serve(protocol)
        value: T = self._values[protocol]
        return value

    def _serve(self, protocol: type) -> Any:
        plugin, service = self.catalog.provider(protocol)
        who = f"service {protocol.__name__} of plugin {plugin.name!r} ({plugin.origin})"
        with at_fault(who, plugin.origin):
            made = service.factory.load()(self)
        if made is None:
            raise PluginError(f"{who} gave None instead of the object", hint=tell(plugin.origin))
        return made

    def build(self, kind: str) -> Any:
        """A new instance of the recipe's component of *kind* (the table's name).

        Raises:
            UnknownNameError: The recipe has chosen none.
            UnavailableError: What it needs is not installed.
            PluginError: Its factory failed, or made something else; the message names the plugin.
        """
        if (selection := self.recipe.chosen.get(kind)) is None:
            raise UnknownNameError(f"the recipe chooses no {kind}")
        return self.make(selection)

    def make(self, selection: Selection) -> Any:
        """A new instance of a component that the recipe chose; raises what :meth:`build` does."""
        who, origin = selection.owner, selection.origin
        with at_fault(who, origin):
            made = selection.component.build(selection.config, self)
        return whole(made, PROTOCOLS[selection.kind.partition(":")[0]], who, origin)

    def variable(self, name: str) -> str | None:
        """The environment variable *name*, or else what the workspace's ``.env`` says it is."""
        return variable(name, self.environ, self.workspace)

    def phase(self, name: str) -> Callable[[int, int | None], None]:
        """Announce a phase and return its progress function: at most one event each second."""
        self.events.emit("phase", phase=name)

        def progress(done: int, total: int | None = None) -> None:
            self.stop.check()
            now = time.monotonic()
            if done == total or now - self._shown.get(name, 0.0) >= 1.0:
                self._shown[name] = now
                self.events.emit("progress", phase=name, done=done, total=total)

        return progress

    def warn(self, text: str, **fields: Any) -> None:
        """Tell the user; the run's summary repeats it."""
        self.events.emit("warning", text=text, **fields)


def variable(name: str, environ: Mapping[str, str], workspace: Workspace) -> str | None:
    """The variable *name* of *environ*, or else what the workspace's ``.env`` says it is."""
    from llamahome_core.config import read_dotenv

    path = workspace.root / ".env"
    if name in environ or not path.is_file():
        return environ.get(name)
    return read_dotenv(path)[1].get(name)
