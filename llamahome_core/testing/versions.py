"""Contract of the registry: published versions by name and tag."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from llamahome_core import Registry, StorageError, UnknownNameError
from llamahome_core.testing.storage import content_of, make_folder


class RegistryContract:
    """What the service ``Registry`` keeps to.

    Give the fixture ``registry``, without any versions.
    """

    @pytest.fixture
    def registry(self) -> Registry:
        """The registry, empty; the author's part."""
        raise NotImplementedError("give a fixture `registry`")

    @pytest.fixture
    def part(self, tmp_path: Path) -> Path:
        """A folder to publish."""
        return make_folder(tmp_path / "part", "x")

    def test_versions_are_numbered_from_one(self, registry: Registry, part: Path) -> None:
        """For each name by itself."""
        for name, number in (("bot", 1), ("bot", 2), ("other", 1)):
            assert registry.publish(name, {"merged": part}).number == number

        assert [v.label for v in registry.versions()] == ["bot:v1", "bot:v2", "other:v1"]
        assert [v.label for v in registry.versions("bot")] == ["bot:v1", "bot:v2"]

    def test_what_is_published_is_found_whole(self, registry: Registry, part: Path) -> None:
        """Files and metadata, by number, by tag and by name alone."""
        made = registry.publish("bot", {"merged": part}, tags=["good"], metadata={"loss": 0.5})

        for label in ("bot", "bot:v1", "bot:good"):
            found = registry.find(label)
            assert (found.label, found.digest) == (made.label, made.digest)
            assert found.metadata["loss"] == 0.5
            assert content_of(found.files["merged"]) == content_of(part)
            assert registry.resolve(label).digest == made.digest

    def test_a_tag_belongs_to_the_newest_that_got_it(self, registry: Registry, part: Path) -> None:
        """And a bare name means ``latest``."""
        for tags in (["latest", "good"], ["latest"], []):
            registry.publish("bot", {"merged": part}, tags=tags)

        assert [registry.find(f"bot{tag}").number for tag in (":latest", "", ":good")] == [2, 2, 1]

    def test_what_is_not_there_is_an_unknown_name(self, registry: Registry, part: Path) -> None:
        """With its files and without."""
        registry.publish("bot", {"merged": part})

        for find, label in itertools.product(
            (registry.find, registry.resolve), ("none", "bot:v2", "bot:none")
        ):
            with pytest.raises(UnknownNameError):
                find(label)

    def test_a_publication_that_fails_is_none(
        self, registry: Registry, part: Path, tmp_path: Path
    ) -> None:
        """One part of two is not there: no version, no tag, and the number is still free."""
        with pytest.raises(StorageError):
            registry.publish("bot", {"merged": part, "adapter": tmp_path / "no"}, tags=["latest"])

        assert registry.versions() == []
        assert registry.publish("bot", {"merged": part}).number >= 1
