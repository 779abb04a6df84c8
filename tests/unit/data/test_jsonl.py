"""The source ``jsonl``: every bad line is named with its column, and content alone is identity."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import DataError, DataSource
from llamahome_core.testing import DataSourceContract
from llamahome_data.config import JsonlConfig
from llamahome_data.jsonl import JsonlSource

NO_CONTEXT: Any = None


def source(path: Path, **settings: Any) -> JsonlSource:
    return JsonlSource(JsonlConfig(path=path, **settings), NO_CONTEXT)


def read(path: Path, **settings: Any) -> list[dict[str, Any]]:
    return [row.value for row in source(path, **settings).rows()]


@pytest.fixture
def file(tmp_path) -> Path:
    path: Path = tmp_path / "train.jsonl"
    return path


class TestContract(DataSourceContract):
    """It keeps to what every data source keeps to."""

    @pytest.fixture
    def source(self, file: Path) -> DataSource:
        file.write_text('{"text": "a"}\n\n{"text": "b"}\n')
        return source(file)

    @pytest.fixture
    def changed(self, file: Path) -> DataSource:
        other = file.with_name("other.jsonl")
        other.write_text('{"text": "a"}\n\n{"text": "c"}\n')
        return source(other)


def test_rows_come_in_order_with_their_line_numbers_and_blank_lines_are_skipped(file):
    """A number in a message must be the one that an editor shows."""
    file.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\n   \n{"text": "b"}\n\x0c\n{"text": "c"}')
    rows = list(source(file).rows())
    assert [(row.number, row.value) for row in rows] == [
        (1, {"text": "a"}),
        (4, {"text": "b"}),
        (6, {"text": "c"}),
    ]
    assert {row.source for row in rows} == {str(file)}


def test_rows_are_read_as_they_are_asked_for(file):
    """A bad line behind what is needed harms nobody: the file is not read at once."""
    file.write_text('{"text": "a"}\nnonsense\n')
    rows = source(file).rows()
    assert next(rows).value == {"text": "a"}
    with pytest.raises(DataError):
        next(rows)


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        (b'{"text": "b\xe9"}', 12, "byte 0xe9 is not UTF-8"),
        ('{"text": "é'.encode() + b'\xff"}', 12, "byte 0xff is not UTF-8"),
        (b'{"text": "a",}', 14, "not JSON"),
        (b'{"text": "a"', 13, "not JSON: Expecting ',' delimiter"),
        (b'{"text": "NaN", "n": NaN}', 22, "NaN is not JSON"),
        (b'{"text": "a\\"NaN", "n": [-Infinity]}', 26, "-Infinity is not JSON"),
        (b'["text"]', 1, "must be an object, this is an array"),
        (b'"text"', 1, "must be an object, this is a string"),
        (b"3", 1, "must be an object, this is a number"),
        (b"2.5", 1, "must be an object, this is a number"),
        (b"true", 1, "must be an object, this is true or false"),
        (b"null", 1, "must be an object, this is null"),
        (b"[" * 100_000, 1, "nested too deeply to be read"),
        (b'{"text": ' + b'{"a":' * 100_000 + b"}" * 100_001, 1, "nested too deeply to be read"),
        (b'{"text": ' + b"1" * 5000 + b"}", 1, "a number has too many digits"),
    ],
)
def test_a_bad_line_is_named_with_file_line_and_column(file, line, column, words):
    """The position is that of the fault, in characters, not in bytes."""
    file.write_bytes(b'{"text": "fine"}\n\n' + line + b"\n")
    with pytest.raises(DataError) as caught:
        read(file)
    assert caught.value.message.startswith(f"{file}:3:{column}: ")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"prompt": "a", "completion": "b", "prompt": "c"}', "prompt"),
        ('{"text": "a", "\\u0074ext": "b"}', "text"),
        ('{"messages": [{"role": "user", "content": "a", "role": "assistant"}]}', "role"),
        ('{"text": "a", "meta": {"deep": [{"": 1, "": 1}]}}', ""),
    ],
)
def test_a_key_that_an_object_has_twice_is_refused_with_row_and_key(file, line, key):
    """Python's parser takes the last of them in silence: half of a row would be lost."""
    file.write_text(f'{{"text": "fine"}}\n{line}\n')
    with pytest.raises(DataError) as caught:
        read(file)
    assert caught.value.message == f"{file}:2: an object has the key {key!r} twice"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[\n{}\n]\n", "jq -c '.[]'"),
        ('[{"text": "a"}]\n', "jq -c '.[]'"),
        ('{\n"text": "a"\n}\n', "jq -c ."),
    ],
)
def test_json_that_is_not_json_lines_gets_the_command_that_mends_it(file, content, words):
    """An array, or an object over several lines, is the commonest mistake."""
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        read(file)
    assert words in str(caught.value.hint)


def test_fields_come_out_under_the_names_of_their_form(file):
    """The settings name the fields; nothing else but tools gets through."""
    file.write_text('{"q": "a", "a": "b", "id": 7}\n')
    assert read(file, prompt="q", completion="a") == [{"prompt": "a", "completion": "b"}]
    file.write_text('{"messages": [], "tools": [1], "id": 7}\n')
    assert read(file) == [{"messages": [], "tools": [1]}]


