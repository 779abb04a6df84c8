"""Plain values become config classes without coercion, and all that is wrong is found at once."""

from __future__ import annotations

import datetime as dt
import enum
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NewType

import pytest
from attrs import field, fields, frozen, validators
from hypothesis import given, settings
from hypothesis import strategies as st

from llamahome_core.config import Problem, path_text, structure, unstructure
from llamahome_core.errors import LlamaHomeError

Rank = NewType("Rank", int)


class Size(enum.Enum):
    SMALL = 1
    LARGE = "large"


@frozen(kw_only=True)
class Inner:
    rank: int = 8
    name: str | None = None


@frozen(kw_only=True)
class Everything:
    flag: bool = True
    count: int = 0
    rate: float = 0.5
    name: str = "x"
    path: pathlib.Path = pathlib.Path("p")
    mode: Literal["a", "b", 3] = "a"
    size: Size = Size.SMALL
    maybe: int | None = None
    either: int | str = 0
    number: int | float = 0
    auto: float | Literal["auto"] = "auto"
    many: int | list[int] = 0
    tags: tuple[str, ...] = ()
    pair: tuple[float, int] = (0.0, 0)
    names: Sequence[str] = ()
    table: dict[str, float] = field(factory=dict)
    mapping: Mapping[str, int] = field(factory=dict)
    inner: Inner = Inner()
    other: Inner | None = None
    inners: list[Inner] = field(factory=list)
    grid: list[list[int]] = field(factory=list)
    rank: Rank = Rank(1)
    noted: Annotated[int, "a note"] = 1
    open: Any = None
    bare: list = field(factory=list)  # type: ignore[type-arg]  # meant so
    plain: dict = field(factory=dict)  # type: ignore[type-arg]  # meant so
    loose: tuple = ()  # type: ignore[type-arg]  # meant so


