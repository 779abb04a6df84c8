"""Contracts of what brings data and models: data sources, model sources, the models service."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path

import pytest

from llamahome_core import DataSource, ModelError, ModelReference, Models, ModelSource, Row


class DataSourceContract:
    """What every data source keeps to.

    Give the fixtures ``source``, with two rows at least, and ``changed``: the same source with
    the same settings, after one of the bytes that it reads has changed.
    """

    @pytest.fixture
    def source(self) -> DataSource:
        """The data source; the author's part."""
        raise NotImplementedError("give a fixture `source`")

    @pytest.fixture
    def changed(self) -> DataSource:
        """The same with other content; the author's part."""
        raise NotImplementedError("give a fixture `changed`")

    def test_the_same_rows_come_each_time(self, source: DataSource) -> None:
        """Data is prepared again on another machine, and must be the same."""
        rows = list(source.rows())

        assert len(rows) > 1
        assert list(source.rows()) == rows

    def test_two_readers_do_not_disturb_each_other(self, source: DataSource) -> None:
        """What is read lies in the iterator, not in the source."""
        rows = list(source.rows())
        first, second = source.rows(), source.rows()
        next(first)

        assert next(second) == rows[0]
        assert next(first) == rows[1]

    def test_rows_come_one_at_a_time(self, source: DataSource) -> None:
        """Data may be larger than memory: ``rows`` is an iterator, not a list."""
        rows = source.rows()

        assert iter(rows) is rows
        assert len(list(islice(rows, 1))) == 1

    def test_every_row_says_where_it_is(self, source: DataSource) -> None:
        """Messages name it: a source, and a number from 1 that no other row of it has."""
        rows = list(source.rows())
        places = [(row.source, row.number) for row in rows]

        assert {type(row) for row in rows} == {Row}
        assert all(source and number >= 1 for source, number in places)
        assert len(set(places)) == len(places)

    def test_every_row_is_plain_values(self, source: DataSource) -> None:
        """Names to what JSON can hold; no NaN, which JSON has not."""
        for row in source.rows():
            assert isinstance(row.value, dict)
            assert json.loads(json.dumps(row.value, allow_nan=False)) == row.value

    def test_the_digest_stays_while_the_content_does(self, source: DataSource) -> None:
        """Before and after reading: what is prepared is kept under it."""
        before = source.digest()
        list(source.rows())

        assert isinstance(before, str)
        assert before
        assert source.digest() == before

    def test_other_content_has_another_digest(
        self, source: DataSource, changed: DataSource
    ) -> None:
        """Otherwise the old rows would be taken from the cache, and nobody would know."""
        assert list(changed.rows()) != list(source.rows())
        assert changed.digest() != source.digest()


class ModelSourceContract:
    """What every model source keeps to.

    Give the fixtures ``source``, ``reference``, a small model that the source has, and
    ``missing``, a reference that means nothing to it.
    """

    @pytest.fixture
    def source(self) -> ModelSource:
        """The model source; the author's part."""
        raise NotImplementedError("give a fixture `source`")

    @pytest.fixture
    def reference(self) -> ModelReference:
        """What it has; the author's part."""
        raise NotImplementedError("give a fixture `reference`")

    @pytest.fixture
    def missing(self) -> ModelReference:
        """What it has not; the author's part."""
        raise NotImplementedError("give a fixture `missing`")

    def test_the_size_is_known_or_it_is_not(
        self, source: ModelSource, reference: ModelReference
    ) -> None:
        """Bytes, or None."""
        size = source.size(reference)

        assert size is None or size >= 0

    def test_a_pinned_reference_means_one_thing_for_good(
        self, source: ModelSource, reference: ModelReference
    ) -> None:
        """To pin it again changes nothing, and it is still the same model."""
        pinned = source.pin(reference)

        assert source.pin(pinned) == pinned
        assert (pinned.source, pinned.location) == (reference.source, reference.location)

    def test_what_is_fetched_is_there_and_the_same_each_time(
        self, source: ModelSource, reference: ModelReference, tmp_path: Path
    ) -> None:
        """The same files with the same bytes, in whatever empty folder."""
        pinned, found = source.pin(reference), []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            found.append(_hashes(source.fetch(pinned, folder, _quiet)))

        assert found[0]
        assert found[0] == found[1]

    def test_progress_only_grows(
        self, source: ModelSource, reference: ModelReference, tmp_path: Path
    ) -> None:
        """Bytes done, never more than there are."""
        told: list[tuple[int, int | None]] = []
        source.fetch(
            source.pin(reference), tmp_path, lambda done, total: told.append((done, total))
        )

        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert all(total is None or 0 <= done <= total for done, total in told)

    def test_what_is_not_there_is_a_model_error(
        self, source: ModelSource, missing: ModelReference, tmp_path: Path
    ) -> None:
        """When it is pinned or when it is fetched, and not an error of some library."""
        with pytest.raises(ModelError):
            source.fetch(source.pin(missing), tmp_path, _quiet)


def _quiet(done: int, total: int | None = None) -> None:
    """Progress that nobody follows."""


def _hashes(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {
        file.relative_to(path.parent if path.is_file() else path).as_posix(): hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in files
    }


class ModelsContract:
    """What the service ``Models`` keeps to.

    Give the fixtures ``models``, and ``name``: what a recipe would call a small model that it can
    fetch.
    """

    @pytest.fixture
    def models(self) -> Models:
        """The service; the author's part."""
        raise NotImplementedError("give a fixture `models`")

    @pytest.fixture
    def name(self) -> str:
        """A model's name; the author's part."""
        raise NotImplementedError("give a fixture `name`")

    def test_a_name_means_a_reference(self, models: Models, name: str) -> None:
        """The same each time."""
        assert isinstance(models.locate(name), ModelReference)
        assert models.locate(name) == models.locate(name)

    def test_a_name_that_means_nothing_is_a_model_error(self, models: Models) -> None:
        """For a look as for a fetch."""
        with pytest.raises(ModelError):
            models.locate("no-such-model-anywhere")
        with pytest.raises(ModelError):
            models.fetch("no-such-model-anywhere", _quiet)

    def test_what_was_fetched_is_cached_and_the_same(self, models: Models, name: str) -> None:
        """A folder in Hugging Face layout with its identity."""
        fetched = models.fetch(name, _quiet)

        assert (fetched.path / "config.json").is_file()
        assert list(fetched.path.glob("*.safetensors"))
        assert models.cached(name) == fetched
        assert models.fetch(name, _quiet) == fetched
