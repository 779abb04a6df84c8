"""The hub source against a small hub on this machine, through the real client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

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
from llamahome_models import layout
from llamahome_models.publish import _commit, _metadata

COMMIT = "c" * 40


class Hub(ThreadingHTTPServer):
    """Serves one model, ``acme/tiny``, and remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[str] = []
        self.status = 200
        self.reason = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        if self.server.status != 200:
            self.answer(self.server.status, b"{}", {"X-Error-Code": self.server.reason})
        elif path.startswith("/api/models/acme/tiny/revision/"):
            self.answer(200, json.dumps({"id": "acme/tiny", "sha": COMMIT}).encode())
        elif path.startswith("/api/models/acme/tiny/tree/"):
            self.answer(200, json.dumps(self.tree()).encode())
        elif path.startswith(f"/acme/tiny/resolve/{COMMIT}/"):
            data = (self.server.folder / path.rpartition(f"{COMMIT}/")[2]).read_bytes()
            self.answer(200, data, {"X-Repo-Commit": COMMIT, "ETag": f'"{self.tag(data)}"'})
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def tree(self) -> list[dict[str, Any]]:
        found = sorted(p for p in self.server.folder.rglob("*") if p.is_file())
        return [
            {
                "type": "file",
                "path": path.relative_to(self.server.folder).as_posix(),
                "size": path.stat().st_size,
                "oid": self.tag(path.read_bytes()),
            }
            for path in found
        ]

    def tag(self, data: bytes) -> str:
        return hashlib.sha1(data, usedforsecurity=False).hexdigest()

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "repository"
    folder.mkdir()
    layout.place(tiny_model, folder)
    (folder / "onnx").mkdir()
    for name in ("modeling.py", "pytorch_model.bin", "README.md", "onnx/config.json"):
        (folder / name).write_text("{}")
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def online(make_context, hub):
    def make(**recipe: Any) -> Any:
        return make_context(sources={"hub": {"endpoint": hub.address}}, **recipe)

    return make


def no_progress(done: int, total: int | None) -> None:
    del done, total


def test_only_safe_files_are_downloaded_and_once(online, hub, tiny_model):
    """No code, no pickle, no subfolder; the second time nobody is asked."""
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
    assert hub.asked == []
    assert (context.workspace.cache("models") / "huggingface").is_dir()


def test_the_commit_that_was_fetched_is_recorded(online, tiny_model):
    """A branch may move: the cached model and a version trained on it name the commit."""
    context = online(model="hub:acme/tiny@main")
    folder = context.get(Models).fetch("hub:acme/tiny@main", no_progress)
    assert files.read_manifest(folder.path).metadata["commit"] == COMMIT
    assert _commit(folder.path) == COMMIT
    assert _commit(tiny_model) is None
    context.put(ModelFolder, folder)
    context.put(Trained, SimpleNamespace(metrics={}))
    base = _metadata(context)["base"]
    assert (base["revision"], base["commit"]) == ("main", COMMIT)


def test_a_checksum_is_refused_before_anything_is_downloaded(online, hub):
    """A hub delivers a folder, which no checksum of one file can pin."""
    entry = {"source": "hub:acme/tiny", "checksum": f"sha256:{'0' * 64}"}
    with pytest.raises(ModelError, match="a checksum, which pins one file"):
        online(models={"tiny": entry}).get(Models).fetch("tiny", no_progress)
    assert hub.asked == []


def test_what_is_in_the_hubs_cache_is_used_offline(online, hub):
    """After one download the network may be off; a model that was never here cannot be had."""
    from llamahome_core.recipe import Network

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