def problems(data: Any, cls: type[Any] = Everything) -> list[tuple[str, str, str]]:
    value, found = structure(data, cls)
    assert (value is None) == bool(found)
    return [(problem.code, path_text(problem.path), problem.message) for problem in found]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ({"rate": 1}, 1.0),
        ({"path": "a/b"}, pathlib.Path("a/b")),
        ({"mode": 3}, 3),
        ({"size": "large"}, Size.LARGE),
        ({"maybe": None}, None),
        ({"either": "x"}, "x"),
        ({"number": 2}, 2),
        ({"number": 2.5}, 2.5),
        ({"auto": 2}, 2.0),
        ({"auto": "auto"}, "auto"),
        ({"many": [1, 2]}, [1, 2]),
        ({"tags": ["a"]}, ("a",)),
        ({"pair": [1, 2]}, (1.0, 2)),
        ({"names": ["a"]}, ["a"]),
        ({"table": {"a": 1}}, {"a": 1.0}),
        ({"inner": {"rank": 3}}, Inner(rank=3)),
        ({"other": {}}, Inner()),
        ({"inners": [{}, {"rank": 1}]}, [Inner(), Inner(rank=1)]),
        ({"grid": [[1], []]}, [[1], []]),
        ({"rank": 4}, 4),
        ({"noted": 4}, 4),
        ({"open": {"a": [1, None]}}, {"a": [1, None]}),
        ({"bare": [1, "a"]}, [1, "a"]),
        ({"plain": {"a": 1}}, {"a": 1}),
        ({"loose": [1, "a"]}, (1, "a")),
    ],
)
def test_a_right_value_is_taken_as_it_is(data, value):
    found, wrong = structure(data, Everything)

    assert wrong == []
    assert getattr(found, next(iter(data))) == value
    assert type(getattr(found, next(iter(data)))) is type(value)


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({"flag": 1}, "C102", "`flag` must be true or false, got 1"),
        ({"flag": "true"}, "C102", '`flag` must be true or false, got the text "true"'),
        ({"count": True}, "C102", "`count` must be a whole number, got true"),
        ({"count": 1.9}, "C102", "`count` must be a whole number, got 1.9"),
        ({"rate": False}, "C102", "`rate` must be a number, got false"),
        ({"rate": float("inf")}, "C104", "`rate` must be a finite number, got inf"),
        ({"rate": 10**400}, "C104", "`rate` must be a number, got one that is too large"),
        ({"name": None}, "C102", "`name` must be text, got nothing"),
        (
            {"name": dt.date(2024, 5, 1)},
            "C102",
            "`name` must be text, got the date or time 2024-05-01",
        ),
        ({"name": {"a": 1}}, "C102", "`name` must be text, got a table"),
        ({"name": ["a", "b"]}, "C102", "`name` must be text, got a list"),
        ({"path": 3}, "C102", "`path` must be a path, got 3"),
        ({"path": ""}, "C102", '`path` must be a path, got the text ""'),
        ({"mode": "c"}, "C105", '`mode` must be "a", "b" or 3, got "c"'),
        ({"mode": 4}, "C105", '`mode` must be "a", "b" or 3, got 4'),
        ({"mode": True}, "C102", '`mode` must be "a", "b" or 3, got true'),
        ({"size": True}, "C102", '`size` must be 1 or "large", got true'),
        ({"either": 1.5}, "C102", "`either` must be a whole number or text, got 1.5"),
        ({"auto": "atuo"}, "C105", '`auto` must be a number or "auto", got "atuo"'),
        ({"many": ["a"]}, "C102", '`many.0` must be a whole number, got the text "a"'),
        ({"many": "a"}, "C102", '`many` must be a whole number or a list, got the text "a"'),
        ({"tags": {"a": 1}}, "C102", "`tags` must be a list, got a table"),
        ({"pair": [1]}, "C104", "`pair` must have 2 elements, got 1"),
        ({"pair": [1, 2.5]}, "C102", "`pair.1` must be a whole number, got 2.5"),
        ({"pair": 1}, "C102", "`pair` must be a list, got 1"),
        ({"table": {"a b": "1"}}, "C102", '`table."a b"` must be a number, got the text "1"'),
        ({"table": []}, "C102", "`table` must be a table, got a list"),
        ({"other": 3}, "C102", "`other` must be a table, got 3"),
        ({"inners": [{"rank": 1}, {"rnk": 1}]}, "C101", "unknown key `rnk` in `inners.1`"),
        ({"name": ["x" * 99, "y"], "x": 1}, "C102", "`name` must be text, got a list"),
    ],
)
def test_nothing_is_coerced(data, code, message):
    assert (code, message) in [(found[0], found[2]) for found in problems(data)]


def test_what_is_no_table_at_all_is_refused():
    assert problems([1]) == [("C102", "", "the configuration must be a table, got a list")]


def test_long_text_is_shown_in_part():
    assert problems({"count": "x" * 99})[0][2].endswith('x…"')


def test_all_problems_are_found_at_once():
    data = {"flag": 1, "count": "1", "zzz": 1, "inner": {"rank": "1"}, "inners": [{"rank": "1"}, 3]}

    assert [path for _, path, _ in problems(data)] == [
        "flag",
        "count",
        "inner.rank",
        "inners.0.rank",
        "inners.1",
        "zzz",
    ]


