"""Versions are complete or not there, numbered in order, found by tag, verified when read."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llamahome_core import (
    IntegrityError,
    ModelError,
    Models,
    Registry,
    StorageError,
    UnknownNameError,
    files,
)
from llamahome_core.testing import RegistryContract
from llamahome_models.registry import VersionRegistry


@pytest.fixture
def part(tmp_path: Path) -> Path:
    folder = tmp_path / "part"
    folder.mkdir()
    (folder / "weights").write_bytes(b"weights")
    return folder


@pytest.fixture
def registry(context) -> VersionRegistry:
    found = context.get(Registry)
    assert isinstance(found, VersionRegistry)
    return found


class TestContract(RegistryContract):
    """It keeps to what every registry keeps to."""

    @pytest.fixture
    def registry(self, context) -> Registry:
        found: Registry = context.get(Registry)
        return found


def test_versions_are_numbered_and_tagged(registry, part):
    """Tags move to the newest version that claims them; numbers never change."""
    first = registry.publish("bot", {"merged": part}, tags=["latest"], metadata={"base": "x"})
    second = registry.publish("bot", {"merged": part, "adapter": part}, tags=["latest", "good"])
    assert (first.label, second.label) == ("bot:v1", "bot:v2")
    assert first.metadata["base"] == "x"
    assert first.metadata["created"]
    assert second.digest.startswith("sha256:")
    assert (second.files["adapter"] / "weights").read_bytes() == b"weights"
    assert registry.find("bot") == registry.find("bot:latest") == registry.find("bot:good")
    assert registry.find("bot").label == "bot:v2"
    assert registry.find("bot:v1").tags == ()
    assert [v.label for v in registry.versions()] == ["bot:v1", "bot:v2"]
    assert registry.versions("bo") == []


def test_a_bare_name_without_latest_is_the_newest(registry, part):
    """Numbers are compared as numbers."""
    for _ in range(11):
        registry.publish("bot", {"merged": part}, tags=["old"])
    assert registry.find("bot").number == 11
    assert [v.number for v in registry.versions("bot")] == list(range(1, 12))


@pytest.mark.parametrize(
    ("label", "hint"), [("bot:latst", "bot:latest"), ("bto", "bot"), ("zzz", None)]
)
def test_an_unknown_version_is_answered_with_what_is_near(label, hint, registry, part):
    """The exit code says that there is no such thing."""
    registry.publish("bot", {"merged": part}, tags=["latest"])
    name = label.partition(":")[0]
    with pytest.raises(UnknownNameError) as caught:
        registry.find(label)
    assert caught.value.exit_code == 4
    assert name in caught.value.message
    if label.startswith("bot"):
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "parts", "tags"),
    [
        ("../up", ["merged"], []),
        ("a/b", ["merged"], []),
        (".registry", ["merged"], []),
        ("bot", ["merged"], ["v3"]),
        ("bot", ["merged"], ["a:b"]),
        ("bot", ["version"], []),
        ("bot", [], []),
    ],
)
def test_names_that_would_be_ambiguous_or_unsafe_are_refused(name, parts, tags, registry, part):
    """A name is no path; a tag is no number; the record's own name is taken."""
    with pytest.raises(ModelError):
        registry.publish(name, dict.fromkeys(parts, part), tags=tags)
    assert registry.versions() == []


def test_a_failed_publish_leaves_nothing(registry, part, tmp_path):
    """The second part cannot be stored: the first is gone as well, and the number is free."""
    empty = tmp_path / "empty"
    with pytest.raises(StorageError):
        registry.publish("bot", {"merged": part, "adapter": empty}, tags=["latest"])
    assert registry.store.keys() == []
    assert registry.publish("bot", {"merged": part}).number == 1


