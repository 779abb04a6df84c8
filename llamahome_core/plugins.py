"""Load plugins one at a time, set the broken aside, remember who brought what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pluggy

from llamahome_core import hookspecs
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.errors import BrokenPluginError

T = TypeVar("T")


def _checked(items: Iterable[T], record: type[T], hook: str) -> list[T]:
    found = list(items)
    for item in found:
        if not isinstance(item, record):
            raise TypeError(f"{hook} must yield {record.__name__}, not {item!r}")
    return found


class Plugins:
    """The plugins of one kernel; nothing is global, so kernels live side by side."""

    def __init__(self, plugins: Iterable[Plugin], policy: Policy) -> None:
        self.policy = policy
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.all: list[Plugin] = []
        for plugin in plugins:
            self.add(plugin)

    def add(self, plugin: Plugin) -> None:
        """Load *plugin*, if the policy allows it; what fails is set aside as ``broken``.

        Raises:
            BrokenPluginError: It is broken and the policy is strict.
        """
        self.all.append(plugin)
        if plugin.status != "found":
            return
        if not self.policy.allows(plugin.name):
            plugin.status = "blocked"
            return
        try:
            plugin.module = plugin.entry.load() if plugin.entry else plugin.module
            self.manager.register(plugin.module, plugin.name)
            # At once, so that a misspelt hook is this plugin's fault and not the next one's.
            self.manager.check_pending()
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
            self._set_aside(plugin, error)
        else:
            plugin.status = "active"

    def _set_aside(self, plugin: Plugin, error: BaseException) -> None:
        if self.manager.has_plugin(plugin.name):
            self.manager.unregister(name=plugin.name)
        plugin.status, plugin.error = "broken", error
        if self.policy.strict:
            raise BrokenPluginError(
                f"plugin {plugin.name!r} ({plugin.origin}) is broken: "
                f"{type(error).__name__}: {error}",
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

    def records(self, hook: str, record: type[T]) -> Iterator[tuple[Plugin, T]]:
        """What a declaring *hook* yields, plugin by plugin, so that one failure is one plugin's.

        pluggy's own call would stop at the first exception and would forget who gave what.
        """
        active = self.active
        for name, call in sorted(self._implementations(hook)):
            try:
                items = _checked(call(), record, hook)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin may raise anything
                self._set_aside(active[name], error)
            else:
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
                implementation.function(**wanted)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # an observer may not stop a run
                failures.append((active[implementation.plugin_name], error))
        return failures

    def execute(self, run: Any) -> Any:
        """Call ``llamahome_execute`` with its wrappers."""
        return self.manager.hook.llamahome_execute(run=run)