def advice(data: Any, cls: type[Any] = Everything, **more: Any) -> str | None:
    (problem,) = structure(data, cls, **more)[1]
    return problem.advice


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"rate": "2e-4"}, "remove the quotes: rate = 2e-4"),
        ({"rate": "1,000.5"}, "write: rate = 1000.5"),
        ({"count": "+3"}, "remove the quotes: count = 3"),
        ({"count": "2.5"}, None),
        ({"count": "many"}, None),
        ({"mode": ["a"]}, 'remove the brackets: mode = "a"'),
        ({"size": "1"}, None),
        ({"flag": "Yes"}, "write: flag = true"),
        ({"flag": "OFF"}, "write: flag = false"),
        ({"name": True}, 'put it in quotes: name = "true"'),
        ({"path": 7}, 'put it in quotes: path = "7"'),
        ({"tags": "a"}, 'put it in brackets: tags = ["a"]'),
        ({"tags": "[a"}, 'write a list, each text in quotes: tags = ["a"]'),
        ({"tags": " [a, 'b']"}, 'write a list, each text in quotes: tags = ["a", "b"]'),
        ({"many": "[1, 2"}, "write a list, each text in quotes: many = [1, 2]"),
        ({"other": "{rank=1"}, 'write a table, each text in quotes, such as {key = "value"}'),
        ({"table": "{a=1"}, 'write a table, each text in quotes, such as {key = "value"}'),
        ({"rate": "[1"}, None),
        ({"path": ""}, "name a file or folder"),
        ({"path": "a\0"}, "take the character NUL out of it: no path has one"),
        ({"names": 3}, None),
        ({"grid": [[1], 2]}, "put it in brackets: [2]"),
        ({"mode": "B"}, 'did you mean "b"?'),
        ({"table": 3}, None),
        ({"conut": 3}, "did you mean `count`?"),
        ({"FLAG": 3}, "did you mean `flag`?"),
    ],
)
def test_the_remedy_can_be_pasted(data, words):
    assert advice(data) == words


@frozen(kw_only=True)
class Whole:
    level: Literal[0, 1, 2] = 0


def test_a_choice_among_numbers_loses_its_quotes():
    assert advice({"level": "2"}, Whole) == "remove the quotes: level = 2"
    assert advice({"level": "7"}, Whole) is None


@frozen(kw_only=True)
class Nothing:
    pass


def test_a_key_where_nothing_can_be_set_is_to_be_removed():
    assert advice({"a": 1}, Nothing) == "remove it: nothing can be set here"


@pytest.mark.parametrize(
    ("homes", "words"),
    [
        ([("train", "steps")], "`steps` belongs in [train]"),
        (["train.steps", "evaluate.steps", "x.steps"], "`steps` belongs in [train] or [evaluate]"),
        ([("steps",)], "`steps` belongs at the top level"),
        ([], "known here: rank, name"),
        ([("inner", "steps")], "known here: rank, name"),
    ],
)
def test_a_key_of_another_table_is_sent_there(homes, words):
    found = advice({"steps": 1}, Inner, at=("inner",), elsewhere=lambda _: homes)

    assert found == words


@frozen(kw_only=True)
class Required:
    use: str
    path: pathlib.Path
    count: int
    kind: Literal["a", "b"] = "a"


def test_each_missing_key_is_reported_with_what_it_must_be():
    found = structure({}, Required, at=("data", 0))[1]

    assert [(p.code, p.message, p.at, p.advice) for p in found] == [
        ("C103", "`use` is missing in `data.0`; it must be text", "key", 'add: use = "…"'),
        ("C103", "`path` is missing in `data.0`; it must be a path", "key", 'add: path = "…"'),
        (
            "C103",
            "`count` is missing in `data.0`; it must be a whole number",
            "key",
            "add: count = …",
        ),
    ]


def even(_instance: Any, attribute: Any, value: int) -> None:
    if value % 2:
        raise ValueError(f"{attribute.name} must be even")


def silent(_instance: Any, _attribute: Any, value: int) -> None:
    if value:
        raise ValueError


