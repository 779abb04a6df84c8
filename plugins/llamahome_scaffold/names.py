"""The name of a new plugin: whether it can be one, and what it is in file and class names."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

import click

from llamahome_core import Kernel, Kind, __version__

LONGEST = 24
"""Most characters of a name."""
_PREFIX = 12  # most characters of what class names begin with, so that lines stay short
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check_name(name: str, kinds: Sequence[str], kernel: Kernel, commands: Iterable[str]) -> None:
    """Refuse a name that cannot be, or that something else has.

    Args:
        name: The plugin's name, without ``llamahome-`` in front.
        kinds: What it shall offer under this name.
        kernel: Knows the installed plugins.
        commands: The subcommands that there are.

    Raises:
        click.UsageError: It cannot be the name; the message says another one.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower())
        better = "-".join(words).removeprefix("llamahome-")[:LONGEST].strip("-")
        raise click.UsageError(
            f"{name!r} cannot be the name of a plugin: up to {LONGEST} lower-case letters, digits "
            f"and single hyphens, a letter first{_try(better, name)}"
        )
    if name.startswith("llamahome-"):
        raise click.UsageError(
            f"the distribution will be called llamahome-{name}{_try(name[10:], name)}"
        )
    if keyword.iskeyword(name):
        raise click.UsageError(f"{name!r} is a word of Python{_try(f'my-{name}', name)}")
    if taken := _taken(name, kinds, kernel, commands):
        raise click.UsageError(f"{taken}{_try(f'my-{name}', name)}")


def _try(better: str, name: str) -> str:
    return f"; try {better}" if _NAME.fullmatch(better) and better != name else ""


def _taken(name: str, kinds: Sequence[str], kernel: Kernel, commands: Iterable[str]) -> str | None:
    """Who has the name already; None if nobody."""
    for plugin in kernel.plugins.all:
        if plugin.name == name:
            return f"a plugin called {name!r} is installed ({plugin.origin})"
    with contextlib.suppress(PackageNotFoundError):
        return f"llamahome-{name} {version(f'llamahome-{name}')} is installed"
    if importlib.util.find_spec(package_of(name)) is not None:
        return f"a package called {package_of(name)} can be imported already"
    return _offered(name, kinds, kernel, commands)


def _offered(
    name: str, kinds: Sequence[str], kernel: Kernel, commands: Iterable[str]
) -> str | None:
    """What of these kinds has the name already; None if nothing."""
    if "command" in kinds and name in commands:
        return f"there is a command `llamahome {name}`"
    if "recipe" in kinds and name in kernel.catalog.recipes():
        return f"there is a recipe {name!r}"
    for kind in (kind for kind in Kind if kind.title.replace(" ", "-") in kinds):
        for plugin, component in kernel.catalog.components(kind):
            if component.name == name:
                return f"{kind.title} {name!r} exists already (from {plugin.name})"
    return None


def package_of(name: str) -> str:
    """``llamahome_my_plugin``."""
    return f"llamahome_{name.replace('-', '_')}"


def values_of(name: str) -> dict[str, str]:
    """What the templates put in."""
    major, minor = (int(part) for part in __version__.split(".")[:2])
    above = f"{major + 1}" if major else f"0.{minor + 1}"
    camel = "".join(word.capitalize() for word in name.split("-"))
    return {
        "name": name,
        "package": package_of(name),
        "Class": camel if len(camel) <= _PREFIX else "",
        "versions": f">={major}.{minor},<{above}",
    }
