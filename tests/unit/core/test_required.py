"""What a recipe requires is checked first, and what a plugin requires of LlamaHome is told."""

from __future__ import annotations

from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from llamahome_core import BrokenPluginError, ConfigError, RequirementError
from llamahome_core.discovery import Plugin, Policy, discover
from llamahome_core.required import check_required
from llamahome_core.requirements import misfit

GOOD = "from llamahome_core import hookimpl\n@hookimpl\ndef llamahome_schedules():\n    return ()\n"


@pytest.fixture
def plugin(make_plugin: Any) -> Plugin:
    found: Plugin = make_plugin("flat", GOOD)
    return found


@pytest.mark.parametrize("text", ["a b c", "llamahome>>1", "==1", "llamahome; when > 2"])
@pytest.mark.parametrize("suffix", ["toml", "yaml", "json"])
def test_what_is_no_requirement_is_told_with_its_line(make_kernel, tmp_path, text, suffix):
    """Before anything is looked for, with the place in the file."""
    import json

    path = tmp_path / f"recipe.{suffix}"
    words = json.dumps(["attrs", text])
    path.write_text(
        {
            "toml": f"name = 'x'\nrequired = {words}\n",
            "yaml": f"name: x\nrequired: {words}\n",
            "json": f'{{"name": "x",\n"required": {words}}}\n',
        }[suffix]
    )

    with pytest.raises(ConfigError) as caught:
        make_kernel().plan(path)

    (problem,) = [p for p in caught.value.problems if p.path[0] == "required"]
    assert problem.path == ("required", 1)
    assert str(problem.place).startswith(f"{path}:2:")
    assert problem.message.startswith(f"{text!r} is no requirement: ")


def test_all_that_is_missing_is_one_error_with_its_place_and_one_command(make_kernel, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('required = ["lh-a>=1", "attrs>=999", "lh-b", "attrs>=20"]\n')

    with pytest.raises(RequirementError) as caught:
        make_kernel().plan(path)

    assert caught.value.message.startswith(
        f"{path}:1:12: required: lh-a is not installed; attrs>=999, and "
    )
    assert caught.value.hint == "pip install --upgrade 'lh-a>=1' 'attrs>=999' 'lh-b'"
    assert caught.value.exit_code == 3


def test_a_requirement_of_other_machines_is_passed_over():
    check_required(["lh-not-there; sys_platform == 'nowhere'"], [])


@pytest.mark.parametrize("status", ["blocked", "broken", "shadowed", "active"])
def test_what_is_installed_and_kept_out_is_no_better_than_absent(plugin, status):
    """Whatever the spelling of its name; the reason is told."""
    reasons = {"blocked": "-p blocks it", "broken": None}
    error = ImportError("no luck") if status == "broken" else None
    found = evolve(plugin, status=status, reason=reasons.get(status), error=error)
    if status == "active":
        check_required(["LlamaHome_Flat>=1"], [found])
        return

    with pytest.raises(RequirementError) as caught:
        check_required(["LlamaHome_Flat>=1"], [found])

    why = {"blocked": ": -p blocks it", "broken": ": ImportError: no luck", "shadowed": ""}[status]
    told = f"required: the plugin flat (llamahome-flat 1.0) is {status}{why}"
    assert caught.value.message == told
    assert caught.value.hint == "llamahome plugins"


def test_a_recipe_may_require_llamahome_and_block_a_plugin_of_it():
    """It asks for a version, not for each part."""
    own = [evolve(plugin, status="blocked") for plugin in discover() if plugin.is_own]

    check_required(["llamahome"], own)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["llamahome>=2,<3"], "it asks for llamahome<3,>=2, and this is llamahome "),
        (["Llama.Home>=2"], None),
        (["LLAMAHOME>=2"], "it asks for LLAMAHOME>=2, and this is llamahome "),
        (["llamahome[train]>=2"], "it asks for llamahome[train]>=2, and"),
        (["attrs", "llamahome>=0.1"], None),
        (["llamahome>=2; extra == 'new'"], None),
        (["not a requirement at all"], None),
        ([], None),
    ],
)
def test_what_a_plugin_asks_of_llamahome_is_compared_with_it(tmp_path, lines, told):
    (tmp_path / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: x\nVersion: 1\n"
        + "".join(f"Requires-Dist: {line}\n" for line in lines)
    )

    found = misfit(PathDistribution(tmp_path))

    assert found is None if told is None else str(found).startswith(told)


def test_a_broken_plugin_that_asks_for_another_llamahome_says_so(make_kernel, make_plugin):
    """In its reason, in the error of --strict, and in that of a recipe."""
    plugin: Plugin = make_plugin("old", "from llamahome_core import gone_since_2")
    assert plugin.entry
    assert plugin.entry.dist
    site = Path(str(plugin.entry.dist.locate_file("")))
    with (site / "llamahome_old-1.0.dist-info" / "METADATA").open("a") as file:
        file.write("Requires-Dist: llamahome>=2\n")
    (plugin,) = [p for p in discover() if p.name == "old"]

    kernel = make_kernel(plugins=[plugin], policy=Policy())

    assert str(kernel.plugins.broken[0].why).startswith("ImportError: cannot import name ")
    assert "; it asks for llamahome>=2, and this is" in str(kernel.plugins.broken[0].why)
    again = evolve(plugin, status="found", error=None)
    with pytest.raises(BrokenPluginError, match="it asks for llamahome>=2"):
        make_kernel(plugins=[again])