@frozen(kw_only=True)
class Bounded:
    steps: int = field(default=1, validator=[validators.ge(1), validators.lt(100)])
    rate: float = field(default=0.5, validator=validators.and_(validators.gt(0), validators.le(1)))
    maybe: int | None = field(default=None, validator=validators.optional(validators.ge(3)))
    listed: str = field(default="a", validator=validators.in_(["a", "b"]))
    short: str = field(
        default="a", validator=[validators.max_len(3), validators.matches_re("[a-z]*")]
    )
    some: tuple[int, ...] = field(default=(1,), validator=validators.min_len(1))
    each: tuple[int, ...] = field(default=(), validator=validators.deep_iterable(validators.ge(0)))
    label: str = field(default="a", validator=validators.matches_re("[a-z]*(?#small letters)"))
    even: int = field(default=2, validator=even)
    silent: int = field(default=0, validator=silent)
    warmup: int = field(default=0)
    total: int = 10
    made: list[int] = field(factory=list)

    @warmup.validator
    def _(self, _attribute: Any, value: int) -> None:
        if value > self.total:
            raise ValueError("is longer than total")


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        ({"steps": 0}, ["`steps` must be at least 1, got 0"]),
        ({"steps": 100}, ["`steps` must be less than 100, got 100"]),
        ({"rate": 0}, ["`rate` must be greater than 0, got 0"]),
        ({"rate": 1.5}, ["`rate` must be at most 1, got 1.5"]),
        ({"maybe": 2}, ["`maybe` must be at least 3, got 2"]),
        ({"maybe": None}, []),
        ({"listed": "c"}, ['`listed` must be one of "a", "b", got "c"']),
        ({"short": "abcd"}, ['`short` must be at most 3 long, got "abcd"']),
        (
            {"short": "ABCD" * 20},
            [
                "`short` must be at most 3 long, got 80 characters",
                "`short` must be text that matches [a-z]*, got 80 characters",
            ],
        ),
        ({"some": []}, ["`some` must be at least 1 long, got 0 elements"]),
        ({"each": [1, -1]}, ["`each` must be at least 0, got -1"]),
        ({"each": [1, -1], "label": "A B"}, 2),
        ({"label": "A B"}, ['`label` must be small letters, got "A B"']),
        ({"even": 3}, ["`even` must be even"]),
        ({"silent": 1}, ["`silent`: has a value that is not allowed"]),
        ({"warmup": 11}, ["`warmup`: is longer than total"]),
        ({"warmup": 9, "total": "x"}, ['`total` must be a whole number, got the text "x"']),
        ({"steps": 0, "rate": 2, "even": 1}, 3),
    ],
)
def test_each_broken_constraint_is_reported_in_plain_words(data, messages):
    found = [problem.message for problem in structure(data, Bounded)[1]]

    assert found == messages if isinstance(messages, list) else len(found) == messages


@frozen(kw_only=True)
class Joined:
    low: int = 0
    high: int = 1
    files: list[int] = field(factory=list, converter=sorted, validator=validators.min_len(1))

    def __attrs_post_init__(self) -> None:
        if self.low > 100:
            raise LlamaHomeError("low is absurd", hint="lower it")
        if self.low > self.high:
            raise ValueError("low is above high")


def test_a_constraint_of_the_whole_table_is_reported_at_the_table():
    (problem,) = structure({"low": 2, "files": [1]}, Joined, at=("train",))[1]
    (other,) = structure({"low": 200, "files": [1]}, Joined)[1]

    assert (problem.message, problem.path, problem.at) == (
        "[train]: low is above high",
        ("train",),
        "key",
    )
    assert (other.message, other.fix) == ("low is absurd", "lower it")


def test_a_field_with_a_converter_is_validated_as_converted():
    value, _ = structure({"files": [2, 1]}, Joined)
    _, wrong = structure({"files": []}, Joined)

    assert value is not None
    assert value.files == [1, 2]
    assert "files" in wrong[0].message


def test_the_whole_table_is_not_judged_while_a_part_of_it_is_wrong():
    assert len(structure({"low": 2, "high": "x", "files": [1]}, Joined)[1]) == 1


@frozen(kw_only=True)
class Private:
    _hidden: int = 1
    made: int = field(init=False, default=3)
    api_key: str = field(default="", validator=validators.max_len(3))


def test_keys_are_the_names_of_the_fields_and_what_is_not_set_by_users_is_unknown():
    value, wrong = structure({"_hidden": 2}, Private)

    assert wrong == []
    assert value is not None
    assert value._hidden == 2
    assert problems({"made": 1}, Private)[0][:2] == ("C101", "made")


