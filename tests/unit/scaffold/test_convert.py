"""A configuration of another tool becomes a recipe, and no setting of it is lost on the way."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamahome_scaffold import axolotl, llama_factory
from llamahome_scaffold.conversion import Conversion
from llamahome_scaffold.convert import DIALECTS
from llamahome_scaffold.foreign import Config, Entry, read_config, shown

CONFIGS = Path(__file__).parent / "configs"
ALL = sorted(path.name for path in CONFIGS.glob("*.*"))


@pytest.fixture
def convert(new):
    """Convert a file of this folder, that lies here with its dataset_info.json."""

    def run(name, *words):
        shutil.copytree(CONFIGS, Path.cwd(), dirs_exist_ok=True)
        result = new("recipe", "made", "--json", "--from", name, *words)
        assert result.code == 0, result.err
        document = result.json
        return tomllib.loads(Path("made.toml").read_text()), document, result

    return run


def whys(notes):
    """Key to reason; of several the first."""
    return {note["key"]: note["why"] for note in reversed(notes)}


def test_what_can_be_mapped_of_axolotl_is(convert):
    """Numbers that YAML reads as text, lists, and what two settings say together."""
    recipe, _, _ = convert("axolotl-lora.yml")

    assert recipe == {
        "schema": 1,
        "name": "made",
        "seed": 7,
        "model": {"from": "hub:acme/llama-tiny@v2"},
        "data": [
            {
                "use": "jsonl",
                "path": "data/chats.jsonl",
                "limit": 200,
                "format": "messages",
                "messages": "turns",
            },
            {
                "use": "jsonl",
                "path": "./data/held.jsonl",
                "format": "messages",
                "role": "evaluate",
            },
        ],
        "batch": {"max_length": 2048, "overlong": "drop", "tokens": 16384, "accumulate": 4},
        "objective": {"use": "sft"},
        "adapter": {
            "use": "lora",
            "rank": 32,
            "alpha": 16,
            "dropout": 0.05,
            "targets": ["q_proj", "v_proj"],
        },
        "optimizer": {"use": "adamw", "learning_rate": 2e-5, "beta2": 0.95, "weight_decay": 0.01},
        "schedule": {"use": "cosine", "minimum": 0.1, "warmup": 0.05},
        "train": {
            "steps": 200,
            "precision": "bf16",
            "clip": 0.5,
            "log_every": 5,
            "checkpointing": True,
        },
        "evaluate": {"every": 50},
        "checkpoint": {"every": 100, "keep_last": 2},
    }


def test_what_cannot_be_mapped_is_told_with_its_line_and_reason(convert):
    """In the file, on standard error and as data."""
    _, document, result = convert("axolotl-lora.yml")
    text = Path("made.toml").read_text()
    lines = (CONFIGS / "axolotl-lora.yml").read_text().splitlines()

    unmapped = whys(document["unmapped"])
    assert unmapped.keys() == {
        "adapter",
        "load_in_4bit",
        "num_epochs",
        "wandb_name",
        "fsdp",
        "trust_remote_code",
        "early_stopping_patience",
        "an_option_of_tomorrow",
    }
    assert "not quantised" in unmapped["load_in_4bit"]
    assert "does not know" in unmapped["an_option_of_tomorrow"]
    for note in document["unmapped"]:
        assert lines[note["line"] - 1].startswith(f"{note['key']}:")
        assert f"# line {note['line']}: {note['key']} = " in text
        assert f"  line {note['line']}: {note['key']} = " in result.err


def test_secrets_of_the_other_tool_are_told_without_their_value(new):
    """A recipe is committed; and a token that is no secret is shown."""
    Path("a.yml").write_text(
        "base_model: acme/tiny\nadapter: lora\nhub_token: hf_canary1\nwandb_api_key: canary2\n"
        "env: {HF_TOKEN: hf_canary3}\nhub_model_id: https://me:canary4@host/x\n"
        "special_tokens: {pad_token: '</s>'}\ndatasets: [{path: a.jsonl, type: chat_template}]\n"
    )

    result = new("recipe", "made", "--json", "--from", "a.yml")

    assert result.code == 0, result.err
    everything = result.out + result.err + Path("made.toml").read_text()
    assert "canary" not in everything
    told = {note["key"] for note in result.json["unmapped"]}
    assert {"hub_token", "wandb_api_key", "hub_model_id"} <= told
    assert "</s>" in everything


def test_what_is_assumed_is_told(convert):
    """Nothing is guessed in silence: the file says so where the value stands."""
    _, document, _ = convert("axolotl-lora.yml")
    text = Path("made.toml").read_text()

    assumed = {note["why"].partition(" = ")[0] for note in document["assumed"]}
    assert assumed >= {"batch.tokens", "batch.overlong", "optimizer.use", "train.precision"}
    assert 'use = "adamw"' in text
    assert re.search(r'precision = "bf16" +# assumed, from bf16, line \d+\n', text)
    lines = (CONFIGS / "axolotl-lora.yml").read_text().splitlines()
    assert re.search(rf"seed = 7 +# seed, line {lines.index('seed: 7') + 1}\n", text)


def test_rows_of_every_form_are_told_apart(convert):
    """And what a recipe cannot say of them is told, with the line in the list of datasets."""
    recipe, document, _ = convert("axolotl-forms.yml")

    assert recipe["data"] == [
        {
            "use": "jsonl",
            "path": "talks.jsonl",
            "format": "messages",
            "messages": "conversations",
        },
        {"use": "jsonl", "path": "data/turns.jsonl", "format": "messages", "messages": "turns"},
        {
            "use": "csv",
            "path": "data/pairs.csv",
            "format": "prompt-completion",
            "prompt": "question",
            "completion": "answer",
        },
        {"use": "text", "path": "data/notes.txt", "format": "text"},
        {"use": "jsonl", "path": "data/riddles.jsonl"},
    ]
    unmapped = [f"{note['key']}: {note['why']}" for note in document["unmapped"]]
    for said in (
        "datasets[0].type: turns have 'from' and 'value'",
        "datasets[1].type: turns have 'who' and 'said'; and {'assistant': ['bot']}",
        "datasets[2].path: no data source 'csv' is installed",
        "datasets[2].type: the field 'context' is not read",
        "datasets[2].type: system_prompt: ",
        "datasets[4].type: no such form of rows is known",
        "pretraining_dataset: no list of datasets",
    ):
        assert any(line.startswith(said) for line in unmapped), said


def test_settings_that_say_it_in_another_way_are_mapped(convert):
    """Shares of a run cannot be, and a number that is none counts as not set."""
    recipe, document, _ = convert("axolotl-forms.yml")

    assert recipe["objective"] == {"use": "pretrain"}
    assert recipe["batch"] == {"max_length": 64, "overlong": "error", "rows": 1, "accumulate": 1}
    assert recipe["adapter"] == {"use": "lora", "rank": 8}
    assert recipe["schedule"] == {"use": "rex", "warmup": 0.2}
    assert recipe["train"] == {"epochs": 1.0, "precision": "fp32", "checkpointing": False}
    assert recipe["monitor"] == [{"use": "tensorboard"}]
    unmapped = whys(document["unmapped"])
    assert unmapped.keys() >= {"eval_steps", "save_steps", "save_strategy", "micro_batch_size"}
    assert "no schedule 'rex' is installed" in unmapped["lr_scheduler"]
    assert whys(document["assumed"])["chat_template"].endswith("that of llama3")


def test_patterns_and_other_objectives_are_told(convert):
    """A pattern is no name of a layer; a model that judges is no model that answers."""
    recipe, document, _ = convert("axolotl-patterns.yml")

    assert recipe["objective"] == {"use": "reward"}
    assert recipe["adapter"] == {"use": "lora", "rank": 8}
    assert recipe["schedule"] == {"use": "constant", "warmup": 0.05}
    assert recipe["train"]["epochs"] == 1.0
    unmapped = whys(document["unmapped"])
    assert unmapped.keys() >= {"lora_target_modules", "base_model_config", "reward_model"}
    assert whys(document["same"]).keys() >= {"tokenizer_config", "max_steps"}


def test_where_little_is_said_the_other_tools_defaults_hold(convert):
    """And not those of LlamaHome: the run should be the same."""
    recipe, document, _ = convert("axolotl-full.yml")

    assert recipe["model"] == {"from": "./models/tiny"}
    assert recipe["data"] == [
        {"use": "jsonl", "path": "data/acme-novels.jsonl", "format": "text", "text": "chapter"}
    ]
    assert recipe["objective"] == {"use": "pretrain"}
    assert recipe["adapter"] == {"use": "full"}
    assert recipe["batch"] == {"max_length": 512, "overlong": "drop", "rows": 1, "accumulate": 1}
    assert recipe["schedule"] == {"use": "cosine", "warmup": 0.0}
    assert recipe["train"] == {"epochs": 1.0, "precision": "fp32"}
    assert recipe["seed"] == 42
    unmapped = whys(document["unmapped"])
    assert unmapped.keys() >= {"warmup_steps", "val_set_size", "fp16", "optimizer"}
    assert "to_json('data/acme-novels.jsonl')" in unmapped["pretraining_dataset[0].path"]


def test_of_a_setting_that_stands_twice_the_last_counts(convert):
    """As in YAML's readers; the other is told."""
    recipe, document, _ = convert("axolotl-full.yml")
    (twice,) = [n for n in document["unmapped"] if n["key"] == "learning_rate"]

    assert recipe["optimizer"]["learning_rate"] == 3e-4
    assert (twice["line"], twice["why"]) == (10, "it is set again in line 15, which counts")


