"""Records come back as they were written, or the error names everything that is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from llamahome_core import IntegrityError, records


@frozen(kw_only=True)
class Place:
    step: int = field(default=0, validator=validators.ge(0))
    loss: float | None = None


@frozen(kw_only=True)
class Thing:
    schema: Literal[1]
    name: str
    place: Place
    by_name: dict[str, Place]
    free: dict[str, Any]
    several: list[Place]
    pair: tuple[str, ...] = ()
    path: Path | None = None
    done: bool = False


PLAIN: dict[str, Any] = {
    "schema": 1,
    "name": "n",
    "place": {"step": 2, "loss": 0.1},
    "by_name": {"a": {"step": 1, "loss": None}},
    "free": {"x": [1, {"y": None}]},
    "several": [{"step": 3, "loss": None}],
    "pair": ["p", "q"],
    "path": "/a/b",
    "done": True,
}


def test_a_record_is_plain_values_and_comes_back_equal():
    """Through JSON and back, paths and nested records too."""
    thing = records.load(Thing, json.loads(json.dumps(PLAIN)))

    assert thing.place == Place(step=2, loss=0.1)
    assert thing.path == Path("/a/b")
    assert thing.pair == ("p", "q")
    assert records.dump(thing) == PLAIN


def test_a_whole_number_will_do_for_a_float():
    """JSON of other programs writes 2 for 2.0."""
    loss = records.load(Place, {"loss": 2}).loss

    assert (loss, type(loss)) == (2.0, float)


@given(st.integers(min_value=0), st.none() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_to_the_last_bit(step, loss):
    place = Place(step=step, loss=loss)

    assert records.load(Place, json.loads(json.dumps(records.dump(place)))) == place


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, r"5 is no str @ \$\.name"),
        ({"done": 1}, r"1 is no bool @ \$\.done"),
        ({"done": "false"}, r"'false' is no bool @ \$\.done"),
        ({"path": 3}, r"3 is no str @ \$\.path"),
        ({"place": {"step": "2"}}, r"'2' is no int @ \$\.place\.step"),
        ({"place": {"step": True}}, r"True is no int @ \$\.place\.step"),
        ({"place": {"step": 1.0}}, r"1\.0 is no int @ \$\.place\.step"),
        ({"place": {"step": -1}}, r"'step' must be >= 0: -1 @ \$\.place"),
        ({"place": 5}, r"wrong form @ \$\.place"),
        ({"place": ""}, r"wrong form @ \$\.place"),
        ({"place": []}, r"wrong form @ \$\.place"),
        ({"by_name": []}, r"wrong form @ \$\.by_name"),
        ({"by_name": {"a": {"more": 1}}}, r"unknown key 'more' @ \$\.by_name\['a'\]"),
        ({"free": []}, r"wrong form @ \$\.free"),
        ({"several": {"step": 1}}, r"wrong form @ \$\.several"),
        ({"several": [{"step": "x"}]}, r"'x' is no int @ \$\.several\.step"),
        ({"pair": "pq"}, r"wrong form @ \$\.pair"),
        ({"schema": 2}, r"2 not in literal.* @ \$\.schema"),
        ({"extra": 1}, r"unknown key 'extra' @ \$"),
    ],
)
def test_nothing_is_converted_dropped_or_guessed(change, message):
    """What does not fit is damage, and the message says where."""
    with pytest.raises(IntegrityError, match=rf"^state\.json is damaged: .*{message}"):
        records.load(Thing, PLAIN | change, "state.json")


def test_all_that_is_wrong_is_named_at_once():
    """A missing key, a wrong type and an unknown key; the class is named if no file is."""
    wrong = {k: v for k, v in PLAIN.items() if k != "name"} | {"done": 0, "extra": 1}

    with pytest.raises(IntegrityError) as caught:
        records.load(Thing, wrong)

    assert caught.value.message == (
        "Thing is damaged: it is missing @ $.name; 0 is no bool @ $.done; unknown key 'extra' @ $"
    )


@pytest.mark.parametrize("value", [None, 5, "text", [], [1]])
def test_what_is_no_table_is_no_record(value):
    with pytest.raises(IntegrityError, match="wrong form"):
        records.load(Place, value)


def test_help_does_not_import_cattrs():
    """It costs more CPU time than the rest of a short command."""
    program = (
        "import sys\nfrom llamahome_core import Kernel, files, records\nKernel()\n"
        "print('cattrs' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"
