"""The workspace is found from the working directory, else from the environment, else at home."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from llamahome_core import StorageError, Workspace, WorkspaceError
from llamahome_core.errors import HeldError
from llamahome_core.workspace import fix_of, user_file


def mark(folder: Path) -> Path:
    (folder / ".config").mkdir(parents=True)
    (folder / ".config" / "llamahome.toml").write_text("")
    return folder


def test_the_nearest_marked_parent_wins_over_the_environment(tmp_path):
    """As git finds its repository."""
    outer, inner = mark(tmp_path / "outer"), mark(tmp_path / "outer" / "inner")
    (inner / "deep" / "down").mkdir(parents=True)
    environ = {"LLAMAHOME_HOME": str(tmp_path / "home")}

    assert Workspace.find(inner / "deep" / "down", environ).root == inner
    assert Workspace.find(outer, environ).root == outer
    assert Workspace.find(tmp_path, environ).root == tmp_path / "home"


def test_the_working_directory_is_where_the_search_starts(tmp_path, monkeypatch):
    """And the process's environment is what is asked, if no other is given."""
    root = mark(tmp_path / "here")
    monkeypatch.chdir(root)
    assert Workspace.find().root == root

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLAMAHOME_HOME", str(tmp_path / "elsewhere"))
    assert Workspace.find().root == tmp_path / "elsewhere"
    assert not (tmp_path / "elsewhere").exists(), "finding creates nothing"


@pytest.mark.parametrize("value", [{}, {"LLAMAHOME_HOME": ""}])
def test_without_anything_it_is_in_the_home_folder(tmp_path, monkeypatch, value):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert Workspace.find(tmp_path, value).root == tmp_path / ".llamahome"


def test_a_tilde_means_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert Workspace.find(tmp_path, {"LLAMAHOME_HOME": "~/llamas"}).root == tmp_path / "llamas"


def test_a_home_that_cannot_be_one_says_how_to_mend_it(tmp_path):
    """Relative, or a file."""
    with pytest.raises(WorkspaceError, match="'here', which is not an absolute path") as caught:
        Workspace.find(tmp_path, {"LLAMAHOME_HOME": "here"})
    assert caught.value.hint == f"export LLAMAHOME_HOME={Path('here').absolute()}"

    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="file is not a folder"):
        Workspace.find(tmp_path, {"LLAMAHOME_HOME": str(tmp_path / "file")})


def test_a_user_without_a_home_is_told_what_to_set(tmp_path):
    """As in a container, whose user is only a number."""
    with pytest.raises(WorkspaceError, match="there is no folder for a workspace") as caught:
        Workspace.find(tmp_path, {"LLAMAHOME_HOME": "~nobody-x/llamas"})
    assert "LLAMAHOME_HOME" in str(caught.value.hint)


def test_everything_has_its_place_in_it(tmp_path):
    """What is the user's is not in a cache, and all caches are in one folder."""
    workspace = Workspace(tmp_path)

    assert workspace.runs == tmp_path / "runs"
    assert workspace.models == tmp_path / "data" / "models"
    assert workspace.config == tmp_path / ".config"
    assert workspace.scratch == workspace.cache("system")
    assert workspace.cache("models") == tmp_path / ".cache" / "models"


def test_the_caches_of_libraries_are_pointed_into_it_unless_the_user_said_where(tmp_path):
    """Nothing is written anywhere else, and nobody is told of it."""
    environ = {"HF_HOME": "/mine"}
    Workspace(tmp_path).contain_caches(environ)

    assert environ.pop("HF_HOME") == "/mine"
    assert environ.pop("HF_HUB_DISABLE_TELEMETRY") == "1"
    assert environ.pop("DO_NOT_TRACK") == "1"
    assert len(environ) == 4
    assert all(Path(value).is_relative_to(tmp_path / ".cache") for value in environ.values())


def test_the_files_of_settings_are_found_in_all_formats(tmp_path):
    """Those of the project, or those of a profile."""
    workspace = Workspace(mark(tmp_path))
    for name in ("training_config.yaml", "models.json", "dev.yml", "notes.txt"):
        (workspace.config / name).write_text("")

    assert [path.name for path in workspace.settings_files()] == [
        "llamahome.toml",
        "training_config.yaml",
        "models.json",
    ]
    assert [path.name for path in workspace.settings_files(("dev",))] == ["dev.yml"]
    (tmp_path / "outside.toml").write_text("")
    assert workspace.settings_files(("../outside", str(tmp_path / "outside"))) == []


def test_the_user_file_is_where_the_platform_puts_settings(tmp_path):
    assert user_file({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "llamahome" / "config.toml"
    assert user_file({}).parts[-2:] == ("llamahome", "config.toml")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "make room"), (errno.EROFS, "write there"), (None, "doctor")],
)
def test_a_disk_that_fails_always_has_a_fix(number: int | None, words: str):
    """From the system's reason; an error's own hint and other errors stay as they are."""
    error = StorageError("cannot write x")
    error.__cause__ = None if number is None else OSError(number, "no")

    assert words in str(fix_of(error))
    assert fix_of(StorageError("x", hint="y")) == "y"
    assert fix_of(HeldError("x")) is None