@pytest.mark.parametrize(
    ("name", "kind", "use"),
    [
        ("axolotl-full.yml", "optimizer", "lion-8bit"),
        ("axolotl-dpo.yml", "objective", "dpo"),
        ("factory-pretrain.json", "optimizer", "muon"),
    ],
)
def test_no_algorithm_stands_in_for_another(convert, run_cli, kernel, name, kind, use):
    """The recipe names what the file names, and the check says what is missing."""
    recipe, document, _ = convert(name)
    checked = run_cli("check", "made.toml", over=kernel)

    assert recipe[kind]["use"] == use
    assert f"no {kind} {use!r} is installed" in str(document["unmapped"])
    assert checked.code == 2
    assert f"no {kind} is called {use!r}" in checked.err
    assert "1 error" in checked.err


@pytest.mark.parametrize("name", ["axolotl-lora.yml", "factory-lora.yaml"])
def test_the_recipe_passes_the_check(convert, run_cli, kernel, name):
    """Where the needed components are installed."""
    convert(name)

    assert run_cli("check", "made.toml", over=kernel).out == "made.toml: ok\n"


def test_what_can_be_mapped_of_llama_factory_is(convert):
    """With its datasets, whose form is in another file."""
    recipe, document, _ = convert("factory-lora.yaml")

    assert recipe["model"] == {"from": "hub:acme/qwen-tiny"}
    assert recipe["data"] == [
        {
            "use": "jsonl",
            "path": "./sets/facts.jsonl",
            "format": "prompt-completion",
            "prompt": "q",
            "completion": "a",
            "limit": 100,
        },
        {
            "use": "jsonl",
            "path": "./sets/talks.json",
            "format": "messages",
            "messages": "talk",
            "limit": 100,
        },
        {"use": "jsonl", "path": "data/elsewhere.jsonl", "limit": 100},
        {
            "use": "jsonl",
            "path": "./sets/talks.json",
            "format": "messages",
            "messages": "talk",
            "role": "evaluate",
            "limit": 100,
        },
    ]
    assert recipe["batch"] == {
        "max_length": 512,
        "overlong": "truncate",
        "rows": 16,
        "accumulate": 8,
    }
    assert recipe["adapter"] == {"use": "lora", "rank": 4, "targets": ["q_proj", "v_proj"]}
    assert recipe["schedule"] == {"use": "constant", "warmup": 0.1}
    assert recipe["train"] == {"epochs": 2, "precision": "bf16", "checkpointing": True}
    assert recipe["evaluate"] == {"split": 0.1}
    assert recipe["monitor"] == [{"use": "tensorboard"}]
    unmapped = [f"{note['key']}: {note['why']}" for note in document["unmapped"]]
    assert any("'s' (system) is not read" in line for line in unmapped)
    assert any("elsewhere lies" in line for line in unmapped)
    assert any("no monitor 'wandb'" in line for line in unmapped)
    assert "trust_remote_code" in whys(document["same"])