def test_the_value_of_a_secret_is_in_no_message():
    for value in ("hunter22", 12345678):
        (problem,) = structure({"api_key": value}, Private)[1]

        assert str(value) not in f"{problem.message} {problem.advice}"


def test_a_field_of_a_type_that_no_setting_can_have_is_its_authors_mistake():
    @frozen
    class Odd:
        what: complex = 1j

    with pytest.raises(TypeError, match="cannot be the type of a setting"):
        structure({"what": "x"}, Odd)


def test_a_mistake_in_a_validator_is_not_blamed_on_the_user():
    def broken(_instance: Any, _attribute: Any, _value: Any) -> None:
        raise ZeroDivisionError

    @frozen
    class Odd:
        what: int = field(default=1, validator=broken)

    with pytest.raises(ZeroDivisionError):
        structure({"what": 2}, Odd)


TEXT = st.text(max_size=5)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INNERS = st.builds(Inner, rank=st.integers(), name=st.none() | TEXT)
EVERYTHING = st.builds(
    Everything,
    flag=st.booleans(),
    count=st.integers(),
    rate=FLOATS,
    name=TEXT,
    path=st.sampled_from([pathlib.Path("a/b"), pathlib.Path("/x y")]),
    mode=st.sampled_from(["a", "b", 3]),
    size=st.sampled_from(Size),
    maybe=st.none() | st.integers(),
    either=st.integers() | TEXT,
    number=st.integers() | FLOATS,
    auto=st.just("auto") | FLOATS,
    many=st.integers() | st.lists(st.integers(), max_size=2),
    tags=st.lists(TEXT, max_size=2).map(tuple),
    pair=st.tuples(FLOATS, st.integers()),
    names=st.lists(TEXT, max_size=2),
    table=st.dictionaries(TEXT, FLOATS, max_size=2),
    mapping=st.dictionaries(TEXT, st.integers(), max_size=2),
    inner=INNERS,
    other=st.none() | INNERS,
    inners=st.lists(INNERS, max_size=2),
    grid=st.lists(st.lists(st.integers(), max_size=2), max_size=2),
    rank=st.integers(),
    noted=st.integers(),
)


@settings(max_examples=200, deadline=None)
@given(EVERYTHING)
def test_structure_is_the_inverse_of_unstructure(value):
    plain = unstructure(value)

    assert structure(plain, Everything) == (value, [])
    assert unstructure(structure(plain, Everything)[0]) == plain


def test_unstructured_values_are_plain_and_leave_out_what_is_not_set():
    value = Everything(maybe=None, size=Size.LARGE, tags=("a",), table={"a": 1.0}, other=Inner())

    plain = unstructure(value)

    assert "maybe" not in plain
    assert (plain["size"], plain["tags"], plain["path"]) == ("large", ["a"], "p")
    assert plain["other"] == {"rank": 8}


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*(a.name for a in fields(Everything)), "other_key"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
            max_leaves=4,
        ),
        max_size=5,
    )
)
def test_no_value_at_all_breaks_it_and_each_problem_names_a_place_in_the_data(data):
    value, found = structure(data, Everything)

    assert (value is None) == bool(found)
    for problem in found:
        assert isinstance(problem, Problem)
        assert problem.path[0] in data


def test_a_validator_that_needs_a_setting_which_is_wrong_itself_is_silent():
    def below(instance: Any, _attribute: Any, value: int) -> None:
        if value > instance.high:
            raise ValueError("is too high")

    @frozen
    class Range:
        high: int
        low: int = field(default=0, validator=below)

    assert [p.message for p in structure({"low": 3, "high": "x"}, Range)[1]] == [
        '`high` must be a whole number, got the text "x"'
    ]
    assert [p.message for p in structure({"low": 3, "high": 1}, Range)[1]] == ["`low`: is too high"]
