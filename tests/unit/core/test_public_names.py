"""The public names are pinned: to take one away or to add one is a decision."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import llamahome_core
from llamahome_core import (
    Batch,
    ConfigError,
    Dropped,
    LlamaHomeError,
    MicroBatch,
    Outcome,
    Problem,
    Recipe,
    StepData,
    Train,
    Version,
    files,
    suggest,
)

NAMES = """
Adapter AmbiguousNameError Batch BrokenPluginError Cache CacheStats CatalogueEntry ChatCodec Check
Checkpoint Command Component ConfigError Context DataError DataSource Defaults Dropped Emitter
Encoded EncodedChat Evaluate EventLog Example Generator HeldError IntegrityError Interrupted Kernel
Kind LlamaHomeError Message MicroBatch ModelError ModelFolder ModelNotFoundError ModelReference
ModelSource Models Monitor MonitorContext NoEvents NoSettings Objective OfflineError Optimizer
Outcome PackagedRecipe Plan PluginError PreparedData Problem Progress Publish Recipe Ref Registry
RequirementError Row Run RunError RunLockedError RunNotFoundError Sample Schedule SecretError
Selection Service Stage StepData StepResult Steps Stop StorageError Store Train Trained Trainer
TrainingError Transform UnavailableError UnknownNameError UnsafeModelError Version Workspace
WorkspaceError __version__ clean command_kernel command_settings follow_events hookimpl
live_events read_events run_async secret suggest
""".split()  # noqa: SIM905  # ninety names on ninety lines would say no more

PLAIN = {"Message", "Progress", "__version__", "hookimpl"}
"""Values and aliases, which cannot have a docstring of their own."""

FILES = """
LineWriter MANIFEST Manifest copy_folder discard fsync_file fsync_folder hash_file is_held lock
make_folder new_folder read_manifest sweep verify_folder write_bytes write_json write_text
""".split()  # noqa: SIM905  # the same here


def test_the_public_names_are_these():
    """A change here is a change of the plugin API: it needs a line in the changelog."""
    assert list(llamahome_core.__all__) == sorted(NAMES)
    assert dir(llamahome_core) == llamahome_core.__all__
    assert sorted(files.__all__) == sorted(FILES)


def test_what_plugins_rely_on_is_what_was_promised():
    """Names, arguments, fields, methods and hooks, one a line: a review sees what goes.

    On purpose: run `python .ci/public_api.py` and commit docs/reference/public-api.txt. A line that
    is added is fine. One that goes or changes breaks plugins: see docs/reference/compatibility.md.
    """
    script = Path(__file__).parents[3] / ".ci" / "public_api.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported_and_says_what_it_is(name):
    found = getattr(llamahome_core, name)

    if name not in PLAIN:
        assert inspect.getdoc(found), name
        assert found.__module__.startswith("llamahome_core.")


@pytest.mark.parametrize("name", FILES)
def test_each_of_the_files_module_too(name):
    assert name == "MANIFEST" or inspect.getdoc(getattr(files, name))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = llamahome_core.nothing


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert llamahome_core.__version__ == version("llamahome")


def test_every_public_method_and_field_is_documented():
    """Plugin authors read them in their editor."""
    bare = []
    for name in set(NAMES) - PLAIN:
        found = getattr(llamahome_core, name)
        members = vars(found).items() if inspect.isclass(found) else ()
        bare += [
            f"{name}.{member}"
            for member, value in members
            if not member.startswith("_") and callable(value) and not inspect.getdoc(value)
        ]
    assert not bare


def test_the_whole_public_interface_imports_nothing_heavy():
    """A plugin's declaring module may use any of it."""
    heavy = ("torch", "transformers", "numpy", "rich", "deepspeed", "peft", "cattrs")
    program = (
        "import sys, llamahome_core\n"
        "[getattr(llamahome_core, name) for name in llamahome_core.__all__]\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_the_package_is_a_command():
    """``python -m llamahome_core`` is ``llamahome``."""
    done = subprocess.run(
        [sys.executable, "-m", "llamahome_core", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"llamahome {llamahome_core.__version__}\n"


# --- Errors


def subclasses(cls: type[LlamaHomeError]) -> list[type[LlamaHomeError]]:
    return [cls, *(below for sub in cls.__subclasses__() for below in subclasses(sub))]


def errors() -> list[type[LlamaHomeError]]:
    return [c for c in subclasses(LlamaHomeError) if c.__module__.startswith("llamahome_core")]


def test_every_error_has_a_code_of_its_own_that_explain_knows():
    """And an exit code of the documented ones."""
    page = (Path(llamahome_core.__file__).parent / "explain.md").read_text(encoding="utf-8")
    codes = [cls.code for cls in errors()]

    assert len(set(codes)) == len(codes)
    assert all(f"\n## {code}: " in page for code in codes)
    assert {cls.exit_code for cls in errors()} <= {1, 2, 3, 4, 5, 70}


def test_the_tree_of_errors_is_drawn_as_it_is():
    """In the docstring of the module, each with its code."""
    drawn = (inspect.getdoc(sys.modules["llamahome_core.errors"]) or "").splitlines()

    for cls in errors():
        (line,) = [line for line in drawn if re.search(rf"\b{cls.__name__}\b", line)]
        assert cls.code in line or cls is ConfigError


def test_an_error_tells_what_happened_and_how_to_mend_it():
    error = LlamaHomeError("it broke", hint="mend it", code="X123")

    assert str(error) == "it broke\n  fix: mend it"
    assert (error.message, error.hint, error.code) == ("it broke", "mend it", "X123")
    assert str(LlamaHomeError("it broke")) == "it broke"
    assert LlamaHomeError("it broke").code == "X900"


def test_a_misspelling_is_recognised_and_a_stranger_is_not():
    known = ["learning_rate", "rank", "alpha"]

    assert suggest("learning_rat", known) == ["learning_rate"]
    assert suggest("qqq", known) == []


# --- Small values


@pytest.mark.parametrize(
    ("train", "steps"),
    [
        (Train(), 10),
        (Train(steps=3), 3),
        (Train(epochs=2.5), 25),
        (Train(epochs=0.01), 1),
        (Train(tokens=150), 2),
        (Train(tokens=1), 1),
        (Train(tokens=1001), 11),
    ],
)
def test_the_length_of_training_in_steps_is_rounded_up(train, steps):
    """Ten steps of a hundred tokens are one pass; there is at least one step."""
    assert train.total_steps(10, 1000) == steps


def test_two_lengths_contradict_each_other():
    with pytest.raises(ValueError, match="`epochs` and `steps` cannot both be set"):
        Train(epochs=1.0, steps=1)
    with pytest.raises(ValueError, match="`tokens` and `rows`"):
        Batch(tokens=1, rows=1)


def test_a_batch_is_counted_in_tokens_unless_it_is_counted_in_rows():
    assert Batch().step_tokens == 4096
    assert Batch(tokens=7).step_tokens == 7
    assert Batch(rows=7).step_tokens is None


def test_small_values_count_what_they_hold():
    micro = MicroBatch(ids=[1, 2, 3], positions=[], boundaries=[], predictors=[0], targets=[2])
    data = StepData(index=0, epoch=0.0, micro_batches=(micro, micro), rows=())

    assert (micro.num_tokens, micro.num_targets) == (3, 1)
    assert (data.num_tokens, data.num_targets) == (6, 2)
    assert Version(name="bot", number=2).label == "bot:v2"
    assert Outcome(status="finished").metrics == {}
    assert Recipe(name="a", model="m").publish_name == "a"
    assert Problem("C101", "m").advice is None


@pytest.mark.parametrize("reason", ["", "Duplicate", "too short", "_a", "a_", "a-b", "x" * 41, "é"])
def test_why_an_example_is_left_out_is_a_word_that_can_be_counted(reason):
    """It is a key of an event and a part of a line of text."""
    assert Dropped("too_short2").reason == "too_short2"
    with pytest.raises(ValueError, match="reason"):
        Dropped(reason)
