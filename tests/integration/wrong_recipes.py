"""Wrong recipes in the three formats, against the settings of all built-in plugins: data only.

The sign ``⟦`` stands just before the place that must be reported; it is not part of the text. ``§``
stands for a model and data, so that nothing else is wrong with a recipe.
"""

from __future__ import annotations

from typing import NamedTuple

MARK, BASE = "⟦", "§"
BASES = {
    "toml": '[model]\nfrom = "./m"\n[[data]]\nuse = "jsonl"\npath = "rows.jsonl"\n',
    "yaml": "model: {from: ./m}\ndata: [{use: jsonl, path: rows.jsonl}]\n",
    "json": '"model": {"from": "./m"}, "data": [{"use": "jsonl", "path": "rows.jsonl"}]',
}


class Case(NamedTuple):
    """One wrong recipe: its format, the text with its mark, the code, and words of the remedy."""

    suffix: str
    marked: str
    code: str
    words: str

    @property
    def _full(self) -> str:
        return self.marked.replace(BASE, BASES[self.suffix])

    @property
    def text(self) -> str:
        """The text without the mark."""
        return self._full.replace(MARK, "")

    @property
    def place(self) -> tuple[int, int]:
        """Line and column that must be reported, from 1."""
        before = self._full[: self._full.index(MARK)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    @property
    def name(self) -> str:
        """Readable enough for a list of tests."""
        return f"{self.suffix}-{self.code}-{self.marked.replace(BASE, '').strip()[:48]!r}"


def _toml(*cases: tuple[str, str, str]) -> list[Case]:
    return [Case("toml", *case) for case in cases]


def _yaml(*cases: tuple[str, str, str]) -> list[Case]:
    return [Case("yaml", *case) for case in cases]


def _json(*cases: tuple[str, str, str]) -> list[Case]:
    return [Case("json", *case) for case in cases]


TOML = _toml(
    # A misspelt key in each table of the kernel, and of each built-in component.
    ("⟦sead = 7\n§", "C101", "did you mean `seed`"),
    ("⟦extend = 'base.toml'\n§", "C101", "unknown key `extend`"),
    ("§[batch]\n⟦token = 64\n", "C101", "did you mean `tokens`?"),
    ("§[batch]\n⟦max_len = 64\n", "C101", "did you mean `max_length`?"),
    ("§[train]\n⟦epoch = 2\n", "C101", "did you mean `epochs`?"),
    ("§[train]\n⟦learning_rate = 1e-4\n", "C101", "unknown key `learning_rate` in [train]"),
    ("§[train]\n⟦max_length = 64\n", "C101", "batch"),
    ("§[evaluate]\n⟦evvery = 5\n", "C101", "did you mean `every`?"),
    ("§[sample]\n⟦prompt = ['x']\n", "C101", "did you mean `prompts`?"),
    ("§[checkpoint]\n⟦keep = 3\n", "C101", "unknown key `keep` in [checkpoint]"),
    ("§[publish]\n⟦tag = 'x'\n", "C101", "did you mean `tags`?"),
    ("§[network]\n⟦ofline = true\n", "C101", "did you mean `offline`?"),
    ("§[resources]\n⟦thread = 2\n", "C101", "did you mean `threads`?"),
    ("§[⟦optimiser]\nuse = 'adamw'\n", "C101", "did you mean `optimizer`?"),
    ("§[optimizer]\n⟦lr = 1e-4\n", "C101", "did you mean `learning_rate`?"),
    ("§[optimizer]\nuse = 'adamw'\n⟦beta = 0.9\n", "C101", "or `beta1`?"),
    ("§[adapter]\nuse = 'lora'\n⟦rnak = 8\n", "C101", "did you mean `rank`?"),
    ("§[adapter]\nuse = 'full'\n⟦rank = 8\n", "C101", "unknown key `rank` in [adapter]"),
    ("§[schedule]\n⟦warm_up = 0.1\n", "C101", "did you mean `warmup`?"),
    ("§[schedule]\nuse = 'constant'\n⟦minimum = 0.1\n", "C101", "unknown key `minimum`"),
    ("§[trainer]\n⟦devices = 'cpu'\n", "C101", "did you mean `device`?"),
    ("§[objective]\n⟦beta = 0.1\n", "C101", "unknown key `beta` in [objective]"),
    ("§[cache]\n⟦max_entry = 5\n", "C101", "did you mean `max_entries`?"),
    ("§[store]\n⟦rot = '/x'\n", "C101", "did you mean `root`?"),
    ("§[[monitor]]\nuse = 'tensorboard'\n⟦dir = 'x'\n", "C101", "unknown key `dir`"),
    ("§[[data]]\nuse = 'jsonl'\npath = 'a'\n⟦formatt = 'text'\n", "C101", "did you mean `format`?"),
    (
        "[model]\nfrom = 'm'\n⟦rev = 'x'\n[[data]]\nuse = 'jsonl'\npath = 'a'\n",
        "C101",
        "only `from`",
    ),
    ("§[model.hub]\n⟦endpoin = 'https://h'\n", "C101", "did you mean `endpoint`?"),
    # Components that are not there.
    ("§[optimizer]\nuse = ⟦'adam'\n", "C106", "did you mean 'adamw'?"),
    ("§[adapter]\nuse = ⟦'qlora'\n", "C106", "did you mean 'lora'?"),
    ("§[schedule]\nuse = ⟦'wsd'\n", "C106", "installed: constant, cosine, linear"),
    ("§[trainer]\nuse = ⟦'deepspeed'\n", "C106", "installed: torch"),
    ("§[objective]\nuse = ⟦'dpo'\n", "C106", "installed: pretrain, sft"),
    ("§[[monitor]]\nuse = ⟦'tensorbord'\n", "C106", "did you mean 'tensorboard'?"),
    ("§[[data]]\nuse = ⟦'parquet'\npath = 'a'\n", "C106", "installed: jsonl"),
    ("§[optimizer]\nuse = ⟦'other:adamw'\n", "C106", "did you mean 'adamw'?"),
    ("§[optimizer]\nuse = ⟦7\n", "C102", "choose one: adamw"),
    ("§[[⟦data]]\npath = 'a'\n", "C103", "choose one: jsonl"),
    ("§[[⟦monitor]]\n", "C103", "choose one: console, tensorboard"),
    ("§[model.⟦hug]\nendpoint = 'https://h'\n", "C106", "did you mean 'hub'?"),
    # Wrong types and values out of bounds.
    ("seed = ⟦'7'\n§", "C102", "remove the quotes: seed = 7"),
    ("seed = ⟦-1\n§", "C104", "at least 0"),
    ("name = ⟦'my bot'\n§", "C104", "letters, digits, dots"),
    ("schema = ⟦2\n§", "C105", "must be 1, got 2"),
    ("required = ⟦'llamahome'\n§", "C102", 'put it in brackets: required = ["llamahome"]'),
    ("§[batch]\ntokens = ⟦0\n", "C104", "greater than 0"),
    ("§[batch]\nmax_length = ⟦1\n", "C104", "at least 2"),
    ("§[batch]\nmax_length = ⟦1000000000\n", "C104", "at most 100000000"),
    ("§[batch]\ntokens = ⟦1000000000000\n", "C104", "at most 1000000000"),
    ("§[batch]\nrows = ⟦1000000000000\n", "C104", "at most 1000000000"),
    ("§[batch]\naccumulate = ⟦1000000000\n", "C104", "at most 1000000"),
    ("§[batch]\noverlong = ⟦'trunc'\n", "C105", 'did you mean "truncate"?'),
    ("§[⟦batch]\ntokens = 64\nrows = 2\n", "C104", "`tokens` and `rows` cannot both be set"),
    ("§[train]\nprecision = ⟦'fp16'\n", "C105", "fp32"),
    ("§[train]\nsteps = ⟦1.5\n", "C102", "must be a whole number, got 1.5"),
    ("§[train]\nepochs = ⟦0\n", "C104", "greater than 0"),
    ("§[train]\nepochs = ⟦1e9\n", "C104", "at most 1000000"),
    ("§[train]\nepochs = ⟦inf\n", "C104", "must be a finite number"),
    ("§[train]\nsteps = ⟦1000000000000000\n", "C104", "at most 1000000000"),
    ("§[train]\ntokens = ⟦1000000000000000000\n", "C104", "at most 1000000000000000"),
    ("§[train]\nclip = ⟦'off'\n", "C102", "must be a number"),
    ("§[⟦train]\nsteps = 5\nepochs = 2\n", "C104", "`epochs` and `steps` cannot both be set"),
    ("§[evaluate]\nsplit = ⟦1.0\n", "C104", "less than 1"),
    ("§[sample]\nprompts = ⟦'Hi'\n", "C102", 'put it in brackets: prompts = ["Hi"]'),
    ("§[checkpoint]\nkeep_last = ⟦1\n", "C104", "at least 2"),
    ("§[publish]\ntags = ⟦['a b']\n", "C104", "tags"),
    ("§[publish]\ntags = ⟦['latest', 'v1']\n", "C104", "not the number of a version"),
    ("§[publish]\nenabled = ⟦'yes'\n", "C102", "true or false"),
    ("§[optimizer]\nlearning_rate = ⟦'2e-4'\n", "C102", "learning_rate = 2e-4"),
    ("§[optimizer]\nlearning_rate = ⟦0\n", "C104", "greater than 0"),
    ("§[optimizer]\nbeta2 = ⟦1.0\n", "C104", "less than 1"),
    ("§[adapter]\nuse = 'lora'\nrank = ⟦0\n", "C104", "greater than 0"),
    ("§[adapter]\nuse = 'lora'\ntargets = ⟦'q_proj'\n", "C102", 'targets = ["q_proj"]'),
    ("§[adapter]\nuse = 'lora'\ndropout = ⟦1.0\n", "C104", "less than 1"),
    ("§[schedule]\nwarmup = ⟦1.5\n", "C104", "at most 1"),
    ("§[trainer]\ndevice = ⟦'gpu'\n", "C104", "text that matches"),
    ("§[cache]\nmax_entries = ⟦0\n", "C104", "greater than 0"),
    ("§[model.hub]\nendpoint = ⟦'hub.example'\n", "C104", "text that matches"),
    ("§[model.pypi]\ntimeout = ⟦0\n", "C104", "greater than 0"),
    ("§[[data]]\nuse = 'jsonl'\npath = ⟦''\n", "C102", "name a file or folder"),
    ("§[[data]]\nuse = 'jsonl'\npath = 'a'\nrole = ⟦'test'\n", "C105", "train"),
    ("§[[data]]\nuse = 'jsonl'\npath = 'a'\nformat = ⟦'chat'\n", "C105", '"messages"'),
    ("§[[⟦data]]\nuse = 'jsonl'\n", "C103", "`path` is missing"),
    ("optimizer = ⟦'adamw'\n§", "C102", "must be a table"),
    ("monitor = [⟦'tensorboard']\n§", "C102", "must be a table"),
    ("[model]\nfrom = ⟦''\n[[data]]\nuse = 'jsonl'\npath = 'a'\n", "C102", "name of a model"),
    ("§[models.mine]\nsource = 'hub:a/b'\nchecksum = ⟦'md5:1'\n", "C104", "sha256"),
    ("§[models.⟦mine]\nrevision = 'main'\n", "C103", "`source` is missing"),
    # What is missing.
    ("⟦[[data]]\nuse = 'jsonl'\npath = 'a'\n", "C103", 'add [model] with from = "smollm2'),
    ("⟦[model]\nfrom = './m'\n", "C103", "add [[data]]"),
    # Syntax.
    ("seed = 1\n⟦seed = 2\n§", "C108", "first on line 1"),
    ("§[⟦model]\nfrom = 'x'\n", "C108", "set twice"),
    ("§[train]\ncheckpointing = ⟦True\n", "C107", "write true"),
    ("name = ⟦bot\n§", "C107", 'put it in quotes: "bot"'),
    ("§⟦[train\n", "C107", "add the closing ]"),
)

YAML = _yaml(
    ("⟦sead: 7\n§", "C101", "did you mean `seed`"),
    ("§train:\n  ⟦epoch: 2\n", "C101", "did you mean `epochs`?"),
    ("§⟦optimiser: {use: adamw}\n", "C101", "did you mean `optimizer`?"),
    ("§optimizer: {use: adamw, ⟦lr: 0.1}\n", "C101", "did you mean `learning_rate`?"),
    ("§adapter:\n  use: lora\n  ⟦r: 8\n", "C101", "unknown key `r` in [adapter]"),
    ("§optimizer: {use: ⟦adam}\n", "C106", "did you mean 'adamw'?"),
    ("§schedule:\n  use: ⟦cosin\n", "C106", "did you mean 'cosine'?"),
    ("§monitor:\n- use: ⟦wandb\n", "C106", "installed: console, tensorboard"),
    ("§trainer: ⟦torch\n", "C102", "must be a table"),
    ("seed: ⟦'7'\n§", "C102", "remove the quotes: seed: 7"),
    ("name: ⟦7\n§", "C102", 'put it in quotes: name: "7"'),
    ("§train: {checkpointing: ⟦on}\n", "C102", "write: checkpointing: true"),
    ("§optimizer: {learning_rate: ⟦'1e-4'}\n", "C102", "remove the quotes"),
    ("§optimizer: {learning_rate: ⟦.inf}\n", "C104", "finite"),
    ("§batch: {overlong: ⟦cut}\n", "C105", '"drop", "truncate"'),
    ("§batch: {accumulate: ⟦0}\n", "C104", "greater than 0"),
    ("§evaluate: {every: ⟦0}\n", "C104", "greater than 0"),
    ("§sample: {prompts: ⟦Hello}\n", "C102", 'prompts: ["Hello"]'),
    ("§sample:\n  prompts:\n  - a\n  - ⟦2\n", "C102", "must be text, got 2"),
    ("§⟦train: {steps: 3, epochs: 1}\n", "C104", "cannot both be set"),
    ("model: {from: x}\ndata:\n- ⟦use: jsonl\n", "C103", "`path` is missing"),
    ("model: {from: x}\ndata: ⟦{use: jsonl, path: a}\n", "C102", "must be a list"),
    ("model: {from: x}\ndata:\n- {use: jsonl, path: a, role: ⟦dev}\n", "C105", "train"),
    ("§publish: {dtype: ⟦fp32}\n", "C105", '"float32"'),
    ("§publish: {name: ⟦a/b}\n", "C104", "letters, digits, dots"),
    ("§store: {⟦path: /x}\n", "C101", "unknown key `path` in [store]"),
    ("seed: 1\n⟦seed: 2\n§", "C108", "first on line 1"),
    ("train:\n⟦\tsteps: 1\n§", "C107", "spaces, not tabs"),
    ("name: ⟦!!python/object:os.system x\n§", "C107", "cannot be read"),
    ("§extra: ⟦*base\n", "C107", "no anchor `&base`"),
    ("§optimizer: ⟦{use: adamw\n", "C107", "is not closed"),
    ("⟦seed = 1\n§", "C107", "seed: 1"),
)

JSON = _json(
    ('{§, ⟦"sead": 7}', "C101", "did you mean `seed`"),
    ('{§, "train": {⟦"epoch": 2}}', "C101", "did you mean `epochs`?"),
    ('{§, ⟦"optimiser": {"use": "adamw"}}', "C101", "did you mean `optimizer`?"),
    ('{§, "optimizer": {⟦"lr": 0.1}}', "C101", "did you mean `learning_rate`?"),
    ('{§,\n "adapter": {"use": "lora",\n  ⟦"alfa": 8}}', "C101", "did you mean `alpha`?"),
    ('{§, "optimizer": {"use": ⟦"adam"}}', "C106", "did you mean 'adamw'?"),
    ('{§, "cache": {"use": ⟦"redis"}}', "C106", "installed: lru"),
    ('{§, "store": {"use": ⟦"s3"}}', "C106", "installed: local"),
    ('{§, "trainer": ⟦"torch"}', "C102", "must be a table"),
    ('{§, "seed": ⟦"7"}', "C102", 'remove the quotes: "seed": 7'),
    ('{§, "seed": ⟦1.5}', "C102", "must be a whole number"),
    ('{§, "name": ⟦7}', "C102", "in quotes"),
    ('{§, "train": {"checkpointing": ⟦"true"}}', "C102", "remove the quotes"),
    ('{§, "train": {"clip": ⟦-1}}', "C104", "at least 0"),
    ('{§, "train": {"precision": ⟦"bf32"}}', "C105", "bf16"),
    ('{§, ⟦"train": {"steps": 3, "tokens": 9}}', "C104", "cannot both be set"),
    ('{§, "batch": {"max_length": ⟦1}}', "C104", "at least 2"),
    ('{§, "checkpoint": {"every": ⟦0}}', "C104", "greater than 0"),
    ('{§, "sample": {"temperature": ⟦-0.1}}', "C104", "at least 0"),
    ('{§, "sample": {"prompts": ["a", ⟦2]}}', "C102", "must be text, got 2"),
    ('{§, "schedule": {"use": "linear", "minimum": ⟦2}}', "C104", "at most 1"),
    ('{"model": {"from": "x"}, "data": [⟦{"use": "jsonl"}]}', "C103", "`path` is missing"),
    ('{"model": {"from": "x"}, "data": ⟦{"use": "jsonl"}}', "C102", "must be a list"),
    ('{⟦"model": {}, "data": [{"use": "jsonl", "path": "a"}]}', "C103", "smollm2"),
    ('{§, "seed": 1,\n ⟦"seed": 2}', "C108", "set twice"),
    ("{§⟦,}", "C107", "remove the comma"),
    ("{§ ⟦// why\n}", "C107", "JSON has no comments"),
    ('{§, "name": ⟦bot}', "C107", 'put it in quotes: "bot"'),
    ("⟦{§", "C107", "is not closed"),
    ('{§, "seed": ⟦NaN}', "C107", "finite number"),
)

CASES = [*TOML, *YAML, *JSON]