@pytest.mark.parametrize("stuck", [False, True])
def test_a_version_whose_publish_failed_at_the_very_end_is_gone_or_whole(
    stuck, registry, part, monkeypatch
):
    """The store raised after the record had landed: no record may outlive its parts."""
    registry.publish("bot", {"merged": part}, tags=["latest"])
    put, delete = registry.store.put, registry.store.delete

    def late(key: str, folder: Path) -> str:
        digest: str = put(key, folder)
        if key.endswith("/version"):
            raise StorageError("cannot be read back")
        return digest

    def keep_records(key: str) -> None:
        if stuck and key.endswith("/version"):
            raise StorageError("cannot remove")
        delete(key)

    with monkeypatch.context() as patch:
        patch.setattr(registry.store, "put", late)
        patch.setattr(registry.store, "delete", keep_records)
        with pytest.raises(StorageError, match="read back"):
            registry.publish("bot", {"merged": part, "adapter": part}, tags=["latest"])
    assert registry.find("bot").label == ("bot:v2" if stuck else "bot:v1")
    assert len(registry.store.keys("bot/v2/")) == (3 if stuck else 0)
    assert registry.publish("bot", {"merged": part}).number == (3 if stuck else 2)


def test_what_a_crash_left_is_no_version_and_is_cleared(registry, part):
    """Parts without the record that makes them a version are removed by the next publish."""
    registry.publish("bot", {"merged": part})
    registry.store.put("bot/v2/merged", part)
    registry.store.put("other/v1/merged", part)
    assert [v.label for v in registry.versions()] == ["bot:v1"]
    again = registry.publish("bot", {"adapter": part})
    assert again.number == 2
    assert registry.store.keys("bot/v2/") == ["bot/v2/adapter", "bot/v2/version"]
    assert registry.store.keys("other/") == ["other/v1/merged"]


def test_a_crash_before_the_record_loses_no_version_and_no_tag(registry, part, monkeypatch):
    """Version and tags appear together, by one rename."""
    registry.publish("bot", {"merged": part}, tags=["latest"])
    put = registry.store.put

    def full(key: str, folder: Path) -> str:
        if key.endswith("/version"):
            raise StorageError("No space left on device")
        digest: str = put(key, folder)
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(registry.store, "put", full)
        with pytest.raises(StorageError, match="No space"):
            registry.publish("bot", {"merged": part}, tags=["latest"])
    assert registry.find("bot:latest").label == "bot:v1"
    assert registry.publish("bot", {"merged": part}, tags=["latest"]).label == "bot:v2"
    assert registry.find("bot").label == "bot:v2"


def test_a_version_is_verified_when_it_is_read(registry, part):
    """A damaged part and one that was exchanged for another are both found."""
    version = registry.publish("bot", {"merged": part})
    merged = version.files["merged"]
    (merged / "weights").write_bytes(b"WEIGHTS")
    with pytest.raises(IntegrityError, match="damaged"):
        registry.find("bot:v1")
    registry.store.delete("bot/v1/merged")
    (part / "weights").write_bytes(b"another")
    registry.store.put("bot/v1/merged", part)
    with pytest.raises(IntegrityError, match="merged of bot/v1 is not what was published"):
        registry.find("bot:v1")


def test_a_damaged_record_is_an_error(registry, part, tmp_path):
    """It is not taken for an empty one; one that was written before there were tags has none."""
    registry.publish("bot", {"merged": part}, tags=["latest"])
    record, path = tmp_path / "record", registry.store.get("bot/v1/version") / "version.json"
    whole = json.loads(path.read_text())
    assert whole.pop("tags") == ["latest"]
    record.mkdir()
    for fields in (whole, {"schema": 1}):
        files.write_json(record / "version.json", fields)
        registry.store.delete("bot/v1/version")
        registry.store.put("bot/v1/version", record)
        if "parts" in fields:
            assert registry.find("bot").tags == ()
    with pytest.raises(IntegrityError, match="damaged"):
        registry.find("bot")


def test_one_damaged_record_blocks_no_other_version(registry, part, context, events):
    """It is left out with a warning, never replaced by another, and its number stays taken."""
    for tags in ([], ["latest"]):
        registry.publish("bot", {"merged": part}, tags=tags)
    record = context.workspace.models / "bot" / "v2" / "version" / "version.json"
    record.write_text("{")
    assert [version.label for version in registry.versions()] == ["bot:v1"]
    assert "bot:v2 is left out" in events.of("warning")[0]["text"]
    assert registry.find("bot:v1").number == 1
    for label in ("bot", "bot:latest", "bot:v2"):
        with pytest.raises(IntegrityError):
            registry.find(label)
        with pytest.raises(IntegrityError):
            context.get(Models).locate(label)
    assert registry.publish("bot", {"merged": part}, tags=["latest"]).label == "bot:v3"
    assert registry.find("bot").label == "bot:v3"


