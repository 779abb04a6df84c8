"""A file is read by its suffix, or refused in words that say why."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from llamahome_core.config import ConfigError, Span, display, read, read_dotenv


def refusal(path: pathlib.Path) -> Any:
    with pytest.raises(ConfigError) as caught:
        read(path, "recipe")
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.toml", "a = 1"), ("a.yaml", "a: 1"), ("a.YML", "a: 1"), ("a.json", '{"a": 1}')],
)
def test_the_suffix_chooses_the_format(tmp_path, name, text):
    (tmp_path / name).write_text(text)

    document = read(tmp_path / name, "project")

    assert document.data == {"a": 1}
    assert (document.layer, document.path) == ("project", tmp_path / name)


@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path, suffix):
    plain = {"toml": 'a = 1\nb = """x\ny"""\n', "yaml": "a: 1\nb: |-\n  x\n  y\n"}
    text = plain.get(suffix, '{"a": 1,\n"b": "x\\ny"}\n')
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())

    document = read(path, "recipe")

    assert document.data == {"a": 1, "b": "x\ny"}
    assert document.marks["b",].key is not None
    assert document.marks["b",].key.line == 2


def test_a_name_without_a_known_suffix_is_refused(tmp_path):
    problem = refusal(tmp_path / "recipe.ini")

    assert problem.code == "C109"
    assert problem.fix == "name it .toml, .yaml or .json"


def test_a_missing_file_names_the_one_that_may_be_meant(tmp_path):
    (tmp_path / "smol.toml").touch()

    problem = refusal(tmp_path / "smoll.toml")

    assert problem.code == "C109"
    assert f"did you mean `{tmp_path / 'smol.toml'}`?" == problem.fix


def test_a_missing_file_among_unlike_names_is_just_missing(tmp_path):
    (tmp_path / "other.json").touch()

    assert refusal(tmp_path / "smol.toml").fix is None


def test_a_missing_folder_is_named(tmp_path):
    assert "there is no folder" in refusal(tmp_path / "gone" / "smol.toml").fix


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "a.toml").mkdir()

    assert "is a folder" in refusal(tmp_path / "a.toml").message


def test_what_the_system_refuses_is_said_in_its_words(tmp_path):
    problem = refusal(tmp_path / ("x" * 300 + ".toml"))

    assert "File name too long" in problem.message


def test_a_name_with_a_nul_is_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "a\0.toml").message


def test_a_file_over_10_mib_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"#" * (10 * 2**20 + 1))

    assert "larger than 10 MiB" in refusal(path).message


@pytest.mark.parametrize(
    ("raw", "span", "words"),
    [
        (b"a = 1\nb = '\xe9\xff'", Span(2, 6, 7), "is not UTF-8: byte 0xe9 at offset 11"),
        (b"\xef\xbb\xbfa = '\xff'", Span(1, 6, 7), "is not UTF-8: byte 0xff"),
        (b"a = 1\r\nb = \0", Span(2, 5, 6), "is not text: byte 0x00"),
    ],
)
def test_bytes_that_are_no_text_are_shown_at_their_place(tmp_path, raw, span, words):
    path = tmp_path / "a.toml"
    path.write_bytes(raw)

    problem = refusal(path)

    assert (problem.code, problem.span) == ("C109", span)
    assert words in problem.message


def test_utf_16_is_named(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes("a = 1".encode("utf-16"))

    assert "is in UTF-16" in refusal(path).message


def test_paths_are_shown_from_here_or_from_home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(pathlib.Path, "home", lambda: home)

    assert display(tmp_path / "work" / "a.toml") == "a.toml"
    assert display(home / "a.toml") == "~/a.toml"
    assert display(pathlib.Path("x/../a.toml")) == "x/../a.toml"
    assert display(tmp_path / "b.toml") == str(tmp_path / "b.toml")


def test_a_machine_without_a_home_shows_whole_paths(tmp_path, monkeypatch):
    def no_home() -> pathlib.Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(pathlib.Path, "home", no_home)

    assert display(tmp_path / "b.toml") == str(tmp_path / "b.toml")


def test_a_dotenv_file_gives_its_settings_and_all_its_variables(tmp_path):
    path = tmp_path / ".env"
    path.write_text("HF_HOME=/hf\nLLAMAHOME_TRAIN__STEPS=5\nLLAMAHOME_HOME=/x\n")

    documents, variables = read_dotenv(path)

    assert [document.data for document in documents] == [{"train": {"steps": 5}}]
    assert documents[0].marks["train", "steps"].value == Span(2, 24, 25)
    assert variables["HF_HOME"] == "/hf"
