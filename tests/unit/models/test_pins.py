"""A model source of another plugin: what it pins is recorded, and models do not wait in line."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from llamahome_core import (
    Component,
    Kernel,
    ModelReference,
    Models,
    ModelSource,
    NoSettings,
    OfflineError,
    files,
    hookimpl,
)
from llamahome_core.recipe import Network
from llamahome_models.pins import commit
from llamahome_models.stages import fetch


def no_progress(done: int, total: int | None) -> None:
    del done, total


class World:
    """What lies where the source fetches from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.revision, self.is_up = folder, "v1", True
        self.fetched: list[str | None] = []
        self.busy, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def look(self) -> World:
        if not self.is_up:
            raise OfflineError("the source is down")
        return self


@pytest.fixture
def world(tiny_model: Path) -> World:
    return World(tiny_model)


def sources(world: World) -> Any:
    """A module with the classes of both sources."""

    class Plain(ModelSource):
        def __init__(self, config: Any, context: Any) -> None:
            del config, context

        def size(self, reference: ModelReference) -> int | None:
            del reference
            return None

        def fetch(self, reference: ModelReference, folder: Path, progress: Any) -> Path:
            del progress
            world.look().fetched.append(reference.revision)
            (folder / "begun").touch()
            if reference.location == "slow":
                world.busy.set()
                assert world.go_on.wait(30)
            return Path(shutil.copytree(world.folder, folder / "got"))

    class Third(Plain):
        def pin(self, reference: ModelReference) -> ModelReference:
            return evolve(reference, revision=world.look().revision)

    return SimpleNamespace(Plain=Plain, Third=Third)


@pytest.fixture
def elsewhere(world: World, workspace: Any, tmp_path: Path, monkeypatch: Any) -> Any:
    """Make a context with the sources ``plain``, which never pins, and ``third``, which does."""

    module = sources(world)

    class Plugin:
        @hookimpl
        def llamahome_model_sources(self) -> Any:
            for name in ("plain", "third"):
                factory = f"lh_elsewhere:{name.title()}"
                yield Component(name=name, summary="x", config=NoSettings, factory=factory)

    monkeypatch.setitem(sys.modules, "lh_elsewhere", module)
    kernel = Kernel(
        extra=[Plugin()], workspace=workspace, environ={}, user_file=tmp_path / "none.toml"
    )
    assert not kernel.plugins.broken

    def make(*, offline: bool = False) -> Any:
        context = kernel.context(model="third:thing")
        return evolve(context, recipe=evolve(context.recipe, network=Network(offline=offline)))

    return make


def test_what_any_source_pins_is_recorded_and_used_when_it_cannot_be_asked(
    elsewhere, world, tmp_path
):
    """In the manifest, for the name, and in the run's folder; a revision need be no commit."""
    began = evolve(elsewhere(), directory=tmp_path)
    fetch(began)
    folder = began.get(Models).cached("third:thing")
    assert commit(folder.path) == "v1"
    assert json.loads((tmp_path / "model.json").read_bytes())["commit"] == "v1"
    world.revision = "v2"
    newer = elsewhere().get(Models).fetch("third:thing", no_progress)
    assert commit(newer.path) == "v2"
    fetch(evolve(elsewhere(), directory=tmp_path, resume=True))
    assert began.get(Models).cached("third:thing") == folder
    elsewhere().get(Models).fetch("third:thing", no_progress)
    world.is_up = False
    for offline in (False, True):
        models = elsewhere(offline=offline).get(Models)
        assert models.fetch("third:thing", no_progress) == models.cached("third:thing") == newer
    assert world.fetched == ["v1", "v2"]


def test_a_source_that_inherits_need_not_pin(elsewhere, world):
    """The Protocol's default: what it has never comes to mean something else."""
    folder = elsewhere().get(Models).fetch("plain:thing", no_progress)
    assert commit(folder.path) is None
    world.is_up = False
    assert elsewhere(offline=True).get(Models).fetch("plain:thing", no_progress) == folder
    assert world.fetched == [None]


def test_who_finds_damage_never_removes_what_another_process_mended(elsewhere, world, monkeypatch):
    """Damage is removed with the lock held, after a second look."""
    folder = elsewhere().get(Models).fetch("plain:thing", no_progress)
    (folder.path / "config.json").write_text("{}")
    verify = files.verify_folder
    mended: list[Any] = []

    def slowly(path: Path) -> files.Manifest:
        try:
            return verify(path)
        except Exception:
            if not mended:
                mended.append("now")
                mended.append(elsewhere().get(Models).fetch("plain:thing", no_progress))
                mended.append((folder.path / "config.json").stat().st_ino)
            raise

    monkeypatch.setattr(files, "verify_folder", slowly)
    assert elsewhere().get(Models).fetch("plain:thing", no_progress) == folder == mended[1]
    assert (folder.path / "config.json").stat().st_ino == mended[2]
    assert world.fetched == [None, None]


def test_one_model_is_fetched_while_another_is(elsewhere, world):
    """And the scratch folder of the slow one is left alone."""
    world.go_on.clear()
    found: list[Any] = []
    slow = threading.Thread(
        target=lambda: found.append(elsewhere().get(Models).fetch("plain:slow", no_progress))
    )
    slow.start()
    try:
        assert world.busy.wait(10)
        quick = elsewhere()
        quick.stop.request()  # a wait for the slow one would end here
        assert quick.get(Models).fetch("plain:quick", no_progress).path.is_dir()
        assert list(quick.workspace.cache("models").glob(".*.tmp-*/begun"))
    finally:
        world.go_on.set()
        slow.join()
    files.verify_folder(found[0].path)
