"""The hub source against a small hub on this machine, through the real client."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from llamahome_core import (
    Interrupted,
    ModelError,
    ModelFolder,
    Models,
    OfflineError,
    Trained,
    files,
)
from llamahome_core.recipe import Network
from llamahome_models import layout
from llamahome_models.pins import commit
from llamahome_models.publish import _metadata

COMMIT = "c" * 40


def no_progress(done: int, total: int | None) -> None:
    del done, total


def test_only_safe_files_are_downloaded_and_once(online, hub, tiny_model):
    """No code, no pickle, no subfolder; the second time only whether it is still the same."""
    context = online()
    seen: list[tuple[int, int | None]] = []
    models = context.get(Models)
    folder = models.fetch("hub:acme/tiny", lambda done, total: seen.append((done, total)))
    got = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert "model.safetensors" in got
    assert not got & {"modeling.py", "pytorch_model.bin"}
    assert not any("onnx" in path for path in hub.asked)
    assert folder.digest == layout.digest(tiny_model)
    assert files.verify_folder(folder.path).metadata["reference"]["location"] == "acme/tiny"
    assert not any(path.is_symlink() for path in folder.path.iterdir())
    assert seen[-1][0] >= (tiny_model / "model.safetensors").stat().st_size
    hub.asked.clear()
    assert models.fetch("hub:acme/tiny", no_progress) == folder
    assert hub.asked == ["/api/models/acme/tiny/revision/main"]
    assert (context.workspace.cache("models") / "huggingface").is_dir()


def test_the_token_that_the_settings_refer_to_is_sent(make_context, hub, monkeypatch):
    """And it is nowhere in what is kept of the model."""
    monkeypatch.setenv("LH_TEST_TOKEN", "canary-token")
    settings = {"endpoint": hub.address, "token": "env:LH_TEST_TOKEN"}
    context = make_context(sources={"hub": settings})
    folder = context.get(Models).fetch("hub:acme/tiny", no_progress)
    assert set(hub.tokens) == {"Bearer canary-token"}
    kept = [path for path in context.workspace.root.rglob("*") if path.is_file()]
    assert folder.path.is_dir()
    assert not [path for path in kept if b"canary-token" in path.read_bytes()]


def test_the_commit_that_was_fetched_is_recorded(online, tiny_model):
    """A branch may move: the cached model and a version trained on it name the commit."""
    context = online(model="hub:acme/tiny@main")
    folder = context.get(Models).fetch("hub:acme/tiny@main", no_progress)
    assert files.read_manifest(folder.path).metadata["reference"]["revision"] == COMMIT
    assert commit(folder.path) == COMMIT
    assert commit(tiny_model) is None
    context.put(ModelFolder, folder)
    context.put(Trained, SimpleNamespace(metrics={}))
    base = _metadata(context)["base"]
    assert (base["revision"], base["commit"]) == ("main", COMMIT)


# --- What cannot be had ------------------------------------------------------------------------


def test_a_checksum_is_refused_before_anything_is_downloaded(online, hub):
    """A hub delivers a folder, which no checksum of one file can pin."""
    entry = {"source": "hub:acme/tiny", "checksum": f"sha256:{'0' * 64}"}
    with pytest.raises(ModelError, match="a checksum, which pins one file"):
        online(models={"tiny": entry}).get(Models).fetch("tiny", no_progress)
    assert hub.asked == []


def test_what_is_in_the_hubs_cache_is_used_offline(online, hub):
    """After one download the network may be off; a model that was never here cannot be had."""
    online().get(Models).fetch("hub:acme/tiny", no_progress)
    hub.asked.clear()
    context = online(network=Network(offline=True))
    folder = context.get(Models).fetch("hub:acme/tiny", no_progress)
    files.discard(folder.path)
    assert context.get(Models).fetch("hub:acme/tiny", no_progress) == folder
    with pytest.raises(OfflineError, match="network is switched off"):
        context.get(Models).fetch("hub:acme/other", no_progress)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("status", "reason", "says", "hint"),
    [
        (403, "GatedRepo", "is gated", "HF_TOKEN"),
        (401, "RepoNotFound", "has no model", "HF_TOKEN"),
        (404, "RevisionNotFound", "has no revision 'v9'", "a branch"),
        (500, "", "cannot be fetched", "check the network"),
    ],
)
def test_what_the_hub_refuses_is_told(status, reason, says, hint, online, hub):
    """Each with what to do about it."""
    hub.status, hub.reason = status, reason
    with pytest.raises(ModelError, match=says) as caught:
        online().get(Models).fetch("hub:acme/tiny@v9", no_progress)
    assert hint in str(caught.value.hint)


def test_a_hub_that_does_not_answer_is_an_offline_error(make_context, hub):
    """And not a traceback of an HTTP library."""
    address = hub.address
    hub.shutdown()
    hub.server_close()
    context = make_context(sources={"hub": {"endpoint": address}})
    with pytest.raises(OfflineError, match="cannot be fetched"):
        context.get(Models).fetch("hub:acme/tiny", no_progress)


def test_a_name_that_is_none_is_told(online):
    """The hub is not asked."""
    with pytest.raises(ModelError, match="no name of a model on a hub"):
        online().get(Models).fetch("hub:a/b/c", no_progress)


def test_a_model_without_safetensors_is_refused(online, hub):
    """Pickled weights are not even downloaded."""
    (hub.folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no safetensors weights"):
        online().get(Models).fetch("hub:acme/tiny", no_progress)


def test_a_stop_ends_the_download(online):
    """What the progress raises comes through the hub's threads."""
    context = online()

    def stop(done: int, total: int | None) -> None:
        del done, total
        raise Interrupted("stopped", signal=2)

    with pytest.raises(Interrupted):
        context.get(Models).fetch("hub:acme/tiny", stop)
