"""``plugins.lock``: what each plugin was when somebody agreed to it, and whether it still is.

Nothing of a plugin is imported to find out. Its hash covers what Python would import: the files
are found by its own search, so that a folder that hides the installed one is seen.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from attrs import frozen

from llamahome_core.discovery import DRIFT, Plugin
from llamahome_core.errors import PluginError
from llamahome_core.workspace import Workspace

NAME = "plugins.lock"
HEAD = (
    "# The plugins that may load, as they were. Written by `llamahome plugins lock`.\nschema = 1\n"
)
_FIELDS = ("distribution", "version", "entry", "sha256")


@frozen
class Locked:
    """One plugin as the lock has it.

    Attributes:
        distribution: What brought it.
        version: The version of that.
        entry: What its entry point names: ``llamahome_hello.plugin``.
        sha256: The hash of its files; None for LlamaHome's own plugins, which are released and
            installed with what would compare them.
    """

    distribution: str
    version: str
    entry: str
    sha256: str | None = None


@frozen
class Lock:
    """The plugins that were agreed to, by name."""

    plugins: Mapping[str, Locked]

    @classmethod
    def of(cls, plugins: Iterable[Plugin]) -> Lock:
        """Lock *plugins* as they are installed now; objects of a program are left out.

        Raises:
            PluginError: The files of one cannot be found or read.
        """
        return cls({p.name: _locked(p, hashed(p)) for p in plugins if p.entry is not None})

    @classmethod
    def read(cls, workspace: Workspace) -> Lock:
        """The lock of *workspace*.

        Raises:
            ConfigError: There is none, or it is damaged.
        """
        import tomllib

        path = workspace.config / NAME
        try:
            return cls(_plugins(tomllib.loads(path.read_text(encoding="utf-8"))))
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error), "C109") from None
        except (AttributeError, TypeError, ValueError) as error:  # of another form
            raise _unreadable(path, str(error), "C107") from None

    def write(self, workspace: Workspace) -> Path:
        """Replace the lock of *workspace*; returns the file."""
        from llamahome_core import files

        path = workspace.config / NAME
        files.make_folder(path.parent)
        files.write_text(path, HEAD + "".join(_tables(self.plugins)))
        return path

    def objection(self, plugin: Plugin) -> str | None:
        """Why *plugin* is not what was agreed to; notes the hash of its files in it."""
        drift = self._drift(plugin)
        return f"{DRIFT}{drift}" if drift else None

    def _drift(self, plugin: Plugin) -> str | None:
        locked = self.plugins.get(plugin.name)
        if locked is None:
            return f"{plugin.origin} is not in {NAME}"
        now = _locked(plugin, None)
        for name in _FIELDS[:3]:
            was, found = getattr(locked, name), getattr(now, name)
            if was != found:
                return f"its {name} is {found}, and {NAME} says {was}"
        try:
            plugin.digest = hashed(plugin)
        except PluginError as error:
            return error.message
        same = plugin.digest == locked.sha256
        return None if same else f"the files of {plugin.origin} are not those that were locked"

    def drifts(self, plugins: Iterable[Plugin]) -> dict[str, str]:
        """All that *plugins* differ in from the lock, by name."""
        found = {plugin.name: plugin for plugin in plugins if plugin.entry is not None}
        drifts = {name: self._drift(plugin) for name, plugin in found.items()}
        gone = dict.fromkeys(self.plugins.keys() - found.keys(), "it is not installed")
        return {name: text for name, text in sorted((drifts | gone).items()) if text}


def _locked(plugin: Plugin, sha256: str | None) -> Locked:
    entry = plugin.entry.value if plugin.entry else ""
    return Locked(plugin.distribution, plugin.version, entry, sha256)


def _plugins(data: Mapping[str, Any]) -> dict[str, Locked]:
    """What the file says.

    Raises:
        TypeError: It has another form.
        ValueError: The same.
    """
    if data.keys() - {"schema", "plugins"} or data.get("schema") != 1:
        raise ValueError("it must have schema = 1 and tables of plugins")
    found = {name: Locked(**table) for name, table in data.get("plugins", {}).items()}
    for name, locked in found.items():
        if not all(isinstance(getattr(locked, key) or "", str) for key in _FIELDS):
            raise ValueError(f"the values of {name} must be text")
    return found


def _unreadable(path: Path, reason: str, code: str) -> Exception:
    from llamahome_core.config import ConfigError, Problem

    message = f"plugins are locked, and {path} cannot be read: {reason}"
    return ConfigError([Problem(code, message, fix="llamahome plugins lock")])


def _tables(plugins: Mapping[str, Locked]) -> Iterator[str]:
    """One table for each, in the order of their names: a change is a change of few lines."""
    from llamahome_core.config.kinds import literal
    from llamahome_core.config.problems import quote_key

    for name, locked in sorted(plugins.items()):
        yield f"\n[plugins.{quote_key(name)}]\n"
        pairs = ((key, getattr(locked, key)) for key in _FIELDS)
        yield "".join(f"{key} = {literal(value)}\n" for key, value in pairs if value is not None)


# --- The hash ------------------------------------------------------------------------------------


def hashed(plugin: Plugin) -> str | None:
    """SHA-256 over the files of *plugin*; None for one of LlamaHome's own.

    It is the hash of the lines that ``sha256sum`` prints for them, in the order of their names.

    Raises:
        PluginError: They cannot be found or read.
    """
    if plugin.is_own or plugin.entry is None:
        return None
    try:
        found = {name: _hash(path) for name, path in _files(plugin).items()}
    except (OSError, ImportError, ValueError) as error:
        raise PluginError(f"the files of {plugin.origin} cannot be read: {error}") from error
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(found.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(plugin: Plugin) -> dict[str, Path]:
    """Names and places of all that may be imported or read as part of *plugin*.

    That is the package (or module) of its entry point as it lies in the folder, and what else its
    distribution recorded beside it. An editable install lies elsewhere, and records only where.
    """
    assert plugin.entry is not None  # noqa: S101  # hashed() has asked
    home = _home(plugin.entry.value.partition(":")[0].strip())
    found = dict(_walk(home)) if home.is_dir() else {home.name: home}
    site = Path(str(plugin.entry.dist.locate_file(""))) if plugin.entry.dist else None
    if site is not None and home.is_relative_to(site):
        found |= _recorded(plugin, site)
    return found


def _home(module: str) -> Path:
    """The outermost package that *module* is in, or its file; namespaces belong to nobody.

    Raises:
        ModuleNotFoundError: It is not there.
    """
    name, path = "", None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        # The first part may have a finder of its own, as editable installs do.
        spec = PathFinder.find_spec(name, path) if path else importlib.util.find_spec(name)
        if spec is None:
            break
        if spec.has_location and spec.origin:
            origin = Path(spec.origin)
            return origin.parent if spec.submodule_search_locations else origin
        path = list(spec.submodule_search_locations or ())
    raise ModuleNotFoundError(f"there is no module {module}")


def _walk(home: Path) -> Iterator[tuple[str, Path]]:
    """All files below *home*; neither hidden ones nor what Python compiled from others."""
    seen = set()
    for folder, below, names in os.walk(home, followlinks=True):
        real = os.path.realpath(folder)
        below[:] = [] if real in seen else [d for d in below if _counts(d)]
        seen.add(real)
        for name in filter(_counts, names):
            path = Path(folder, name)
            yield path.relative_to(home.parent).as_posix(), path


def _counts(name: str) -> bool:
    return name != "__pycache__" and not name.startswith(".")


def _recorded(plugin: Plugin, site: Path) -> Iterator[tuple[str, Path]]:
    """What the installer recorded beside the package: not scripts, which name this Python.

    Nor the metadata: name, version and entry point are in the lock as they are.
    """
    dist = plugin.entry.dist if plugin.entry else None
    for name, *_ in csv.reader(((dist.read_text("RECORD") if dist else None) or "").splitlines()):
        first, *below = name.split("/")
        is_outside = os.path.isabs(name) or first in {"", ".."}  # noqa: PTH117  # text of a record
        is_metadata = first.endswith((".dist-info", ".egg-info"))
        if not is_outside and not is_metadata and "__pycache__" not in below:
            yield name, site / name
