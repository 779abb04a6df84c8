"""What is not what the lock says is not imported, and the reason is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from llamahome_core import BrokenPluginError, ConfigError, Kind, PluginError
from llamahome_core.discovery import Plugin, Policy, discover
from llamahome_core.lock import Lock, hashed

CODE = """
from llamahome_core import Component, hookimpl
import sys
sys.lh_imported = getattr(sys, "lh_imported", 0) + 1

@hookimpl
def llamahome_schedules():
    yield Component(name="flat", summary="Flat.", factory="llamahome_flat.flat:Flat")
"""


@pytest.fixture
def plugin(make_plugin: Any) -> Plugin:
    """An installed plugin whose distribution recorded its files, and a module beside them."""
    found: Plugin = make_plugin("flat", CODE, flat="class Flat: ...")
    site = site_of(found)
    (site / "_flat_help.py").write_text("HELP = 1\n")
    record = ["llamahome_flat/__init__.py,,", "llamahome_flat/flat.py,,", "_flat_help.py,,"]
    record += ["../../bin/flat,,", "llamahome_flat-1.0.dist-info/METADATA,,"]
    record += ["llamahome_flat/__pycache__/flat.cpython-311.pyc,,"]
    (site / "llamahome_flat-1.0.dist-info" / "RECORD").write_text("\n".join(record))
    return found


def site_of(plugin: Plugin) -> Path:
    assert plugin.entry
    assert plugin.entry.dist
    return Path(str(plugin.entry.dist.locate_file("")))


def again(plugin: Plugin) -> Plugin:
    """The plugin as another start would find it."""
    return evolve(plugin, status="found", reason=None, error=None, digest=None)


def test_the_hash_is_that_of_what_sha256sum_prints(plugin):
    """So that anybody can check it without LlamaHome."""
    site = site_of(plugin)
    names = ["_flat_help.py", *(f"llamahome_flat/{n}.py" for n in ("__init__", "flat", "plugin"))]
    lines = [f"{hashlib.sha256((site / n).read_bytes()).hexdigest()}  {n}\n" for n in names]

    assert hashed(plugin) == hashlib.sha256("".join(lines).encode()).hexdigest()


def edited(site: Path) -> None:
    (site / "llamahome_flat" / "flat.py").write_text("class Flat: x = 1")


def grown(site: Path) -> None:
    """An extension module would be imported in the place of the text."""
    (site / "llamahome_flat" / "plugin.abi3.so").write_bytes(b"\x7fELF")


def shrunk(site: Path) -> None:
    (site / "llamahome_flat" / "flat.py").unlink()


def helped(site: Path) -> None:
    (site / "_flat_help.py").write_text("HELP = 2\n")


def hidden_by_a_folder(site: Path) -> None:
    (site / "llamahome_flat" / "plugin").mkdir()
    (site / "llamahome_flat" / "plugin" / "__init__.py").write_text("x = 1")


def lost(site: Path) -> None:
    (site / "_flat_help.py").unlink()


@pytest.mark.parametrize("change", [edited, grown, shrunk, helped, hidden_by_a_folder, lost])
def test_other_files_are_another_plugin(plugin, change):
    lock = Lock.of([plugin])
    assert lock.objection(plugin) is None

    change(site_of(plugin))

    assert str(lock.objection(plugin)).startswith("drift: the files of llamahome-flat 1.0 ")


def test_what_python_compiled_and_hidden_files_do_not_count(plugin):
    before = hashed(plugin)
    folder = site_of(plugin) / "llamahome_flat"
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / "flat.cpython-311.pyc").write_bytes(b"x")
    (folder / ".flat.py.swp").write_bytes(b"x")

    assert hashed(plugin) == before


def test_a_folder_that_hides_the_installed_one_is_seen(plugin, tmp_path, monkeypatch):
    """What would be imported counts, not what was installed."""
    lock = Lock.of([plugin])
    other = tmp_path / "other" / "llamahome_flat"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(other.parent))

    assert lock.objection(plugin)


def test_the_package_of_an_editable_install_is_hashed_where_it_lies(plugin, tmp_path, monkeypatch):
    """Its record names files of this machine alone, so the hash is that of the folder."""
    site, source = site_of(plugin), tmp_path / "source"
    source.mkdir()
    (site / "llamahome_flat").rename(source / "llamahome_flat")
    monkeypatch.syspath_prepend(str(source))
    (site / "_flat_help.py").write_text("a path of this machine")
    first = hashed(plugin)
    (site / "_flat_help.py").write_text("a path of another machine")

    assert hashed(plugin) == first
    edited(source)
    assert hashed(plugin) != first


def test_a_module_is_a_file_and_a_namespace_is_nobodys(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for path in ("lh_single.py", "lh_space/mine/__init__.py", "lh_space/theirs/__init__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")

    def of(module: str) -> str | None:
        return hashed(Plugin(name="x", origin="x 1", entry=EntryPoint("x", module, "llamahome")))

    single, mine = of("lh_single"), of("lh_space.mine.plugin")
    (tmp_path / "lh_space" / "theirs" / "__init__.py").write_text("changed = 1")

    assert (of("lh_single"), of("lh_space.mine.plugin")) == (single, mine)
    assert single != mine
    with pytest.raises(PluginError, match="there is no module lh_absent"):
        of("lh_absent.plugin")


def test_folders_that_link_in_a_circle_end(plugin):
    (site_of(plugin) / "llamahome_flat" / "round").symlink_to("..", target_is_directory=True)

    assert hashed(plugin)


def test_own_plugins_are_locked_by_their_version():
    """They were released and installed together with what would hash them."""
    own = next(p for p in discover() if p.is_own)
    lock = Lock.of([own])

    assert lock.plugins[own.name].sha256 is None
    assert lock.objection(own) is None
    older = Lock({own.name: evolve(lock.plugins[own.name], version="0.0.1")})
    assert "its version is" in str(older.objection(own))


@pytest.mark.parametrize(
    ("field", "value"), [("distribution", "evil"), ("version", "2.0"), ("entry", "evil.plugin")]
)
def test_another_distribution_version_or_entry_is_named(plugin, field, value):
    lock = Lock.of([plugin])
    changed = Lock({"flat": evolve(lock.plugins["flat"], **{field: value})})

    assert f"its {field} is " in str(changed.objection(plugin))
    assert str(changed.objection(plugin)).endswith(f"plugins.lock says {value}")


def test_the_file_is_sorted_and_says_the_same_when_it_is_read(plugin, workspace):
    own = [p for p in discover() if p.is_own]
    lock = Lock.of([*reversed(own), plugin])

    path = lock.write(workspace)

    assert Lock.read(workspace) == lock
    names = [line for line in path.read_text().splitlines() if line.startswith("[")]
    assert names == sorted(names)
    assert path == workspace.config / "plugins.lock"


@pytest.mark.parametrize(
    "text",
    [
        "schema = 2",
        "[plugins",
        "schema = 1\nplugins = 3",
        "schema = 1\nmore = 1",
        "schema = 1\n[plugins.flat]\nversion = '1'",
        "schema = 1\n[plugins.flat]\ndistribution = 1\nversion = '1'\nentry = 'x'",
        None,
        "\xff",
    ],
)
def test_a_lock_that_cannot_be_read_lets_nothing_foreign_load(make_kernel, workspace, plugin, text):
    """As settings that cannot be read do: what was agreed to is not known."""
    if text is not None:
        (workspace.config / "plugins.lock").write_bytes(text.encode("latin-1"))
    kernel = make_kernel(plugins=[plugin], policy=Policy(locked=True))

    assert "plugins are locked, and " in str(kernel.settings_error)
    assert kernel.settings_error.hint == "llamahome plugins lock"
    assert plugin.status == "blocked"


# --- In a kernel


@pytest.fixture
def locked(make_kernel: Any) -> Callable[..., Any]:
    """Makes a kernel that loads only what the lock says."""

    def make(*plugins: Plugin, **more: Any) -> Any:
        more = {"policy": Policy(locked=True)} | more
        return make_kernel(plugins=[again(plugin) for plugin in plugins], **more)

    return make


def test_what_differs_is_blocked_and_never_imported(locked, plugin, workspace, monkeypatch):
    """A recipe that needs it fails with the reason."""
    import sys

    Lock.of([plugin]).write(workspace)
    monkeypatch.setattr(sys, "lh_imported", 0, raising=False)
    edited(site_of(plugin))

    kernel = locked(plugin)

    (found,) = kernel.plugins.blocked
    assert found.reason == "drift: the files of llamahome-flat 1.0 are not those that were locked"
    assert sys.lh_imported == 0  # type: ignore[attr-defined]
    for name in ("flat", "flat:flat"):
        with pytest.raises(BrokenPluginError, match="drift: the files") as caught:
            kernel.catalog.find(Kind.SCHEDULE, name)
        assert caught.value.hint == "llamahome plugins lock --check"


def test_what_is_the_same_loads_with_its_hash_and_what_is_not_in_the_lock_does_not(
    locked, plugin, workspace
):
    lock = Lock.of([plugin])
    lock.write(workspace)
    other = evolve(plugin, name="other")

    kernel = locked(plugin, other)

    assert kernel.plugins.active["flat"].digest == lock.plugins["flat"].sha256
    assert "parts" in kernel.plugins.active, "an object of the program is in no lock"
    (blocked,) = kernel.plugins.blocked
    assert blocked.reason == "drift: llamahome-flat 1.0 is not in plugins.lock"


@pytest.mark.parametrize("way", ["policy", "settings", "variable", "no"])
def test_the_lock_is_asked_only_where_somebody_says_so(locked, plugin, workspace, way):
    Lock({}).write(workspace)
    more: dict[str, Any] = {"policy": Policy(locked=way == "policy")}
    if way == "settings":
        (workspace.config / "llamahome.toml").write_text("[plugins]\nlocked = true\n")
    if way == "variable":
        more["policy"] = Policy.from_environment({"LLAMAHOME_LOCKED": "1"})

    kernel = locked(plugin, **more)

    assert ("flat" in kernel.plugins.active) == (way == "no")


def test_a_switch_that_is_neither_on_nor_off_is_refused():
    with pytest.raises(ConfigError, match="LLAMAHOME_LOCKED must be true or false, got 'yess'"):
        Policy.from_environment({"LLAMAHOME_LOCKED": "yess"})


def test_all_that_differs_is_listed(plugin):
    """What is new, what is gone, what is other; nothing if nothing is."""
    lock = Lock.of([plugin])
    gone = Lock(dict(lock.plugins) | {"ghost": lock.plugins["flat"]})

    assert lock.drifts([plugin]) == {}
    assert gone.drifts([plugin, evolve(plugin, name="new")]) == {
        "ghost": "it is not installed",
        "new": "llamahome-flat 1.0 is not in plugins.lock",
    }


def test_a_file_that_cannot_be_read_is_told(plugin, monkeypatch):
    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied")

    lock = Lock.of([plugin])
    monkeypatch.setattr(Path, "open", refuse)

    assert "cannot be read" in str(lock.objection(plugin))


def test_a_distribution_without_a_record_is_its_package(plugin):
    """As older installers and tests leave it."""
    site = site_of(plugin)
    (site / "llamahome_flat-1.0.dist-info" / "RECORD").unlink()
    (dist,) = [d for d in Distribution.discover(path=[str(site)]) if d.name == "llamahome-flat"]
    (entry,) = dist.entry_points
    before = hashed(evolve(plugin, entry=entry))
    helped(site)

    assert hashed(evolve(plugin, entry=entry)) == before
