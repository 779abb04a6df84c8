"""The tools say why they look away, and what README and CI run is one and the same."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Where a linter or a type checker is told to look away: the marker, then the reason.
_NOQA = r"(?:ruff:\s*)?noqa\b(?::\s*[A-Z0-9, ]+)?"
NOQA = re.compile(rf"#\s*{_NOQA}(.*)")
SILENCED = re.compile(rf"#\s*(?:{_NOQA}|(?:type|ruff):\s*ignore(?:\[[\w, -]+\])?)(.*)")
TEST_COMMAND = re.compile(r"python3 -m venv .*tox run$", re.MULTILINE)
QUICKSTART_COMMAND = re.compile(r"python3 -m venv .*&& llamahome run quickstart$", re.MULTILINE)


def test_every_ignored_rule_has_its_reason(root):
    """Beside each rule that ruff is told to ignore stands a comment that says why."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    ruff = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8-tidy-imports]")]
    rules = re.findall(r'^\s+"[A-Z]+[0-9]*".*$', ruff, re.MULTILINE)

    assert len(rules) > len(ruff.splitlines()) / 3, "the pattern finds the rules"
    assert [rule for rule in rules if not re.search(r"#\s*\S+ \S+", rule)] == []


def test_every_silenced_line_has_its_reason(root):
    """A noqa or a type: ignore is followed by words that say why; in tests, a noqa at least."""
    bare = []
    for folder in ("llamahome_core", "plugins", "tests", ".ci"):
        silenced = NOQA if folder == "tests" else SILENCED
        for path in sorted((root / folder).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                found = silenced.search(line)
                if found and path != Path(__file__) and not re.search(r"\w\S* \S+", found[1]):
                    bare.append(f"{path.relative_to(root)}:{number}")

    assert not bare


def test_ci_runs_the_test_command_of_the_readme(root):
    """README's test command stands word for word in .ci/run."""
    (command,) = TEST_COMMAND.findall((root / "README.md").read_text(encoding="utf-8"))
    script = (root / ".ci" / "run").read_text(encoding="utf-8")

    assert command in [line.strip() for line in script.splitlines()]


def test_the_readme_gives_the_quickstart_command(root):
    """README's other set-up command runs an environment that tox.ini has."""
    (command,) = QUICKSTART_COMMAND.findall((root / "README.md").read_text(encoding="utf-8"))

    assert _environments(root).fullmatch(command.rpartition(" ")[2])


def test_every_environment_of_contributing_exists(root):
    """CONTRIBUTING names no environment that tox.ini lacks."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"tox (?:run|devenv) -e ([\w-]+)", text))

    assert named
    assert [name for name in named if not _environments(root).fullmatch(name)] == []


def test_every_dependency_is_pinned_within_its_range(root, settings):
    """What development and CI run with is a set of versions that a user may have."""
    pins = _pins(root / "constraints.txt")
    project = settings["project"]
    groups = [*project["optional-dependencies"].values(), *settings["dependency-groups"].values()]
    lines = [*project["dependencies"], *(line for group in groups for line in group)]
    needed = [Requirement(line) for line in lines if isinstance(line, str)]

    wrong = [
        str(requirement)
        for requirement in needed
        if canonicalize_name(requirement.name) != "llamahome"
        and not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]

    assert not wrong


def test_the_oldest_versions_are_the_lower_bounds(root, settings):
    """``tox run -e lowest`` tests the lower bounds that users are promised."""
    needed = [Requirement(line) for line in settings["project"]["dependencies"]]
    bounds = {
        canonicalize_name(requirement.name): clause.version
        for requirement in needed
        for clause in requirement.specifier
        if clause.operator == ">="
    }

    assert _pins(root / ".ci" / "lowest.txt") == bounds


def test_the_extra_all_holds_every_other_extra(settings):
    """``pip install llamahome[all]`` brings every part of LlamaHome."""
    extras = settings["project"]["optional-dependencies"]
    (everything,) = extras["all"]

    assert Requirement(everything).extras == extras.keys() - {"all"}


@pytest.mark.parametrize("table", ["coverage.run.source_pkgs", "check-wheel-contents.toplevel"])
def test_the_tools_know_every_package(settings, packages, table):
    """A new plugin is measured and checked as the others are."""
    value = settings["tool"]
    for key in table.split("."):
        value = value[key]

    assert value == packages


def test_every_changelog_fragment_has_a_known_kind(root, settings):
    """Towncrier leaves out a fragment whose name it does not understand."""
    kinds = "|".join(kind["directory"] for kind in settings["tool"]["towncrier"]["type"])
    name = re.compile(rf"(\d+|\+[\w-]+)\.({kinds})(\.\d+)?\.md|README\.md")

    assert [p.name for p in (root / "changelog.d").iterdir() if not name.fullmatch(p.name)] == []


def _environments(root):
    """The names of the environments of tox.ini; {11,12} there means one of them."""
    tox = ConfigParser(interpolation=None)
    tox.read(root / "tox.ini", encoding="utf-8")
    names = [name.removeprefix("testenv:") for name in tox if name.startswith("testenv:")]
    return re.compile("|".join(names).replace("{", "(?:").replace("}", ")").replace(",", "|"))


def _pins(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))