def test_a_tag_belongs_to_the_newest_version_that_was_given_it(registry, part):
    """A version keeps the tags that no later one was given."""
    registry.publish("bot", {"merged": part}, tags=["latest", "good", "good"])
    assert registry.find("bot:v1").tags == ("good", "latest")
    registry.publish("bot", {"merged": part}, tags=["latest"])
    registry.publish("bot", {"merged": part})
    tags = {version.label: version.tags for version in registry.versions()}
    assert tags == {"bot:v1": ("good",), "bot:v2": ("latest",), "bot:v3": ()}
    assert [registry.resolve(f"bot:{tag}").number for tag in ("latest", "good", "v3")] == [2, 1, 3]
    assert registry.resolve("bot").number == 2
    assert registry.find("bot:v1").tags == ("good",)


def test_resolving_reads_no_file_of_a_part(registry, part):
    """Gigabytes that are damaged are not noticed; `find` is for that."""
    version = registry.publish("bot", {"merged": part})
    (version.files["merged"] / "weights").write_bytes(b"WEIGHTS")
    assert registry.resolve("bot").files == {}
    with pytest.raises(IntegrityError):
        registry.find("bot")


def test_publishers_at_the_same_time_get_different_numbers(make_context, part):
    """Numbers are given under a lock."""
    labels: list[str] = []

    def publish() -> None:
        version = make_context().get(Registry).publish("bot", {"merged": part}, tags=["latest"])
        labels.append(version.label)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(labels) == ["bot:v1", "bot:v2", "bot:v3", "bot:v4"]


PUBLISH = """
import sys
from pathlib import Path
from llamahome_core import Kernel, Registry, Workspace

workspace, root, part, count = sys.argv[1:]
Path(workspace, ".config").mkdir(parents=True)
Path(workspace, ".config", "llamahome.toml").write_text(f"[store]\\nroot = {root!r}\\n")
kernel = Kernel(workspace=Workspace(Path(workspace)), environ={}, user_file=Path("/nonexistent"))
registry = kernel.context().get(Registry)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(count)):
    name = Path(workspace).name
    parts = {"merged": Path(part), "adapter": Path(part)}
    tags = ["latest", name, f"{name}-{number}"]
    print(registry.publish("bot", parts, tags=tags).label, flush=True)
"""


@pytest.mark.slow
def test_workspaces_publish_into_one_root_at_the_same_time(make_context, part, tmp_path):
    """Three processes, each with a workspace of its own: no version and no tag is lost or doubled.

    A fourth was killed in the middle: what it left is cleared, and nothing of the others.
    """
    root, names, count = tmp_path / "shared", ["one", "two", "three"], 4
    (part / "weights").write_bytes(bytes(range(256)) * 4096)
    (root / "bot" / "v1" / ".merged.tmp-dead").mkdir(parents=True)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISH, str(tmp_path / name), str(root), str(part), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    with contextlib.ExitStack() as stack:
        for process in started:
            stack.enter_context(process)
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        labels = {name: p.communicate()[0].split() for name, p in zip(names, started, strict=True)}
    assert [process.returncode for process in started] == [0, 0, 0]
    total = len(names) * count
    published = sorted(label for found in labels.values() for label in found)
    assert published == sorted(f"bot:v{number + 1}" for number in range(total))
    registry = make_context(store={"root": root}).get(Registry)
    assert [version.number for version in registry.versions("bot")] == [*range(1, total + 1)]
    for name, found in labels.items():
        for number, label in enumerate(found):
            version = registry.find(f"bot:{name}-{number}")
            assert version.label == label
            assert version.files.keys() == {"merged", "adapter"}
        assert registry.resolve(f"bot:{name}").label == found[-1]
        assert not (tmp_path / name / "data").exists()
    assert registry.find("bot").label == registry.find("bot:latest").label == f"bot:v{total}"
    assert not list(root.rglob("*.tmp-*"))
