"""Wrong configurations in the three formats, and what a user must be told about each.

Data only, so that other tests can send the same texts through the command. The sign ``⟦`` in a text
stands just before the place where the problem must be reported; it is not part of the text.
"""

from __future__ import annotations

from typing import NamedTuple

MARK = "⟦"


class Case(NamedTuple):
    """One wrong text: its format, the text with its mark, the code, and words that must be said."""

    suffix: str
    marked: str
    code: str
    words: str

    @property
    def text(self) -> str:
        """The text without the mark."""
        return self.marked.replace(MARK, "")

    @property
    def line(self) -> int:
        """The line at which the problem must be reported, from 1."""
        return self.marked[: self.marked.index(MARK)].count("\n") + 1

    @property
    def column(self) -> int:
        """The column at which the problem must be reported, from 1."""
        before = self.marked[: self.marked.index(MARK)]
        return len(before) - (before.rfind("\n") + 1) + 1

    @property
    def name(self) -> str:
        """Readable enough for a list of tests."""
        return f"{self.suffix}-{self.code}-{self.text.strip()[:40]!r}"


TOML = [
    Case("toml", "⟦naem = 'x'", "C101", "did you mean `name`?"),
    Case("toml", "[train]\n⟦stpes = 3", "C101", "did you mean `steps`?"),
    Case("toml", "[optimizer]\n⟦lr = 1e-3", "C101", "did you mean `learning_rate`?"),
    Case("toml", "[train]\n⟦learning_rate = 1e-3", "C101", "belongs in [optimizer]"),
    Case("toml", "[⟦trainn]\nsteps = 3", "C101", "did you mean `train`?"),
    Case("toml", "train.⟦stpes = 3", "C101", "did you mean `steps`?"),
    Case("toml", "train = { steps = 3, ⟦clipp = 1.0 }", "C101", "did you mean `clip`?"),
    Case("toml", "[[data]]\npath = 'a'\n[[data]]\npath = 'b'\n⟦weigt = 2", "C101", "`weight`"),
    Case("toml", "[train]\n⟦zzz = 3", "C101", "known here: steps, epochs"),
    Case("toml", 'seed = ⟦"7"', "C102", "remove the quotes: seed = 7"),
    Case("toml", "seed = ⟦1.9", "C102", "must be a whole number, got 1.9"),
    Case("toml", "seed = ⟦2.0", "C102", "write: seed = 2"),
    Case("toml", "seed = ⟦true", "C102", "must be a whole number, got true"),
    Case("toml", "name = ⟦7", "C102", 'put it in quotes: name = "7"'),
    Case("toml", "name = ⟦2024-05-01", "C102", 'put it in quotes: name = "2024-05-01"'),
    Case("toml", "name = ⟦['x']", "C102", 'remove the brackets: name = "x"'),
    Case("toml", "tags = ⟦'latest'", "C102", 'put it in brackets: tags = ["latest"]'),
    Case("toml", "tags = ['a', ⟦2]", "C102", "`tags.1` must be text, got 2"),
    Case("toml", '[train]\nshuffle = ⟦"false"', "C102", "remove the quotes: shuffle = false"),
    Case("toml", "[train]\nshuffle = ⟦1", "C102", "must be true or false, got 1"),
    Case("toml", '[optimizer]\nlearning_rate = ⟦"2e-4"', "C102", "learning_rate = 2e-4"),
    Case("toml", "[optimizer]\nlearning_rate = ⟦nan", "C104", "finite number"),
    Case("toml", "[optimizer]\nlearning_rate = ⟦-inf", "C104", "finite number"),
    Case("toml", "[optimizer]\nlearning_rate = ⟦0", "C104", "must be greater than 0, got 0"),
    Case("toml", "[optimizer]\nbetas = ⟦[0.9]", "C104", "must have 2 elements, got 1"),
    Case(
        "toml", "[optimizer]\nbetas = [0.9, ⟦'x']", "C102", "`optimizer.betas.1` must be a number"
    ),
    Case("toml", "optimizer = ⟦'adamw'", "C102", "must be a table, got the text"),
    Case("toml", "data = [⟦'train.jsonl']", "C102", "`data.0` must be a table"),
    Case("toml", "[⟦data]\npath = 'a'", "C102", "must be a list, got a table"),
    Case("toml", "[[⟦data]]\nweight = 1", "C103", "`path` is missing in `data.0`"),
    Case("toml", "⟦model = {}", "C103", "`source` is missing in [model]"),
    Case("toml", "[[data]]\npath = ⟦''", "C102", "name a file or folder"),
    Case("toml", "[batch]\noverlong = ⟦'trunc'", "C105", 'did you mean "truncate"?'),
    Case("toml", "[train]\nprecision = ⟦'fp8'", "C105", '"fp32", "bf16" or "fp16"'),
    Case("toml", "[train]\nsave_every = ⟦'nver'", "C105", 'did you mean "never"?'),
    Case("toml", "[batch]\ntokens = ⟦-4", "C104", "must be at least 1, got -4"),
    Case(
        "toml", "[⟦batch]\ntokens = 8\nmax_length = 9", "C104", "max_length is greater than tokens"
    ),
    Case("toml", "[model]\nsource = ⟦'no good'", "C104", "text that matches"),
    Case("toml", "[labels]\na = 1\nb = ⟦'2'", "C102", "remove the quotes: b = 2"),
    Case("toml", "seed = 1\n⟦seed = 2", "C108", "first on line 1"),
    Case("toml", "[train]\nsteps = 1\n[⟦train]\nclip = 1.0", "C108", "remove line 1 or line 3"),
    Case("toml", "train = { steps = 1, ⟦steps = 2 }", "C108", "`steps` is set twice in [train]"),
    Case("toml", "train.steps = 1\n[⟦train]\nclip = 1.0", "C108", "`train` is set twice"),
    Case("toml", "name = ⟦lora", "C107", 'put it in quotes: "lora"'),
    Case("toml", "name =⟦", "C107", "a value is missing"),
    Case("toml", "[train]\nshuffle = ⟦True", "C107", "write true"),
    Case("toml", "[train]\nclip = ⟦None", "C107", "remove the line"),
    Case(
        "toml",
        "tags = ⟦['a',\n  'b'\n\n[train]\nsteps = 1",
        "C107",
        "opened on line 1 is not closed",
    ),
    Case("toml", "tags = ⟦[1, 2", "C107", "before the end of the file"),
    Case("toml", 'name = ⟦"x\nseed = 1', "C107", "the text opened on line 1 is not closed"),
    Case("toml", "name = ⟦'''x\nseed = 1", "C107", "add the closing '''"),
    Case("toml", '[[data]]\npath = "C:⟦\\data"', "C107", "single quotes"),
    Case("toml", "seed⟦: 1", "C107", "write seed = 1"),
    Case("toml", "⟦seed 1", "C107", "`=` and a value are missing"),
    Case("toml", "⟦[train\nsteps = 1", "C107", "add the closing ]"),
    Case("toml", "seed = 1⟦,000", "C107", "a number has no commas"),
    Case("toml", "tags = ['a' ⟦'b']", "C107", "`,` or `]` is missing"),
    Case("toml", "seed = ⟦16k", "C107", "`16k` is not a number"),
    Case("toml", "⟦// about\nseed = 1", "C107", "a comment starts with `#`"),
]

