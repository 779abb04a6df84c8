"""The documentation of settings comes from the classes themselves."""

from __future__ import annotations

import enum
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import zipfile
from typing import Any, Literal

import pytest
from attrs import Factory, field, frozen, validators

from llamahome_core.config import describe, json_schema


class Precision(enum.Enum):
    FP32 = "fp32"
    BF16 = "bf16"


@frozen(kw_only=True)
class Base:
    """What all have."""

    name: str = "x"
    """Name of it,
    on two lines."""


@frozen(kw_only=True)
class Part:
    """A part."""

    path: pathlib.Path
    """Where it is."""
    weight: float = field(default=1.0, validator=[validators.gt(0), validators.le(9)])


@frozen(kw_only=True)
class Whole(Base):
    """The whole.

    More about it.
    """

    precision: Precision = Precision.FP32
    """How exact."""
    overlong: Literal["drop", "split"] = "drop"
    listed: str = field(default="a", validator=validators.in_(["a", "b"]))
    steps: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    either: int | str = 0
    tags: tuple[str, ...] = field(default=(), validator=validators.max_len(4))
    code: str = field(
        default="", validator=[validators.max_len(4), validators.matches_re("[a-z]*")]
    )
    pair: tuple[float, int] = (0.5, 1)
    labels: dict[str, int] = field(factory=dict)
    part: Part = field(factory=lambda: Part(path=pathlib.Path("p")))
    """The part."""
    parts: list[Part] = field(factory=list)
    other: Part | None = None
    later: int = Factory(lambda self: self.steps, takes_self=True)
    open: Any = None
    must: bool


def setting(name: str) -> Any:
    return next(found for found in describe(Whole) if found.name == name)


def test_settings_are_listed_in_order_with_inherited_ones_first():
    names = [found.name for found in describe(Whole)]

    assert names[:3] == ["name", "precision", "overlong"]
    assert names[-1] == "must"


@pytest.mark.parametrize(
    ("name", "type_", "default", "help_", "constraint", "choices"),
    [
        ("name", "text", "x", "Name of it,\non two lines.", "", ()),
        ("precision", '"fp32" or "bf16"', "fp32", "How exact.", "", ("fp32", "bf16")),
        ("overlong", '"drop" or "split"', "drop", "", "", ("drop", "split")),
        ("listed", "text", "a", "", 'one of "a", "b"', ("a", "b")),
        ("steps", "a whole number", None, "", "at least 1", ()),
        ("either", "a whole number or text", 0, "", "", ()),
        ("tags", "a list", [], "", "at most 4 long", ()),
        ("code", "text", "", "", "at most 4 long and text that matches [a-z]*", ()),
        ("pair", "a list", [0.5, 1], "", "", ()),
        ("labels", "a table", {}, "", "", ()),
        ("part", "a table", {"path": "p", "weight": 1.0}, "The part.", "", ()),
        ("later", "a whole number", None, "", "", ()),
        ("open", "anything", None, "", "", ()),
        ("must", "true or false", None, "", "", ()),
    ],
)
def test_a_setting_is_described_in_words(name, type_, default, help_, constraint, choices):
    found = setting(name)

    assert (found.type, found.default, found.help) == (type_, default, help_)
    assert (found.constraint, found.choices) == (constraint, choices)
    assert found.required == (name == "must")


@pytest.mark.parametrize("name", ["part", "parts", "other"])
def test_the_settings_of_a_table_are_described_too(name):
    path, weight = setting(name).settings

    assert (path.name, path.type, path.required, path.help) == (
        "path",
        "a path",
        True,
        "Where it is.",
    )
    assert (weight.name, weight.constraint) == ("weight", "greater than 0 and at most 9")


def test_a_class_without_source_is_described_without_help():
    made: dict[str, Any] = {}
    exec(  # noqa: S102  # a class that has no file
        "from attrs import frozen\n@frozen\nclass Made:\n    a: int = 1\n    '''Help.'''\n", made
    )

    (found,) = describe(made["Made"])

    assert (found.name, found.help) == ("a", "")


