"""Files are replaced whole; folders appear complete with a manifest that finds every change."""

from __future__ import annotations

import json
import os
import stat
import uuid
from pathlib import Path

import pytest

from llamahome_core import IntegrityError, StorageError, files
from llamahome_core.files import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- One file


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path):
    """Parents are made; no temporary stays."""
    target = tmp_path / "a" / "b" / "file.txt"

    files.write_text(target, "grüße\n")

    assert target.read_bytes() == "grüße\n".encode()
    assert names(target.parent) == ["file.txt"]


def test_the_permissions_of_a_replaced_file_are_kept_whatever_the_umask(tmp_path):
    """A key file stays private, and a shared file stays shared."""
    target = tmp_path / "file"
    old = os.umask(0o077)
    try:
        for mode in (0o600, 0o666, 0o640):
            target.write_text("old")
            target.chmod(mode)
            files.write_text(target, "new")
            assert stat.S_IMODE(target.stat().st_mode) == mode
            assert target.read_text() == "new"
    finally:
        os.umask(old)


def test_json_is_written_for_people_and_never_as_nan(tmp_path):
    """Umlauts as they are; what JSON cannot hold is refused before anything is written."""
    target = tmp_path / "value.json"
    files.write_json(target, {"name": "Grüße", "values": [1, None]})

    assert "Grüße" in target.read_text(encoding="utf-8")
    assert json.loads(target.read_bytes()) == {"name": "Grüße", "values": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(target, float("nan"))
    assert json.loads(target.read_bytes())["values"] == [1, None]
    assert names(tmp_path) == ["value.json"]


def test_a_file_name_that_is_no_utf_8_survives_in_json(tmp_path):
    """Python holds such a name as half of a surrogate pair, which UTF-8 cannot."""
    name = os.fsdecode(b"stra\xdfe")
    files.write_json(tmp_path / "value.json", [name])

    assert json.loads((tmp_path / "value.json").read_text(encoding="utf-8")) == [name]


def test_a_symlink_in_the_place_of_the_temporary_is_refused(tmp_path, monkeypatch):
    """Nobody who guesses the name makes us write somewhere else."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))
    (tmp_path / f".file.tmp-{uuid.UUID(int=7).hex}").symlink_to(victim)

    with pytest.raises(StorageError, match=r"cannot write .*file: File exists"):
        files.write_text(tmp_path / "file", "new")

    assert victim.read_text() == "precious"
    assert not (tmp_path / "file").exists()


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    """A file stands where the folder should be, itself or above it."""
    (tmp_path / "file").write_text("")

    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=f"cannot make {folder}"):
            files.make_folder(folder)


def test_making_a_folder_that_is_there_changes_nothing(tmp_path):
    assert files.make_folder(tmp_path) == tmp_path


# --- Whole folders


def test_a_new_folder_appears_complete_with_its_manifest(complete):
    """Names, sizes, hashes and what the writer recorded."""
    manifest = files.verify_folder(complete)

    assert manifest.files["a.txt"] == {
        "size": 5,
        "sha256": files.hash_file(complete / "a.txt").removeprefix("sha256:"),
    }
    assert sorted(manifest.files) == ["a.txt", "sub/b.txt"]
    assert manifest.metadata == {"kind": "test"}
    assert names(complete.parent) == ["thing"]


def test_until_the_block_ends_there_is_no_folder(tmp_path):
    """A reader never sees half of it."""
    with files.new_folder(tmp_path / "thing") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "thing").exists()
        assert folder.parent == tmp_path
    assert files.read_manifest(tmp_path / "thing").metadata == {}


@pytest.mark.parametrize("error", [RuntimeError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_in_the_block_goes_through_and_leaves_nothing(tmp_path, error):
    """The error is the caller's own, not wrapped."""

    def fill() -> None:
        with files.new_folder(tmp_path / "thing") as folder:
            (folder / "a").write_text("a")
            raise error

    with pytest.raises(type(error)) as caught:
        fill()

    assert caught.value is error
    assert names(tmp_path) == []


def test_an_os_error_in_the_block_names_the_file_that_is_to_blame(tmp_path):
    """What is missing may lie elsewhere."""
    with (
        pytest.raises(StorageError, match=r"cannot write .*thing: No such file.*elsewhere"),
        files.new_folder(tmp_path / "thing"),
    ):
        (tmp_path / "elsewhere").read_text()

    with (
        pytest.raises(StorageError, match=r"cannot write .*thing: No such file or directory$"),
        files.new_folder(tmp_path / "thing") as folder,
    ):
        (folder / "inside").read_text()


def test_an_existing_folder_is_never_overwritten(complete):
    before = files.read_manifest(complete).digest
    with pytest.raises(StorageError, match="exists already"), files.new_folder(complete):
        pytest.fail("the block must not run")
    assert files.verify_folder(complete).digest == before


def test_the_digest_is_of_the_content_alone(tmp_path, complete):
    """Other metadata, another place: the same digest; another byte: another one."""
    other, changed = tmp_path / "other", tmp_path / "changed"
    with files.new_folder(other, lambda: {"kind": "else"}) as folder:
        files.copy_folder(complete, folder)
    with files.new_folder(changed) as folder:
        files.copy_folder(complete, folder)
        (folder / "a.txt").write_text("alphA")

    digest = files.read_manifest(complete).digest
    assert files.verify_folder(other).digest == digest
    assert files.verify_folder(changed).digest != digest


def test_what_is_no_file_cannot_be_published(tmp_path):
    """A link to a folder is neither hashed nor durable."""
    (tmp_path / "elsewhere").mkdir()
    with (
        pytest.raises(StorageError, match="link is no file"),
        files.new_folder(tmp_path / "thing") as folder,
    ):
        (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path) == ["elsewhere"]


def _flip(folder: Path) -> None:
    data = bytearray((folder / "a.txt").read_bytes())
    data[2] ^= 1
    (folder / "a.txt").write_bytes(data)


def _replace_by_pipe(folder: Path) -> None:
    (folder / "a.txt").unlink()
    (folder / "a.txt").mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip, "a.txt is damaged: its hash differs"),
        (lambda f: (f / "a.txt").write_text("alp"), "a.txt has 3 bytes instead of 5"),
        (lambda f: (f / "a.txt").write_bytes(bytes(5)), "a.txt is damaged"),
        (lambda f: (f / "sub" / "b.txt").unlink(), "sub/b.txt is missing"),
        (lambda f: (f / "extra").write_text(""), "extra is not in the manifest"),
        (lambda f: (f / "extra").symlink_to("/nowhere"), "extra is not in the manifest"),
        (lambda f: (f / "extra").symlink_to(f / "sub"), "extra is not in the manifest"),
        (lambda f: (f / "sub" / "MANIFEST.json").write_text("{}"), "is not in the manifest"),
        (_replace_by_pipe, "a.txt is missing"),
    ],
)
def test_every_change_of_a_complete_folder_is_found(complete, damage, message):
    """Flipped, cut, emptied, missing and extra files, in any place."""
    damage(complete)

    with pytest.raises(IntegrityError, match=message):
        files.verify_folder(complete)