YAML = [
    Case("yaml", "⟦naem: x", "C101", "did you mean `name`?"),
    Case("yaml", "train:\n  ⟦stpes: 3", "C101", "did you mean `steps`?"),
    Case("yaml", "optimizer:\n  ⟦lr: 1e-3", "C101", "did you mean `learning_rate`?"),
    Case("yaml", "train:\n  ⟦learning_rate: 1e-3", "C101", "belongs in [optimizer]"),
    Case("yaml", "train: {steps: 3, ⟦clipp: 1.0}", "C101", "did you mean `clip`?"),
    Case("yaml", "data:\n  - path: a\n  - path: b\n    ⟦weigt: 2", "C101", "`weight`"),
    Case("yaml", "x: &x {⟦stpes: 3}\ntrain: *x\n", "C101", "did you mean `steps`?"),
    Case("yaml", "seed: ⟦'7'", "C102", "remove the quotes: seed: 7"),
    Case("yaml", "seed: ⟦1_000", "C102", "write: seed: 1000"),
    Case("yaml", "seed: ⟦1.9", "C102", "must be a whole number, got 1.9"),
    Case("yaml", "seed:⟦", "C102", "give it a value, or remove the line"),
    Case("yaml", "name: ⟦7", "C102", 'put it in quotes: name: "7"'),
    Case("yaml", "name: ⟦true", "C102", 'put it in quotes: name: "true"'),
    Case("yaml", "tags: ⟦latest", "C102", 'put it in brackets: tags: ["latest"]'),
    Case("yaml", "tags:\n- a\n- ⟦2", "C102", "`tags.1` must be text, got 2"),
    Case("yaml", "train:\n  shuffle: ⟦no", "C102", "write: shuffle: false"),
    Case("yaml", "train:\n  shuffle: ⟦on", "C102", "write: shuffle: true"),
    Case("yaml", "train:\n  shuffle: ⟦'true'", "C102", "remove the quotes: shuffle: true"),
    Case("yaml", "train:\n  steps: ⟦12:30", "C102", 'got the text "12:30"'),
    Case("yaml", "optimizer:\n  learning_rate: ⟦2024-05-01", "C102", "must be a number"),
    Case("yaml", "optimizer:\n  learning_rate: ⟦.nan", "C104", "finite number"),
    Case("yaml", "optimizer:\n  learning_rate: ⟦0", "C104", "must be greater than 0, got 0"),
    Case("yaml", "optimizer:\n  learning_rate: ⟦1e999", "C104", "finite number"),
    Case("yaml", "optimizer: {betas: ⟦[0.9]}", "C104", "must have 2 elements, got 1"),
    Case("yaml", "optimizer: ⟦adamw", "C102", "must be a table, got the text"),
    Case("yaml", "train:⟦\nseed: 1", "C102", "must be a table, got nothing"),
    Case("yaml", "data:\n- ⟦train.jsonl", "C102", "`data.0` must be a table"),
    Case("yaml", "data:\n  ⟦path: a", "C102", "must be a list, got a table"),
    Case("yaml", "data:\n- ⟦weight: 1", "C103", "`path` is missing in `data.0`"),
    Case("yaml", "⟦model: {}", "C103", "`source` is missing in [model]"),
    Case("yaml", "batch:\n  overlong: ⟦trunc", "C105", 'did you mean "truncate"?'),
    Case("yaml", "train:\n  precision: ⟦fp8", "C105", '"fp32", "bf16" or "fp16"'),
    Case("yaml", "batch:\n  tokens: ⟦-4", "C104", "must be at least 1, got -4"),
    Case("yaml", "⟦batch:\n  tokens: 8\n  max_length: 9", "C104", "max_length is greater"),
    Case("yaml", "labels: {a: 1, b: ⟦'2'}", "C102", "remove the quotes: b: 2"),
    Case("yaml", "seed: 1\n⟦seed: 2", "C108", "first on line 1"),
    Case("yaml", "train: {steps: 1, ⟦steps: 2}", "C108", "`steps` is set twice in [train]"),
    Case(
        "yaml", "train:\n  steps: 1\nseed: 1\n⟦train:\n  clip: 1", "C108", "remove line 1 or line 4"
    ),
    Case("yaml", "tags: ⟦[a,\n  b\nseed: 1", "C107", "the list opened on line 1 is not closed"),
    Case("yaml", "train: ⟦{steps: 1\nseed: 1", "C107", "add the closing }"),
    Case("yaml", 'name: ⟦"x\nseed: 1', "C107", "the text opened on line 1 is not closed"),
    Case("yaml", "name: ⟦a: b", "C107", 'put it in quotes: "a: b"'),
    Case("yaml", "⟦seed:1\nname: x", "C107", "write seed: 1"),
    Case("yaml", "⟦seed = 1\nname: x", "C107", "write seed: 1"),
    Case("yaml", "train:\n⟦\tsteps: 1", "C107", "spaces, not tabs"),
    Case("yaml", "train:\n    steps: 1\n  ⟦clip: 1.0", "C107", "align it with the line above"),
    Case("yaml", "seed: 1\n  ⟦name: x", "C107", "align it with the line above"),
    Case("yaml", "tags: ⟦- a", "C107", "begin it on the next line"),
    Case("yaml", "name: ⟦@x", "C107", "put it in quotes"),
    Case("yaml", "name: ⟦*x", "C107", "no anchor `&x`"),
    Case("yaml", "tags: &t [⟦*t]", "C107", "no anchor `&t` is complete"),
    Case("yaml", "name: ⟦!!python/name:os.system", "C107", "cannot be read"),
    Case("yaml", "name: ⟦!secret x", "C107", "the tag `!secret` is not read"),
    Case("yaml", "⟦1: x", "C107", 'put it in quotes: "1"'),
    Case("yaml", "seed: 1\n⟦---\nseed: 2", "C107", "holds one"),
    Case("yaml", "⟦- seed", "C107", "`key: value` lines"),
    Case("yaml", 'name: "C:⟦\\data"', "C107", "not an escape sequence"),
]

