"""Who writes something wrong is told what, where, and how to mend it, in all three formats."""

from __future__ import annotations

import enum
import pathlib
import runpy
from typing import Any, Literal

import pytest
from attrs import field, fields, frozen, validators

from llamahome_core.config import ConfigError, Problem, merge, read, render, structure

CASES = runpy.run_path(str(pathlib.Path(__file__).with_name("corpus.py")))["CASES"]


class Precision(enum.Enum):
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@frozen(kw_only=True)
class Model:
    source: str = field(validator=validators.matches_re(r"[\w./:-]+"))


@frozen(kw_only=True)
class Data:
    path: pathlib.Path
    weight: float = field(default=1.0, validator=validators.gt(0))
    format: Literal["messages", "text"] = "messages"


@frozen(kw_only=True)
class Batch:
    tokens: int = field(default=4096, validator=validators.ge(1))
    max_length: int = 8
    overlong: Literal["drop", "truncate", "split"] = "drop"

    def __attrs_post_init__(self) -> None:
        if self.max_length > self.tokens:
            raise ValueError("max_length is greater than tokens")


@frozen(kw_only=True)
class Optimizer:
    use: str = "adamw"
    learning_rate: float = field(default=1e-4, validator=validators.gt(0))
    betas: tuple[float, float] = (0.9, 0.99)


@frozen(kw_only=True)
class Train:
    steps: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    epochs: float | None = None
    precision: Precision = Precision.FP32
    clip: float | None = 1.0
    shuffle: bool = True
    save_every: int | Literal["never"] = "never"


@frozen(kw_only=True)
class Recipe:
    name: str = "run"
    seed: int = 0
    tags: tuple[str, ...] = ()
    labels: dict[str, int] = field(factory=dict)
    model: Model | None = None
    data: tuple[Data, ...] = ()
    batch: Batch = Batch()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
    x: Any = None


def elsewhere(key: str) -> list[tuple[str, ...]]:
    return [("optimizer", a.name) for a in fields(Optimizer) if a.name == key]


def check(path: pathlib.Path) -> tuple[Recipe | None, list[Problem]]:
    try:
        merged = merge([read(path, "recipe")])
    except ConfigError as error:
        return None, list(error.problems)
    recipe, problems = structure(merged.data, Recipe, elsewhere=elsewhere)
    return recipe, merged.locate(problems)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_wrong_text_has_one_problem_with_its_place_and_its_remedy(case, tmp_path):
    path = tmp_path / f"recipe.{case.suffix}"
    path.write_text(case.text, encoding="utf-8")

    recipe, problems = check(path)

    assert recipe is None
    assert [problem.code for problem in problems] == [case.code]
    span = problems[0].span
    assert span is not None
    assert (span.line, span.column) == (case.line, case.column)
    assert case.words in f"{problems[0].message} {problems[0].advice}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_is_shown_with_its_line_a_caret_and_the_page_that_explains_it(case, tmp_path):
    path = tmp_path / f"recipe.{case.suffix}"
    path.write_text(case.text, encoding="utf-8")

    lines = render(check(path)[1], color=False).split("\n")

    assert lines[0].startswith(f"error[{case.code}]: ")
    assert lines[1].endswith(f"recipe.{case.suffix}:{case.line}:{case.column}")
    assert any("^" in line for line in lines)
    assert any(f"llamahome explain {case.code}" in line for line in lines)
    assert lines[-1].startswith("1 error in ")


def test_the_corpus_has_at_least_34_texts_of_each_format():
    for suffix in ("toml", "yaml", "json"):
        assert sum(case.suffix == suffix for case in CASES) >= 34


GOOD = {
    "toml": """
name = "x"
tags = ["a"]
[[data]]
path = "a.jsonl"
weight = 2
[optimizer]
learning_rate = 1e-4
[train]
precision = "bf16"
shuffle = false
save_every = 5
""",
    "yaml": """
name: x
tags: [a]
data:
- path: a.jsonl
  weight: 2
optimizer: {learning_rate: 1e-4}
train:
  precision: bf16
  shuffle: false
  save_every: 5
""",
    "json": """{"name": "x", "tags": ["a"], "data": [{"path": "a.jsonl", "weight": 2}],
"optimizer": {"learning_rate": 1e-4},
"train": {"precision": "bf16", "shuffle": false, "save_every": 5}}""",
}


@pytest.mark.parametrize("suffix", GOOD)
def test_a_right_text_gives_the_same_recipe_in_each_format(suffix, tmp_path):
    path = tmp_path / f"recipe.{suffix}"
    path.write_text(GOOD[suffix], encoding="utf-8")

    recipe, problems = check(path)

    assert problems == []
    assert recipe == Recipe(
        name="x",
        tags=("a",),
        data=(Data(path=pathlib.Path("a.jsonl"), weight=2.0),),
        optimizer=Optimizer(learning_rate=1e-4),
        train=Train(precision=Precision.BF16, shuffle=False, save_every=5),
    )