def test_an_explicit_form_takes_that_form_and_no_other(file):
    """A row with text and a conversation is what the settings say that it is."""
    file.write_text('{"messages": [], "text": "a"}\n')
    assert read(file, format="text") == [{"text": "a"}]
    assert read(file, format="messages") == [{"messages": []}]
    with pytest.raises(DataError, match="no field 'prompt' or 'completion'"):
        read(file, format="prompt-completion")


def test_a_row_without_a_known_field_lists_the_fields_that_it_has(file):
    """The message is enough to write the setting that mends it."""
    file.write_text('{"question": "a", "answer": "b"}\n')
    with pytest.raises(DataError) as caught:
        read(file)
    assert caught.value.message.startswith(f"{file}:1: no field 'messages' or ")
    assert "the row has 'question', 'answer'" in caught.value.message
    assert 'prompt = "question"' in str(caught.value.hint)


def test_limit_reads_the_first_rows_and_no_more(file):
    """Rows behind the limit are not even parsed."""
    file.write_text('{"text": "a"}\n\n{"text": "b"}\nnonsense\n')
    assert read(file, limit=2) == [{"text": "a"}, {"text": "b"}]


def test_the_digest_is_that_of_the_content(file, tmp_path):
    """A renamed or touched file is the same data; one changed byte is other data."""
    file.write_text('{"text": "a"}\n')
    digest = source(file).digest()
    elsewhere = file.rename(tmp_path / "other.jsonl")
    assert source(elsewhere).digest() == digest
    elsewhere.write_text('{"text": "b"}\n')
    assert source(elsewhere).digest() != digest


@pytest.mark.parametrize("settings", [{"limit": 1}, {"format": "text"}, {"text": "body"}])
def test_settings_that_change_the_rows_change_the_digest(file, settings):
    """Otherwise the cache would serve the rows of other settings."""
    file.write_text('{"text": "a", "body": "b"}\n{"text": "c"}\n')
    assert source(file, **settings).digest() != source(file).digest()


def test_a_missing_file_suggests_its_neighbour(file):
    """A misspelt name is mended in one look."""
    file.write_text('{"text": "a"}\n')
    wrong = file.with_name("train2.jsonl")
    for act in (source(wrong).digest, lambda: list(source(wrong).rows())):
        with pytest.raises(DataError, match="No such file") as caught:
            act()
        assert caught.value.hint == "did you mean train.jsonl?"


def test_a_folder_or_a_missing_folder_is_an_error_without_a_traceback(tmp_path):
    """Whatever the path is, the user is told in one line."""
    with pytest.raises(DataError, match="directory"):
        source(tmp_path).digest()
    with pytest.raises(DataError, match="No such file") as caught:
        source(tmp_path / "no" / "file").digest()
    assert "correct `path`" in str(caught.value.hint)
    with pytest.raises(DataError, match="No such file") as caught:
        source(tmp_path / "zzz").digest()
    assert "correct `path`" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("kind", "words", "hint"),
    [
        ("pipe", "it is a pipe, a socket or a device", "write its rows into a file"),
        ("device", "it is a pipe, a socket or a device", "write its rows into a file"),
        ("folder", "it is a directory", "name a file in it"),
        ("circle", "symbolic links", "lead in a circle"),
        ("dangling", "No such file", "where that is a symbolic link, this is its target"),
    ],
)
def test_only_a_regular_file_is_read(tmp_path, kind, words, hint):
    """A pipe would wait for ever, and a device has no end."""
    path = tmp_path / "train.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        targets = {"device": "/dev/null", "circle": path, "dangling": tmp_path / "q"}
        path.symlink_to(targets[kind])
    for act in (source(path).digest, lambda: list(source(path).rows())):
        with pytest.raises(DataError, match=words) as caught:
            act()
        assert str(path) in caught.value.message
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "words", "hint"),
    [
        (gzip.compress(b'{"text": "a"}\n', mtime=0), "it is compressed with gzip", "gunzip"),
        ('{"text": "a"}\n'.encode("utf-16"), "it is in UTF-16", "iconv -f UTF-16 "),
        ('\ufeff{"text": "a"}\n'.encode("utf-16-be"), "it is in UTF-16", "iconv -f UTF-16 "),
        ('{"text": "a"}\n'.encode("utf-16-le"), "it is in UTF-16", "iconv -f UTF-16LE "),
        ('{"text": "a"}\n'.encode("utf-16-be"), "it is in UTF-16", "iconv -f UTF-16BE "),
    ],
    ids=["gzip", "utf-16", "utf-16-be", "utf-16-le without mark", "utf-16-be without mark"],
)
def test_a_file_that_is_no_text_in_utf_8_is_told_what_it_is(file, content, words, hint):
    """By its first bytes, whatever its name, and before a hash is made of all of it."""
    file.write_bytes(content)
    for act in (source(file).digest, lambda: list(source(file).rows())):
        with pytest.raises(DataError, match=words) as caught:
            act()
        assert hint in str(caught.value.hint)


def test_rows_of_sharegpt_get_the_command_that_mends_them(file):
    """It is the commonest form that is not read; the field's name is in the command."""
    file.write_text('{"conversations": [{"from": "human", "value": "a"}]}\n')
    with pytest.raises(DataError, match="the row has 'conversations'") as caught:
        read(file)
    assert "ShareGPT" in str(caught.value.hint)
    assert "`messages` with `role`" in str(caught.value.hint)
    assert "[.conversations[] |" in str(caught.value.hint)