def test_a_class_from_a_wheel_is_described_with_its_help(tmp_path):
    wheel = tmp_path / "made-1.0-py3-none-any.whl"
    source = (
        "from attrs import frozen\n"
        "@frozen(kw_only=True)\nclass Made:\n    rank: int = 8\n    '''Width of the adapter.'''\n"
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("made_plugin/__init__.py", "")
        archive.writestr("made_plugin/config.py", source)
    root = pathlib.Path(importlib.util.find_spec("llamahome_core").submodule_search_locations[0])  # type: ignore[union-attr,index]  # it is a package
    program = (
        f"import sys; sys.path[:0] = [{str(wheel)!r}, {str(root.parent)!r}]\n"
        "from made_plugin.config import Made\nfrom llamahome_core.config import describe\n"
        "print(describe(Made)[0].help)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "Width of the adapter.\n"


def test_the_schema_says_what_is_allowed():
    schema = json_schema(Whole)

    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert (schema["title"], schema["description"]) == ("Whole", "The whole.")
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["must"]
    assert schema["properties"] == {
        "name": {"type": "string", "description": "Name of it,\non two lines.", "default": "x"},
        "precision": {"enum": ["fp32", "bf16"], "description": "How exact.", "default": "fp32"},
        "overlong": {"enum": ["drop", "split"], "default": "drop"},
        "listed": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "steps": {"type": "integer", "minimum": 1},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 4, "default": []},
        "code": {"type": "string", "maxLength": 4, "pattern": "^(?:[a-z]*)$", "default": ""},
        "pair": {
            "type": "array",
            "items": [{"type": "number"}, {"type": "integer"}],
            "minItems": 2,
            "maxItems": 2,
            "default": [0.5, 1],
        },
        "labels": {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}},
        "part": {
            "allOf": [{"$ref": "#/definitions/Part"}],
            "description": "The part.",
            "default": {"path": "p", "weight": 1.0},
        },
        "parts": {"type": "array", "items": {"$ref": "#/definitions/Part"}, "default": []},
        "other": {"allOf": [{"$ref": "#/definitions/Part"}]},
        "later": {"type": "integer"},
        "open": {},
        "must": {"type": "boolean"},
    }
    assert schema["definitions"]["Part"] == {
        "type": "object",
        "description": "A part.",
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": "Where it is."},
            "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": 9, "default": 1.0},
        },
        "required": ["path"],
        "additionalProperties": False,
    }
    json.dumps(schema)


def test_a_class_without_tables_in_it_has_no_definitions():
    assert "definitions" not in json_schema(Base)


def test_a_type_that_no_setting_can_have_is_its_authors_mistake():
    @frozen
    class Odd:
        what: complex = 1j

    for act in (describe, json_schema):
        with pytest.raises(TypeError, match="cannot be the type of a setting"):
            act(Odd)


def test_a_validator_of_ones_own_is_no_described_constraint():
    def even(_instance: Any, _attribute: Any, _value: Any) -> None:
        """Allow all."""

    @frozen
    class Own:
        what: int = field(default=2, validator=[validators.ge(0), even])

    assert describe(Own)[0].constraint == "at least 0"


@pytest.mark.parametrize(
    ("func", "pattern"), [(re.fullmatch, "^(?:a)$"), (re.match, "^(?:a)"), (re.search, "a")]
)
def test_a_pattern_of_the_schema_matches_as_the_validator_does(func, pattern):
    @frozen
    class Own:
        what: str = field(default="a", validator=validators.matches_re("a", func=func))

    assert json_schema(Own)["properties"]["what"]["pattern"] == pattern


def test_a_comment_in_a_pattern_is_what_people_are_told():
    """The schema has the pattern without it: other engines know no comments."""

    @frozen(kw_only=True)
    class Own:
        what: str = field(default="a", validator=validators.matches_re(r"[a-z]+(?#small letters)"))
        many: tuple[int, ...] = field(
            default=(), validator=validators.deep_iterable(validators.ge(0))
        )

    assert [s.constraint for s in describe(Own)] == ["small letters", "each at least 0"]
    assert json_schema(Own)["properties"]["what"]["pattern"] == "^(?:[a-z]+)$"
