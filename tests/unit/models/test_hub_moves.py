"""A branch of a hub may move: what was fetched stays what it was, and the commit is recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from attrs import evolve

from llamahome_core import ModelFolder, Models, OfflineError, files
from llamahome_core.recipe import Network
from llamahome_models import layout
from llamahome_models.pins import commit
from llamahome_models.stages import fetch, plan_fetch

COMMIT, NEWER = "c" * 40, "d" * 40


def no_progress(done: int, total: int | None) -> None:
    del done, total


@pytest.fixture
def newer(hub, tmp_path) -> Path:
    """The same model with another template, as a later commit has it."""
    folder = Path(shutil.copytree(hub.folder, tmp_path / "newer"))
    template = folder / "chat_template.jinja"
    template.write_text(f"{template.read_text()} ")
    return folder


def test_a_newer_commit_is_fetched_and_the_older_one_is_left_as_it_is(online, hub, newer):
    """Each commit has a folder of its own: who uses the one never reads a file of the other."""
    context = online()
    models = context.get(Models)
    old = models.fetch("hub:acme/tiny", no_progress)
    hub.move(newer)
    new = models.fetch("hub:acme/tiny", no_progress)
    assert (commit(old.path), commit(new.path)) == (COMMIT, NEWER)
    assert (old.digest, new.digest) == (layout.digest(hub.folder), layout.digest(newer))
    assert old.digest != new.digest
    for folder in (old, new):
        files.verify_folder(folder.path)
        assert layout.digest(folder.path) == folder.digest
    assert models.cached("hub:acme/tiny") == models.fetch("hub:acme/tiny", no_progress) == new
    assert models.fetch("hub:acme/tiny@main", no_progress).path == new.path
    hub.head = COMMIT
    hub.asked.clear()
    assert models.fetch("hub:acme/tiny", no_progress) == old
    assert not any("/resolve/" in path for path in hub.asked)
    assert models.cached("hub:acme/tiny") == old


def test_without_the_network_a_name_means_what_it_meant_last(online, hub, newer, events):
    """Switched off: without a word. Not reachable, or gone: with one. A plan asks nobody."""
    context = online()
    context.get(Models).fetch("hub:acme/tiny", no_progress)
    hub.move(newer)
    hub.asked.clear()
    offline = online(network=Network(offline=True))
    assert commit(offline.get(Models).fetch("hub:acme/tiny", no_progress).path) == COMMIT
    assert plan_fetch(online(model="hub:acme/tiny"))["on this machine"] is True
    assert hub.asked == []
    newest = context.get(Models).fetch("hub:acme/tiny", no_progress)
    hub.status = 500
    assert context.get(Models).fetch("hub:acme/tiny", no_progress) == newest
    hub.status, hub.reason = 404, "RepoNotFound"
    assert context.get(Models).fetch("hub:acme/tiny", no_progress) == newest
    for warning, says in zip(events.of("warning"), ("cannot be", "has no model"), strict=True):
        assert f"as it was when last fetched, at commit {NEWER}" in warning["text"]
        assert says in warning["text"]
    hub.status, hub.reason = 500, ""
    with pytest.raises(OfflineError):
        context.get(Models).fetch("hub:acme/tiny@other", no_progress)


def test_a_branch_that_moves_during_a_download_changes_nothing_of_it(online, hub, newer):
    """All files are of the commit that the branch was at when it was asked for."""
    old = layout.digest(hub.folder)

    def move(done: int, total: int | None) -> None:
        del done, total
        hub.move(newer)

    folder = online().get(Models).fetch("hub:acme/tiny", move)
    assert (commit(folder.path), folder.digest) == (COMMIT, old)
    assert not any(f"/resolve/{NEWER}/" in path for path in hub.asked)


def test_a_resumed_run_goes_on_with_the_commit_that_it_began_with(online, hub, newer, tmp_path):
    """Whatever its name means by now, and whatever other runs have fetched since."""
    began = evolve(online(model="hub:acme/tiny"), directory=tmp_path)
    fetch(began)
    hub.move(newer)
    other = online(model="hub:acme/tiny")
    fetch(other)
    resumed = evolve(online(model="hub:acme/tiny"), directory=tmp_path, resume=True)
    hub.asked.clear()
    fetch(resumed)
    assert resumed.get(ModelFolder) == began.get(ModelFolder) != other.get(ModelFolder)
    assert hub.asked == []
    record = json.loads((tmp_path / "model.json").read_bytes())
    assert record["digest"] == began.get(ModelFolder).digest
    assert record["commit"] == COMMIT


def test_a_commit_is_never_asked_about(online, hub):
    """It cannot come to mean another."""
    models = online().get(Models)
    folder = models.fetch(f"hub:acme/tiny@{COMMIT}", no_progress)
    hub.asked.clear()
    assert models.fetch(f"hub:acme/tiny@{COMMIT}", no_progress) == folder
    assert hub.asked == []


def test_what_other_programs_left_in_the_hubs_cache_is_used_offline(online, hub):
    """Copied to a machine without a network, for instance; its commit is recorded as well."""
    from huggingface_hub import snapshot_download

    context = online(network=Network(offline=True))
    cache = context.workspace.cache("models") / "huggingface"
    snapshot_download("acme/tiny", cache_dir=cache, endpoint=hub.address)
    for _ in range(2):
        folder = context.get(Models).fetch("hub:acme/tiny", no_progress)
        assert commit(folder.path) == COMMIT
        for note in context.workspace.cache("models").glob("*.json"):
            note.write_text("{")  # without the note it is found again, by its commit
