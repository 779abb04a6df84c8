"""Switches plugins on and off in the settings: the lists of ``[plugins]``, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import evolve, frozen

from llamahome_core import changes, config
from llamahome_core.config import ConfigError
from llamahome_core.discovery import Policy
from llamahome_core.errors import no_plugin
from llamahome_core.kernel import Kernel
from llamahome_core.policy import in_effect
from llamahome_core.recipe import PluginPolicy


@frozen(kw_only=True)
class Switched:
    """What was changed.

    Attributes:
        name: The plugin.
        files: The files that were changed; none if they said so already.
        block: The list as it is now.
        enable: The same; None if there is none, and all may load.
        kept_out: What else keeps it out now: ``-p``, ``LLAMAHOME_PLUGINS``, other settings, the
            lock; empty if it may load.
    """

    name: str
    files: tuple[Path, ...]
    block: tuple[str, ...]
    enable: tuple[str, ...] | None
    kept_out: str


def switch(kernel: Kernel, name: str, asked: Policy, *, on: bool, user: bool = False) -> Switched:
    """Let the plugin *name* load, or not.

    A list is written where ``config set`` would write it. It begins with what the weaker file has,
    which it replaces. A plugin that is no longer installed can be taken out of a list.

    Args:
        kernel: Whose settings; no plugin of a third party need be loaded.
        name: The plugin.
        asked: What ``-p`` and ``LLAMAHOME_PLUGINS`` ask for, to tell what they still keep out.
        on: Whether it may load.
        user: Change the user's file, not the workspace's.

    Raises:
        UnknownNameError: No such plugin is installed or in the lists.
        ConfigError: The settings would be wrong, or the text cannot be edited.
    """
    before = _lists(kernel, user=user)
    installed = {plugin.name for plugin in kernel.plugins.all}
    after = _enabled(before, name, installed) if on else _disabled(before, name, installed)
    changed = [key for key in ("block", "enable") if getattr(after, key) != getattr(before, key)]
    files = [_write(kernel, key, getattr(after, key), user=user) for key in changed]
    return Switched(
        name=name,
        files=tuple(dict.fromkeys(files)),
        block=after.block,
        enable=after.enable,
        kept_out=_kept_out(kernel, name, asked),
    )


def _kept_out(kernel: Kernel, name: str, asked: Policy) -> str:
    policy, error = in_effect(asked, kernel.workspace, kernel.environ, kernel.user_file)
    if error is not None:
        return error.message
    found = [p for p in kernel.plugins.all if p.name == name and p.status != "shadowed"]
    return (policy.objection(found[0]) or "") if found else "it is not installed"


@frozen
class _Lists:
    block: tuple[str, ...]
    enable: tuple[str, ...] | None


def _lists(kernel: Kernel, *, user: bool) -> _Lists:
    """The lists as the file that is to be changed has them, or the weaker one below it."""
    documents = changes.documents(kernel, user=True)
    if not user:
        documents += changes.documents(kernel, user=False)
    merged = config.merge(documents)
    found, problems = config.structure(
        merged.data.get("plugins", {}), PluginPolicy, at=("plugins",)
    )
    if found is None:
        raise ConfigError(merged.locate(problems))
    return _Lists(found.block, found.enable)


def _enabled(lists: _Lists, name: str, installed: set[str]) -> _Lists:
    if name not in installed and name not in lists.block:
        raise no_plugin(name, installed | set(lists.block))
    block = tuple(other for other in lists.block if other != name)
    enable = lists.enable
    if enable is not None and name in installed and name not in enable:
        enable = (*enable, name)
    return _Lists(block, enable)


def _disabled(lists: _Lists, name: str, installed: set[str]) -> _Lists:
    enable = lists.enable or ()
    if name in installed:
        return lists if name in lists.block else evolve(lists, block=(*lists.block, name))
    if name not in enable:
        raise no_plugin(name, installed | set(enable))
    return evolve(lists, enable=tuple(other for other in enable if other != name))


def _write(kernel: Kernel, key: str, names: tuple[str, ...], *, user: bool) -> Path:
    """Write the list; one that is empty, and hides none of a weaker file, is not needed."""
    below = [] if user else changes.documents(kernel, user=True)
    hides = config.merge(below).data.get("plugins", {}).get(key) is not None
    is_needed = names or key == "enable" or hides
    text = json.dumps(names, ensure_ascii=False) if is_needed else None
    return changes.change(kernel, f"plugins.{key}", text, user=user)
