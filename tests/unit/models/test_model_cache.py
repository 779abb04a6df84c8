"""What was fetched is imported once, kept whole, and brought again when it is damaged."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from llamahome_core import Interrupted, ModelError, ModelFolder, Models, files
from llamahome_models import layout
from llamahome_models.models import ModelCache
from llamahome_models.pins import key
from llamahome_models.stages import fetch, plan_fetch

pytestmark = pytest.mark.slow  # each import is a process that loads torch


def no_progress(done: int, total: int | None) -> None:
    del done, total


def test_a_gguf_file_is_imported_once(context, tiny_gguf, events):
    """The second time nothing is imported; the manifest says where it came from."""
    models = context.get(Models)
    assert models.cached(str(tiny_gguf)) is None
    folder = models.fetch(str(tiny_gguf), no_progress)
    manifest = files.verify_folder(folder.path)
    assert manifest.metadata["reference"]["location"] == str(tiny_gguf)
    assert manifest.metadata["importer"] == 1
    assert folder.licence == "Apache-2.0"
    assert folder.digest == layout.digest(folder.path)
    assert [event["phase"] for event in events.of("phase")] == ["import"]
    assert models.fetch(str(tiny_gguf), no_progress) == folder
    assert models.cached(str(tiny_gguf)) == folder
    assert len(events.of("phase")) == 1
    left = {path.name for path in folder.path.parent.iterdir()}
    assert left == {folder.path.name, f"{folder.path.name}.lock"}


def test_a_file_that_changed_under_its_name_is_another_model(context, tiny_gguf, tmp_path):
    """Nothing is cached by name: the content of the file is in the key."""
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf.read_bytes())
    models = context.get(Models)
    before = models.locate(str(path))
    path.write_bytes(tiny_gguf.read_bytes() + b"\0")
    assert key(models.locate(str(path))) != key(before)


def test_a_damaged_folder_is_fetched_again(context, tiny_gguf, events):
    """One changed byte is found, told, and mended."""
    models = context.get(Models)
    folder = models.fetch(str(tiny_gguf), no_progress)
    weights = folder.path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    again = models.fetch(str(tiny_gguf), no_progress)
    assert again == folder
    files.verify_folder(folder.path)
    (warning,) = events.of("warning")
    assert "fetched again" in warning["text"]
    assert "model.safetensors" in warning["text"]


def test_a_file_that_is_not_the_pinned_one_is_refused(make_context, tiny_gguf):
    """The catalogue's checksum decides; nothing stays in the cache."""
    entry = {"source": str(tiny_gguf), "checksum": f"sha256:{'0' * 64}"}
    context = make_context(models={"tiny": entry})
    with pytest.raises(ModelError, match="is not what tiny pins"):
        context.get(Models).fetch("tiny", no_progress)
    assert [p.suffix for p in context.workspace.cache("models").iterdir()] == [".lock"]


def test_a_file_that_cannot_be_imported_says_why(context, tmp_path):
    """Errors of the importing process are errors here; other files are no models."""
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="cannot be read as GGUF"):
        context.get(Models).fetch(str(bad), no_progress)
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"a single file must be a \.gguf"):
        context.get(Models).fetch(str(tmp_path / "weights.bin"), no_progress)


def test_an_import_that_dies_is_an_error(context, tiny_gguf, monkeypatch, tmp_path):
    """A process without an answer, as when memory is short, is told with its last words."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'out of memory' >&2\nkill -9 $$\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(ModelError, match=r"import of tiny\.gguf failed: out of memory"):
        context.get(Models).fetch(str(tiny_gguf), no_progress)


def test_a_stop_ends_the_import(context, tiny_gguf):
    """The importing process is ended, and nothing is left of it."""
    timer = threading.Timer(0.5, context.stop.request)
    timer.start()
    with pytest.raises(Interrupted):
        context.get(Models).fetch(str(tiny_gguf), no_progress)
    timer.join()
    assert [p.suffix for p in context.workspace.cache("models").iterdir()] == [".lock"]


def test_a_fetch_waits_for_another_and_hears_a_stop(context, tiny_gguf, events):
    """Two runs that need the same model do not import it twice."""
    models = context.get(Models)
    wanted = key(models.locate(str(tiny_gguf)))
    context.stop.request()
    with (
        files.lock(context.workspace.cache("models") / f"{wanted}.lock"),
        pytest.raises(Interrupted),
    ):
        models.fetch(str(tiny_gguf), no_progress)
    assert "waiting for another process" in events.of("warning")[0]["text"]


def test_what_another_process_fetched_meanwhile_is_used(make_context, tiny_gguf, events):
    """After the wait the folder is there already."""
    first, second = make_context(), make_context()
    results: list[Any] = []

    def run(context: Any) -> None:
        results.append(context.get(Models).fetch(str(tiny_gguf), no_progress))

    threads = [threading.Thread(target=run, args=(c,)) for c in (first, second)]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    assert len(events.of("phase")) == 1


def test_what_a_crash_left_is_removed_by_the_next_fetch(context, tiny_gguf):
    """Half a download has a name that is swept; that of another model may be in the making."""
    models, root = context.get(Models), context.workspace.cache("models")
    left = root / f".{key(models.locate(str(tiny_gguf)))}.tmp-0123"
    others = root / f".{'0' * 32}.tmp-0123"
    for folder in (left, others):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"x")
    models.fetch(str(tiny_gguf), no_progress)
    assert not left.exists()
    assert (others / "half").exists()


# --- The stage ---------------------------------------------------------------------------------


def test_the_stage_leaves_the_folder_and_its_plan_fetches_nothing(make_context, tiny_gguf, events):
    """Before and after: where it comes from, whether it is here, its licence."""
    context = make_context(model=str(tiny_gguf))
    plan = plan_fetch(context)
    assert plan["on this machine"] is False
    assert plan["source"] == f"path:{tiny_gguf}"
    assert plan["licence"] == "unknown"
    fetch(context)
    folder = context.get(ModelFolder)
    plan = plan_fetch(context)
    assert plan["folder"] == str(folder.path)
    assert plan["licence"] == "Apache-2.0"
    assert [event["phase"] for event in events.of("phase")] == ["fetch", "import"]
    other = plan_fetch(make_context(model="hub:acme/tiny@v1"))
    assert other["revision"] == "v1"


def test_settings_of_a_source_reach_it(make_context):
    """``[model.hub]`` of the recipe is what the source is built with."""
    context = make_context(sources={"hub": {"endpoint": "http://localhost:1"}})
    models = ModelCache(context)
    source: Any = models.source(models.locate("hub:acme/tiny"))
    assert source.config.endpoint == "http://localhost:1"
    assert source.size(models.locate("hub:acme/tiny")) is None