def test_json_is_read_as_well(convert):
    """With tabs; a schedule without a warm-up has none here either."""
    recipe, document, _ = convert("factory-pretrain.json")

    assert recipe["objective"] == {"use": "pretrain"}
    assert recipe["data"][0]["text"] == "q"
    assert recipe["batch"]["overlong"] == "split"
    assert recipe["schedule"] == {"use": "constant", "warmup": 0.0}
    assert recipe["train"]["checkpointing"] is False
    assert recipe["train"]["epochs"] == 3.0
    assert whys(document["unmapped"])["lora_rank"].startswith("every weight is trained")


def accounted(path, document):
    """Keys of the file, with those of its datasets, that no note names."""
    sorts = ("mapped", "assumed", "same", "unset", "unmapped")
    named = {note["key"] for sort in sorts for note in document[sort]}
    keys = set()
    for key, entry in read_config(path).entries.items():
        keys |= {key, *(item.prefix + inner for item in entry.items for inner in item.entries)}
    return keys - named


@pytest.mark.parametrize("name", ALL)
def test_no_setting_is_dropped_in_silence(convert, name):
    """Each has a note: mapped, assumed, needless, unset or not mapped."""
    _, document, _ = convert(name)

    assert accounted(CONFIGS / name, document) == set()


VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text() | st.just("auto")
KNOWN = {
    "axolotl": [*axolotl.SAME, *axolotl.UNMAPPED, *axolotl.SIGNS, "lr_scheduler", "warmup_steps"],
    "llama-factory": [
        *llama_factory.SAME,
        *llama_factory.UNMAPPED,
        *llama_factory.SIGNS,
        "max_samples",
        "save_steps",
    ],
}
MORE = ["adapter", "bf16", "max_steps", "optimizer", "optim", "save_total_limit", "eval_steps"]


