"""Load plugins one at a time, set the broken aside, remember who brought what."""

from __future__ import annotations

import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pluggy

from llamahome_core import hookspecs
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.errors import BrokenPluginError, PluginError
from llamahome_core.terminal import aside

T = TypeVar("T")


def _checked(items: Iterable[T] | None, record: type[T], hook: str) -> list[T]:
    if items is None:
        raise TypeError(f"{hook} returned None: does it lack a yield?")
    found, names = list(items), set()
    for item in found:
        if not isinstance(item, record):
            raise TypeError(f"{hook} must yield {record.__name__}, not {item!r}")
        name = getattr(item, "name", None)
        if name is not None and name in names:
            raise ValueError(f"{hook} yields {name!r} twice")
        names.add(name)
    return found


class Plugins:
    """The plugins of one kernel; nothing is global, so kernels live side by side."""

    def __init__(self, plugins: Iterable[Plugin], policy: Policy) -> None:
        self.policy = policy
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.all: list[Plugin] = []
        for plugin in plugins:
            self._admit(plugin)
        if policy.trial:
            self._try_out()
        for plugin in self.all:
            self._load(plugin)

    def add(self, plugin: Plugin) -> None:
        """Load *plugin*, if the policy allows it; what fails is set aside as ``broken``.

        Raises:
            BrokenPluginError: It is broken and the policy is strict.
        """
        self._admit(plugin)
        self._load(plugin)

    def _admit(self, plugin: Plugin) -> None:
        """Give *plugin* its name, and block it if the policy does; nothing of it is imported."""
        self._name_apart(plugin)
        self.all.append(plugin)
        if plugin.status == "found":
            plugin.reason = self.policy.objection(plugin)
            plugin.status = "found" if plugin.reason is None else "blocked"

    def _load(self, plugin: Plugin) -> None:
        if plugin.status != "found":
            return
        with self._at_its_own_risk(plugin):
            if plugin.verdict is not None:
                raise PluginError(plugin.verdict)
            plugin.module = plugin.entry.load() if plugin.entry else plugin.module
            self.manager.register(plugin.module, plugin.name)
            # At once, so that a misspelt hook is this plugin's fault and not the next one's.
            self.manager.check_pending()
            plugin.status = "active"

    @contextlib.contextmanager
    def _at_its_own_risk(self, plugin: Plugin) -> Iterator[None]:
        """Run code of *plugin*: what it prints is no result, and what it raises breaks it alone."""
        try:
            with aside():
                yield
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001  # it may raise anything
            self._set_aside(plugin, error)

    def _try_out(self) -> None:
        """Third parties' plugins that are about to be loaded are tried in a child process."""
        if theirs := [p for p in self.all if p.entry and p.status == "found" and not p.is_own]:
            from llamahome_core.trial import try_out

            try_out(theirs, self.policy.trial)

    def _name_apart(self, plugin: Plugin) -> None:
        """A name belongs to one plugin: objects of one class are numbered, others shadowed."""
        taken = {other.name for other in self.all if other.status != "shadowed"}
        if plugin.name not in taken or plugin.status != "found":
            return
        if plugin.entry is not None:
            plugin.status = "shadowed"
            return
        numbers = (n for n in itertools.count(2) if f"{plugin.name}-{n}" not in taken)
        plugin.name = f"{plugin.name}-{next(numbers)}"

    def _set_aside(self, plugin: Plugin, error: BaseException) -> None:
        # Not by name alone: what is registered under it may be another's.
        if self.manager.get_plugin(plugin.name) is plugin.module is not None:
            self.manager.unregister(name=plugin.name)
        plugin.status, plugin.error = "broken", error
        if self.policy.strict:
            raise BrokenPluginError(
                f"plugin {plugin.name!r} ({plugin.origin}) is broken: {plugin.why}",
                hint=f"run without it: llamahome -p no:{plugin.name} …",
            ) from error

    @property
    def active(self) -> dict[str, Plugin]:
        """The loaded plugins by name."""
        return {p.name: p for p in self.all if p.status == "active"}

    @property
    def broken(self) -> list[Plugin]:
        """Those that failed to load or to declare."""
        return [p for p in self.all if p.status == "broken"]

    @property
    def blocked(self) -> list[Plugin]:
        """Those that were not imported."""
        return [p for p in self.all if p.status == "blocked"]

    def records(self, hook: str, record: type[T]) -> Iterator[tuple[Plugin, T]]:
        """What a declaring *hook* yields, plugin by plugin, so that one failure is one plugin's.

        pluggy's own call would stop at the first exception and would forget who gave what.
        """
        active = self.active
        for name, call in sorted(self._implementations(hook), key=lambda found: found[0]):
            items: list[T] = []
            with self._at_its_own_risk(active[name]):
                items = _checked(call(), record, hook)
            yield from ((active[name], item) for item in items)

    def _implementations(self, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            yield implementation.plugin_name, implementation.function

    def notify(self, hook: str, **arguments: Any) -> list[tuple[Plugin, BaseException]]:
        """Call an observing *hook* plugin by plugin; returns the failures instead of raising."""
        failures: list[tuple[Plugin, BaseException]] = []
        active = self.active
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            wanted = {name: arguments[name] for name in implementation.argnames}
            try:
                if inspect.isgenerator(implementation.function(**wanted)):
                    raise TypeError(f"{hook} has a yield: nothing of it ran")  # noqa: TRY301  # its own failure
            except (Exception, SystemExit) as error:  # noqa: BLE001  # an observer may not stop a run
                failures.append((active[implementation.plugin_name], error))
        return failures

    def execute(self, run: Any) -> Any:
        """Call ``llamahome_execute`` with its wrappers."""
        return self.manager.hook.llamahome_execute(run=run)
