"""Versions are complete or not there, numbered in order, found by tag, verified when read."""

from __future__ import annotations

import json
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


def test_a_damaged_record_or_tag_file_is_an_error(registry, part, tmp_path, context):
    """Neither is taken for an empty one."""
    registry.publish("bot", {"merged": part}, tags=["latest"])
    tags = context.workspace.models / ".registry" / "tags.json"
    good = json.loads(tags.read_text())
    assert good["tags"] == {"bot": {"latest": 1}}
    tags.write_text("{")
    with pytest.raises(IntegrityError, match="lose their tags"):
        registry.find("bot")
    tags.unlink()
    assert registry.find("bot").tags == ()
    record = tmp_path / "record"
    record.mkdir()
    files.write_json(record / "version.json", {"schema": 1})
    registry.store.delete("bot/v1/version")
    registry.store.put("bot/v1/version", record)
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
    assert registry.next_number("bot") == 3
    assert registry.publish("bot", {"merged": part}, tags=["latest"]).label == "bot:v3"
    assert registry.find("bot").label == "bot:v3"


def test_tags_are_set_again_and_never_taken_from_a_later_version(registry, part):
    """What a crash lost comes back; what was published since keeps what it claimed."""
    first = registry.publish("bot", {"merged": part})
    registry.tag(first, ["latest", "good"])
    assert registry.find("bot:v1").tags == ("good", "latest")
    registry.publish("bot", {"merged": part}, tags=["latest"])
    registry.tag(first, ["latest", "good"])
    assert registry.find("bot:latest").number == 2
    assert registry.find("bot:good").number == 1
    with pytest.raises(ModelError, match="cannot be a tag"):
        registry.tag(first, ["v7"])


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