@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
def test_whatever_a_file_says_each_setting_is_accounted_for(dialect, data):
    """Values of any type, where the other tool would refuse them too; nothing is raised."""
    keys = st.sampled_from([*KNOWN[dialect], *MORE]) | st.text()
    said = data.draw(st.dictionaries(keys, VALUES | st.lists(VALUES, max_size=3), max_size=12))
    model = "base_model" if dialect == "axolotl" else "model_name_or_path"
    said = {model: "acme/tiny", **said}
    entries = {key: Entry(n, value) for n, (key, value) in enumerate(said.items(), 1)}
    made = Conversion(Config(Path("x.yml"), entries), lambda *_: False)

    DIALECTS[dialect].convert(made)
    made.finish()

    assert {note.key for note in made.notes} >= said.keys()
    assert all("\n" not in str(note) and note.why for note in made.notes)
    json.dumps([note.plain() for note in made.notes])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\n", "is no configuration that is known; it begins with a, b"),
        ("- a\n", "holds no settings"),
        ("", "holds no settings"),
        ("a: [1\n", "is neither YAML nor JSON"),
        ("a: !!python/object/apply:os.system [ls]\n", "is neither YAML nor JSON"),
        ("base_model: x\nmicro_batch_size: 1\n", "trains nothing"),
        ("model_name_or_path: x\ntemplate: y\nexport_dir: z\n", "trains nothing"),
    ],
)
def test_what_is_no_training_is_refused(new, text, said):
    """With what the file is taken for; nothing is written."""
    Path("x.yml").write_text(text)

    result = new("recipe", "--from", "x.yml")

    assert result.code == 1
    assert said in result.err
    assert not Path("x.toml").exists()


def test_the_dialect_can_be_said(new):
    """For a file with too few settings to tell."""
    Path("x.yml").write_text("model_name_or_path: acme/tiny\ndataset: facts\nbase_model: q\n")
    unsaid = new("recipe", "z", "--from", "x.yml")
    said = new("recipe", "--from", "x.yml", "--dialect", "llama-factory")
    wrong = new("recipe", "y", "--from", "x.yml", "--dialect", "axolotl")

    assert (unsaid.code, said.code, wrong.code) == (0, 0, 1)
    assert "base_model = q: this converter does not know it" in said.err
    assert "trains nothing" in wrong.err


