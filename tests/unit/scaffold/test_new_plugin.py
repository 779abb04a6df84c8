"""A new plugin is whole: it is installed, checked, linted, typed, and passes its own tests."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import llamahome_core
from llamahome_core import Kind, hookspecs
from llamahome_scaffold import templates
from llamahome_scaffold.modules import join_modules
from llamahome_scaffold.names import LONGEST, values_of

KINDS = templates.kinds()
# Hook -> why there is no template that brings it.
WITHOUT = {
    "llamahome_trainers": "an honest trainer is hundreds of lines",
    "llamahome_services": "each Protocol is another one, and the smallest is not small",
    "llamahome_defaults": "it is one line of settings",
    "llamahome_run_started": "an observer, and no component",
    "llamahome_run_finished": "an observer, and no component",
    "llamahome_execute": "a wrapper, and no component",
}


def write(folder, name, *kinds):
    """A package in *folder*, as the command writes it."""
    root = folder / f"llamahome-{name}"
    for path, text in templates.write_package(
        kinds or [templates.DEFAULT], values_of(name)
    ).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def environment(*paths):
    """The environment with more folders to import from."""
    before = [path for path in [os.environ.get("PYTHONPATH")] if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), *before])}


def announce(root, name):
    """The metadata of an installed distribution, as pip leaves it for an editable one."""
    package = values_of(name)["package"]
    folder = root / f"{package}-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: llamahome-{name}\nVersion: 0.1.0\n"
    )
    (folder / "entry_points.txt").write_text(f"[llamahome]\n{name} = {package}.plugin\n")


def run(root, *command, env=None):
    """Run a tool in the package; what it says if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_default_one_is_installed_and_passes_its_tests(new, tmp_path):
    """With pip, from its own pyproject, as the command's own words say."""
    result = new("plugin", "kettle", "--into", str(tmp_path / "made"))
    root, site = tmp_path / "made" / "llamahome-kettle", tmp_path / "site"
    env = environment(site)
    flags = ("-q", "--no-deps", "--no-build-isolation", "--target", str(site))
    run(tmp_path, "pip", "install", *flags, str(root), env=env)

    said = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", str(root), env=env)
    checked = run(tmp_path, "llamahome_core", "plugins", "check", "kettle", env=env)

    assert (result.code, result.out) == (0, f"{root}\n")
    assert [line.split(":")[0] for line in result.err.splitlines()] == ["install", "test", "use"]
    assert "11 passed" in said
    assert "kettle  active  llamahome-kettle 0.1.0" in checked


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_that_offers_everything_passes_its_tests(tmp_path):
    """Each kind's own tests, and what merging them made of the declarations."""
    root = write(tmp_path, "everything", *KINDS)
    announce(root, "everything")

    said = run(root, "pytest", "-q", "-p", "no:cacheprovider", env=environment(root))

    assert "passed" in said
    assert not {"failed", "skipped", "error"} & set(said.split())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_that_offers_everything_is_typed(tmp_path):
    """mypy finds nothing, as strict as the package itself says."""
    root, kernel = write(tmp_path, "everything", *KINDS), Path(llamahome_core.__file__).parents[1]
    env = dict(os.environ)
    if kernel.name != "site-packages":  # the checkout; mypy finds what is installed by itself
        env["MYPYPATH"] = str(kernel)

    assert "Success" in run(root, "mypy", "--cache-dir", str(tmp_path / "cache"), ".", env=env)