def test_a_file_that_the_disk_cannot_read_is_damage(complete, monkeypatch):
    """So a run goes on from an older checkpoint instead of ending with a traceback."""

    def fails(path: Path) -> str:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(files.manifests, "hash_file", fails)
    with pytest.raises(IntegrityError, match=r"a.txt cannot be read: Input/output error"):
        files.verify_folder(complete)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "was never completed"),
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[]", "damaged: it has the wrong form"),
        ("{}", r"it is missing @ \$\.schema.*it is missing @ \$\.files"),
        ('{"schema": 2, "files": {}, "metadata": {}}', "2 not in literal"),
        ('{"schema": 1, "files": [], "metadata": {}}', r"wrong form @ \$\.files"),
        ('{"schema": 1, "files": {"a": {"size": "5", "sha256": ""}}, "metadata": {}}', "no int"),
        ('{"schema": 1, "files": {"a": {"size": 5}}, "metadata": {}}', "sha256"),
        ('{"schema": 1, "files": {}, "metadata": {}, "more": 1}', "unknown key 'more'"),
    ],
)
def test_a_damaged_manifest_says_what_is_wrong(complete, text, message):
    """And never ends in a traceback of another kind."""
    path = complete / files.MANIFEST
    if text is None:
        path.unlink()
    else:
        path.write_text(text)

    with pytest.raises(IntegrityError, match=message):
        files.verify_folder(complete)


def test_an_unreadable_manifest_is_damage(complete):
    (complete / files.MANIFEST).unlink()
    (complete / files.MANIFEST).mkdir()

    with pytest.raises(IntegrityError, match="is damaged"):
        files.read_manifest(complete)


def test_the_reason_of_an_error_without_a_number_is_its_text():
    assert atomic.why(OSError("just so")) == "just so"
