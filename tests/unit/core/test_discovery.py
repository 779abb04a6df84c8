"""Plugins are found without being imported, in the same order each time, with their origin."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from llamahome_core import ConfigError
from llamahome_core.discovery import Policy, discover, from_object


def install(site: Path, distribution: str, entries: dict[str, str], metadata: str | None = None):
    """A distribution as pip leaves it: a .dist-info folder."""
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
    if (text if metadata is None else metadata) != "gone":
        (info / "METADATA").write_text(text if metadata is None else metadata)
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[llamahome]\n{lines}")
    return list(PathDistribution(info).entry_points)


def found(*groups: list[EntryPoint]) -> list[tuple[str, str, str]]:
    entries = [entry for group in groups for entry in group]
    return [(plugin.name, plugin.origin, plugin.status) for plugin in discover(entries)]


def test_plugins_come_by_name_with_their_distribution(tmp_path):
    """Whatever the order in which they were installed."""
    a = install(tmp_path, "llamahome-a", {"zebra": "z", "apple": "a"})
    b = install(tmp_path, "llamahome-b", {"melon": "m"})

    wanted = [
        ("apple", "llamahome-a 1.0", "found"),
        ("melon", "llamahome-b 1.0", "found"),
        ("zebra", "llamahome-a 1.0", "found"),
    ]
    assert found(a, b) == found(b, a) == wanted


def test_of_two_with_one_name_ours_is_kept_else_the_first(tmp_path):
    """A third party can neither replace nor block a built-in plugin."""
    ours = install(tmp_path, "llamahome", {"data": "ours"})
    early = install(tmp_path, "aaa", {"data": "theirs", "x": "a"})
    late = install(tmp_path, "zzz", {"x": "z"})

    assert found(late, early, ours) == [
        ("data", "llamahome 1.0", "found"),
        ("data", "aaa 1.0", "shadowed"),
        ("x", "aaa 1.0", "found"),
        ("x", "zzz 1.0", "shadowed"),
    ]


def test_one_distribution_seen_twice_is_one_plugin(tmp_path):
    """An editable installation lies beside its metadata."""
    once = install(tmp_path / "a", "llamahome", {"data": "ours"})
    again = install(tmp_path / "b", "llamahome", {"data": "ours"})

    assert found(once, again) == [("data", "llamahome 1.0", "found")]


@pytest.mark.parametrize("metadata", ["gone", "", "Name: broken\n", "Version: 3\n"])
def test_a_damaged_installation_does_not_hide_the_others(tmp_path, metadata):
    """What an interrupted pip leaves has no name or version; the rest is found all the same."""
    whole = install(tmp_path, "whole", {"x": "m", "y": "m"})
    broken = install(tmp_path, "broken", {"x": "m", "z": "m"}, metadata)

    assert [(name, status) for name, _, status in found(broken, whole)].count(("x", "found")) == 1
    assert {name for name, _, _ in found(broken, whole)} == {"x", "y", "z"}


def test_an_entry_point_without_a_distribution_is_of_unknown_origin():
    assert found([EntryPoint("x", "m", "llamahome")]) == [("x", "unknown", "found")]


def test_what_is_installed_is_found_and_not_imported(tmp_path):
    """In a process of its own, with a real distribution on the path."""
    install(tmp_path, "llamahome-loud", {"loud": "lh_loud_module"})
    (tmp_path / "lh_loud_module.py").write_text("raise RuntimeError('imported')")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import json\nfrom llamahome_core.discovery import discover\n"
        "print(json.dumps([[p.name, p.origin] for p in discover()]))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ["loud", "llamahome-loud 1.0"] in json.loads(done.stdout)


# --- Policy


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ([], "abc"),
        (["a"], "a"),
        (["a", "b"], "ab"),
        (["no:a"], "bc"),
        (["a", "no:a"], ""),
        (["b", "no:a"], "b"),
        ([" a ", "", "  "], "a"),
    ],
)
def test_words_say_which_plugins_may_load(words, allowed):
    """A name alone means only these; ``no:`` means not this one."""
    policy = Policy.parse(words)

    assert "".join(name for name in "abc" if policy.allows(name)) == allowed


def test_the_environment_says_it_for_every_command(monkeypatch):
    """``LLAMAHOME_PLUGINS`` and ``LLAMAHOME_STRICT``."""
    policy = Policy.from_environment({"LLAMAHOME_PLUGINS": "a, no:b,", "LLAMAHOME_STRICT": "1"})
    assert policy == Policy(only=frozenset("a"), blocked=frozenset("b"), strict=True)

    for value in ("", "0", "false", " False "):
        assert not Policy.from_environment({"LLAMAHOME_STRICT": value}).strict
    for value in ("1", "true", "TRUE"):
        assert Policy.from_environment({"LLAMAHOME_STRICT": value}).strict
    with pytest.raises(ConfigError, match="must be true or false, got 'maybe'") as caught:
        Policy.from_environment({"LLAMAHOME_STRICT": "maybe"})
    assert caught.value.hint == "write 1 or true, or 0 or false"

    monkeypatch.setenv("LLAMAHOME_PLUGINS", "no:c")
    assert Policy.from_environment().blocked == {"c"}


def test_two_policies_together_allow_what_both_allow():
    ab, bc, not_b = Policy.parse("ab"), Policy.parse("bc", strict=True), Policy.parse(["no:b"])

    assert ab.narrowed(bc).only == frozenset("b")
    assert ab.narrowed(bc).strict
    assert ab.narrowed(Policy()) == ab
    assert Policy().narrowed(Policy()).only is None
    assert not ab.narrowed(not_b).allows("b")


# --- Objects


def test_an_object_is_a_plugin_named_after_itself():
    """A module, a class's name, or what the caller says."""
    module = types.ModuleType("my_tools")

    class Watch:
        pass

    assert from_object(module).name == "my-tools"
    assert from_object(Watch()).name == "watch"
    assert from_object(Watch(), "Other").name == "other"
    assert from_object(Watch()).origin == "embedded"