def test_bytes_that_are_no_text_and_files_that_are_too_large_are_refused(new):
    """Before anything is made of them."""
    Path("bytes.yml").write_bytes(b"a: \xff\n")
    Path("large.yml").write_bytes(b"a: 1\n" + b"#" * 2**20)

    assert "is not UTF-8" in new("recipe", "--from", "bytes.yml").err
    assert "larger than" in new("recipe", "--from", "large.yml").err
    assert "cannot be read" in new("recipe", "--from", "none.yml").err


def test_paths_begin_in_the_recipes_folder(new):
    """As every recipe's do, though the other tool's begin in the working directory."""
    Path("x.yml").write_text(
        "base_model: ./m\nsequence_len: 8\ndatasets: [{path: d/x.jsonl, type: completion}]\n"
    )
    Path("recipes").mkdir()
    new("recipe", "recipes/x", "--from", "x.yml")
    recipe = tomllib.loads(Path("recipes/x.toml").read_text())

    assert recipe["model"]["from"] == "./../m"
    assert recipe["data"][0]["path"] == "../d/x.jsonl"


def test_a_value_is_shown_on_one_harmless_line():
    """Whatever it is."""
    assert shown("a\n\x1b[2Jb") == "a b"
    assert shown(True) == "true"
    assert len(shown("x" * 1000)) == 80


def test_a_model_that_is_a_folder_here_is_no_name_on_the_hub(new):
    """The other tools look for a folder first, too."""
    Path("models/tiny").mkdir(parents=True)
    Path("x.yml").write_text("base_model: models/tiny\nsequence_len: 8\ndatasets: [{path: x/y}]\n")

    new("recipe", "--from", "x.yml")

    assert tomllib.loads(Path("x.toml").read_text())["model"]["from"] == "./models/tiny"


def test_a_whole_path_stays_as_it_is(new):
    """Wherever the recipe lies."""
    Path("x.yml").write_text(
        "base_model: /m\nsequence_len: 8\ndatasets: [{path: /d/x.jsonl, type: completion}]\n"
    )
    Path("recipes").mkdir()
    new("recipe", "recipes/x", "--from", "x.yml")
    recipe = tomllib.loads(Path("recipes/x.toml").read_text())

    assert recipe["model"]["from"] == "/m"
    assert recipe["data"][0]["path"] == "/d/x.jsonl"


def notes(new, text):
    """Sort to ``key: why`` of a conversion of *text*."""
    Path("x.yml").write_text(text)
    document = new("recipe", "-", "--json", "--from", "x.yml").json
    sorts = ("mapped", "assumed", "same", "unset", "unmapped")
    return {sort: [f"{n['key']}: {n['why']}" for n in document[sort]] for sort in sorts}


def test_each_setting_is_told_in_one_way(new):
    """A length without a limit, and a precision that two settings ask for."""
    said = notes(
        new,
        "model_name_or_path: a/b\ndataset: d\nstage: sft\nmax_steps: -1\npure_bf16: true\n"
        "bf16: false\n",
    )

    assert said["same"].count("max_steps: it sets no limit") == 1
    assert not [line for line in said["unmapped"] if line.startswith("max_steps")]
    (precision,) = [line for line in said["assumed"] if "train.precision" in line]
    assert precision.startswith("pure_bf16: train.precision = bf16: the products are bf16")
    assert "bf16: off, as here" in said["same"]


def test_what_the_file_leaves_to_luck_is_told(new):
    """A learning rate, a switch that is off, which rows of a dataset, and where they lie."""
    axolotl_said = notes(
        new, "base_model: a/b\nsequence_len: 8\nuse_tensorboard: false\ndatasets: [{path: c/d}]\n"
    )
    Path("data").mkdir()
    Path("data/dataset_info.json").write_text(
        json.dumps({"some": {"file_name": "some.jsonl", "num_samples": 9}, "none": {}})
    )
    said = notes(new, "model_name_or_path: a/b\nstage: sft\ndataset: some,none\n")

    no_rate = "None: the file gives no learning_rate: it is LlamaHome's default"
    assert no_rate in axolotl_said["assumed"]
    assert "use_tensorboard: off, as here" in axolotl_said["same"]
    assert any("limit = 9: some: num_samples: the first rows" in n for n in said["assumed"])
    assert "dataset: none: it names neither a file nor a dataset of a hub" in said["unmapped"]