@pytest.mark.parametrize("name", ["e", "twelve-lette", "as-long-as-a-name-can-be"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_linted_and_formatted(tmp_path, kind, name):
    """With the shortest name and the longest, by the rules that the package brings."""
    assert len(name) <= LONGEST
    root = write(tmp_path, name, kind)

    run(root, "ruff", "check", "--no-cache", ".")
    run(root, "ruff", "format", "--no-cache", "--diff", ".")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_what_a_plugin_needs(kind):
    """Code that can be read, tests of its own, a part of the README, and how to use it."""
    package = templates.write_package([kind], values_of("kettle"))
    part = templates.read_kind(kind, values_of("kettle"))
    tests = [path for path in package if path.startswith("tests/test_")]

    assert {"summary", "use"} == part.head.keys()
    assert len(tests) == 2
    assert package["README.md"].count("\n## ") == 1
    assert not [path for path, text in package.items() if "${" in text or "$name" in text]
    for path, text in package.items():
        if path.endswith(".py"):
            tree = ast.parse(text, path)
            assert not [n for n in ast.walk(tree) if isinstance(n, ast.Pass)]
            assert all(ast.get_docstring(f) for f in ast.walk(tree) if isinstance(f, ast.ClassDef))


def test_every_hook_has_a_template_or_a_reason():
    """A new kind of component is not forgotten here."""
    texts = "".join(
        text for kind in KINDS for text in templates.read_kind(kind, values_of("x")).files.values()
    )
    hooks = [name for name in vars(hookspecs) if name.startswith("llamahome_")]

    missing = {hook for hook in hooks if f"def {hook}(" not in texts}

    assert missing == WITHOUT.keys()


def test_a_kind_may_be_said_as_a_recipe_says_it(new):
    """``data`` is ``data-source``; the same kind twice is one."""
    result = new("plugin", "kettle", "--kind", "data", "--kind", "data-source", "--kind", "check")

    assert result.code == 0
    assert "[[data]]" in result.err
    assert "llamahome doctor" in result.err
    package = tomllib.loads(Path("llamahome-kettle/pyproject.toml").read_text())
    assert package["project"]["entry-points"]["llamahome"] == {"kettle": "llamahome_kettle.plugin"}


def test_the_kinds_are_those_of_recipes():
    """A template of a component is called as `llamahome show` calls its kind."""
    titles = {kind.title.replace(" ", "-") for kind in Kind}

    assert titles - {"trainer"} <= set(KINDS)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MyPlugin", "try my-plugin"),
        ("my_plugin", "try my-plugin"),
        ("2fast", "cannot be the name"),
        ("", "cannot be the name"),
        ("a" * 25, "up to 24"),
        ("../out", "try out"),
        ("llamahome-kettle", "try kettle"),
        ("class", "a word of Python; try my-class"),
        ("data", "a plugin called 'data' is installed"),
        ("core", "a package called llamahome_core can be imported"),
        ("jsonl", "data source 'jsonl' exists already (from data); try my-jsonl"),
    ],
)
def test_a_name_that_cannot_be_is_refused(new, name, said):
    """With another one, where there is one; nothing is written."""
    result = new("plugin", name)

    assert result.code == 2
    assert said in " ".join(result.err.split())
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), [("command", "run"), ("recipe", "quickstart")])
def test_a_name_that_something_else_has_is_refused(new, kind, name):
    """A command would never be called, and two recipes of one name are none."""
    result = new("plugin", name, "--kind", kind)

    assert result.code == 2
    assert "try my-" in result.err


def test_an_unknown_kind_is_refused_with_the_known_ones(new):
    """All of them."""
    result = new("plugin", "kettle", "--kind", "pot")

    assert result.code == 2
    assert all(kind in result.err for kind in KINDS)


def test_nothing_is_written_over(new):
    """A folder with something in it is left alone; an empty one is taken."""
    folder = Path("llamahome-kettle")
    folder.mkdir()
    assert new("plugin", "kettle").code == 0
    (folder / "README.md").write_text("mine")

    again = new("plugin", "kettle")

    assert again.code == 2
    assert "exists already" in again.err
    assert (folder / "README.md").read_text() == "mine"


def test_imports_are_merged_and_sorted():
    """As ruff wants them: by section, constants before classes before functions."""
    future = "from __future__ import annotations\n"
    first = f'"""Doc."""\n{future}import os\nfrom a import f, B, C_D\n\nX = 1\n'
    second = "from a import g\nimport json\nfrom me.x import y\n\n\ndef h(): ...\n"

    assert join_modules([first, second], "me") == (
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport json\nimport os\n\n'
        "from a import C_D, B, f, g\n\nfrom me.x import y\n\nX = 1\n\n\ndef h(): ...\n"
    )
    assert join_modules(['"""Doc."""\n'], "me") == ""