JSON = [
    Case("json", '{⟦"naem": "x"}', "C101", "did you mean `name`?"),
    Case("json", '{"train": {⟦"stpes": 3}}', "C101", "did you mean `steps`?"),
    Case("json", '{"train": {⟦"learning_rate": 3}}', "C101", "belongs in [optimizer]"),
    Case("json", '{"data": [{"path": "a"},\n {"path": "b", ⟦"weigt": 2}]}', "C101", "`weight`"),
    Case("json", '{"seed": ⟦"7"}', "C102", 'remove the quotes: "seed": 7'),
    Case("json", '{"seed": ⟦1.9}', "C102", "must be a whole number, got 1.9"),
    Case("json", '{"seed": ⟦null}', "C102", "got nothing"),
    Case("json", '{"name": ⟦7}', "C102", 'put it in quotes: "name": "7"'),
    Case("json", '{"tags": ⟦"latest"}', "C102", 'put it in brackets: "tags": ["latest"]'),
    Case("json", '{"tags": ["a", ⟦2]}', "C102", "`tags.1` must be text, got 2"),
    Case("json", '{"train": {"shuffle": ⟦"false"}}', "C102", 'remove the quotes: "shuffle": false'),
    Case("json", '{"optimizer": {"learning_rate": ⟦1e999}}', "C104", "finite number"),
    Case("json", '{"optimizer": {"learning_rate": ⟦0}}', "C104", "greater than 0, got 0"),
    Case("json", '{"optimizer": {"betas": ⟦[0.9]}}', "C104", "must have 2 elements, got 1"),
    Case("json", '{"optimizer": ⟦"adamw"}', "C102", "must be a table, got the text"),
    Case("json", '{"data": [⟦"train.jsonl"]}', "C102", "`data.0` must be a table"),
    Case("json", '{"data": ⟦{"path": "a"}}', "C102", "must be a list, got a table"),
    Case("json", '{"data": [⟦{"weight": 1}]}', "C103", "`path` is missing in `data.0`"),
    Case("json", '{⟦"model": {}}', "C103", "`source` is missing in [model]"),
    Case("json", '{"batch": {"overlong": ⟦"trunc"}}', "C105", 'did you mean "truncate"?'),
    Case("json", '{"train": {"precision": ⟦"fp8"}}', "C105", '"fp32", "bf16" or "fp16"'),
    Case("json", '{"batch": {"tokens": ⟦-4}}', "C104", "must be at least 1, got -4"),
    Case("json", '{"labels": {"a": 1, "b": ⟦"2"}}', "C102", 'remove the quotes: "b": 2'),
    Case("json", '{"seed": 1,\n ⟦"seed": 2}', "C108", "first on line 1"),
    Case("json", '{"train": {"steps": 1, ⟦"steps": 2}}', "C108", "`steps` is set twice in [train]"),
    Case("json", '{"seed": 1⟦,}', "C107", "remove the comma"),
    Case("json", '{"tags": ["a"⟦,\n]}', "C107", "JSON has no comma before `]`"),
    Case("json", '{"seed": 1 ⟦// one\n}', "C107", "JSON has no comments"),
    Case("json", "⟦# about\n{}", "C107", "JSON has no comments"),
    Case("json", "{⟦seed: 1}", "C107", 'put it in quotes: "seed"'),
    Case("json", "{⟦'seed': 1}", "C107", "double quotes"),
    Case("json", '{"name": ⟦lora}', "C107", 'put it in quotes: "lora"'),
    Case("json", '{"train": {"shuffle": ⟦True}}', "C107", "write true"),
    Case("json", '{"train": {"clip": ⟦None}}', "C107", "write null"),
    Case("json", '{"seed": ⟦NaN}', "C107", "finite number"),
    Case("json", '{"seed": ⟦-Infinity}', "C107", "finite number"),
    Case("json", '{"seed": ⟦01}', "C107", "write 1"),
    Case("json", '{"seed": ⟦.5}', "C107", "write 0.5"),
    Case("json", '{"seed" ⟦= 1}', "C107", "write `:`"),
    Case("json", '{"seed": ⟦}', "C107", "a value is missing"),
    Case("json", '{"seed": 1 ⟦"name": "x"}', "C107", "`,` or `}` is missing"),
    Case("json", '{"seed": 1,⟦, "name": "x"}', "C107", "a key is expected"),
    Case("json", '⟦{"seed": 1', "C107", "the object opened on line 1 is not closed"),
    Case("json", '{"tags": ⟦["a",\n"b"', "C107", "the list opened on line 1 is not closed"),
    Case("json", '{"name": ⟦"x\n}', "C107", "the text opened on line 1 is not closed"),
    Case("json", '{"name": "C:⟦\\data"}', "C107", "double the backslash"),
    Case("json", '{"name": "a⟦\tb"}', "C107", "U+0009"),
    Case("json", '{"name": ⟦"\\ud800"}', "C107", "surrogate"),
    Case("json", '{"seed": 1} ⟦{}', "C107", "nothing may follow"),
    Case("json", '⟦["seed"]', "C107", "one object"),
]

CASES = [*TOML, *YAML, *JSON]
