"""What a plugin declares is checked when it is declared, and imported when it is used."""

from __future__ import annotations

import sys

import pytest

from llamahome_core import (
    Check,
    Command,
    Component,
    Kind,
    NoSettings,
    PluginError,
    Ref,
    Service,
    Stage,
    UnavailableError,
)
from llamahome_core.protocols import Cache


def part(**changes):
    return Component(**{"name": "part", "summary": "", "factory": "json:loads"} | changes)


@pytest.mark.parametrize("name", ["lru", "zero-3", "x", "a1-b2"])
def test_a_name_is_lower_case_with_digits_and_hyphens(name):
    assert part(name=name).name == name


@pytest.mark.parametrize("name", ["", "Lru", "a_b", "-a", "a-", "1a", "a--b", "a b", "a:b", "a\n"])
def test_any_other_name_is_refused(name):
    for make in (
        lambda: part(name=name),
        lambda: Command(name=name, summary="", command="a:b"),
        lambda: Stage(name=name, summary="", run="a:b"),
        lambda: Check(name=name, summary="", run="a:b"),
    ):
        with pytest.raises(ValueError, match="name"):
            make()


@pytest.mark.parametrize("path", ["json", "json:", ":loads", "a b:c", "json:loads()", "json:1", ""])
def test_a_reference_is_module_colon_attribute(path):
    with pytest.raises(ValueError, match="path"):
        part(factory=path)


@pytest.mark.parametrize("config", [dict, "text", NoSettings()])
def test_the_settings_class_is_an_attrs_class(config):
    """The mistake is found when the plugin declares, not when a recipe uses it."""
    with pytest.raises(TypeError, match="config must be an attrs class"):
        part(config=config)


def test_a_reference_is_imported_when_it_is_loaded(tmp_path, monkeypatch):
    """To declare costs nothing; an attribute of an attribute will do."""
    (tmp_path / "lh_heavy.py").write_text("class A:\n    b = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    ref = Ref("lh_heavy:A.b")
    assert "lh_heavy" not in sys.modules

    assert ref.load() == 5
    assert part(factory=ref).factory is ref
    del sys.modules["lh_heavy"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import lh_absent", "ModuleNotFoundError: No module named 'lh_absent'"),
        ("x = 1", "AttributeError"),
        ("x = (", "SyntaxError"),
    ],
)
def test_what_cannot_be_imported_says_why(tmp_path, monkeypatch, text, message):
    """Whatever the module does, even if it exits."""
    (tmp_path / "lh_bad.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lh_bad", raising=False)

    with pytest.raises(PluginError, match=f"cannot import 'lh_bad:A': {message}"):
        Ref("lh_bad:A").load()


def test_a_missing_module_is_found_without_importing_anything(tmp_path, monkeypatch):
    """A package's module too: its parent is not run to look for it."""
    package = tmp_path / "lh_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "there.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    needs = ("json", "lh_pkg", "lh_pkg.there", "lh_pkg.gone", "lh_gone", "lh_gone.sub", "json.x.y")

    component = part(needs=needs)

    assert component.missing() == ["lh_pkg.gone", "lh_gone", "lh_gone.sub", "json.x.y"]
    assert part(needs=("sys", "sys.x")).missing() == ["sys.x"]


def test_a_module_that_was_made_by_hand_is_there(fakes):
    """It has no spec, and the import system refuses to look for one."""
    assert fakes.__spec__ is None
    assert part(needs=("lh_fakes",)).missing() == []


@pytest.mark.parametrize(
    ("extra", "hint"),
    [
        (None, "pip install lh_a lh_b"),
        ("train", "pip install 'llamahome[train]'"),
        ("llamahome-foo>=1", "pip install 'llamahome-foo>=1'"),
    ],
)
def test_a_component_that_lacks_something_says_what_to_install(extra, hint):
    component = part(needs=("json", "lh_a", "lh_b"), extra=extra)

    with pytest.raises(UnavailableError, match="'part' needs lh_a, lh_b, which is") as caught:
        component.build(NoSettings(), None)
    assert caught.value.hint == hint
    assert caught.value.exit_code == 3


@pytest.mark.usefixtures("fakes")
def test_building_calls_the_factory_with_settings_and_context():
    assert part(factory="lh_fakes:build").build(1, 2) == (1, 2)


def test_each_kind_knows_its_hook_its_table_and_its_words():
    """The hook's name is the plural; three tables are arrays."""
    assert {kind.value: kind.hook for kind in Kind} == {
        "model": "llamahome_model_sources",
        "data": "llamahome_data_sources",
        "transform": "llamahome_transforms",
        "objective": "llamahome_objectives",
        "adapter": "llamahome_adapters",
        "optimizer": "llamahome_optimizers",
        "schedule": "llamahome_schedules",
        "trainer": "llamahome_trainers",
        "cache": "llamahome_caches",
        "store": "llamahome_stores",
        "monitor": "llamahome_monitors",
    }
    assert [kind.value for kind in Kind if kind.many] == ["data", "transform", "monitor"]
    assert Kind.DATA_SOURCE.title == "data source"


def test_records_are_frozen_and_compare_by_value():
    """They may be kept, shared and used as they are."""
    assert Service(protocol=Cache, factory="a:b", summary="") == Service(
        protocol=Cache, factory="a:b", summary=""
    )
    stage = Stage(name="s", summary="", run="a:b", plan="a:c")
    assert stage.plan == Ref("a:c")
    assert Stage(name="s", summary="", run="a:b").plan is None
    with pytest.raises(AttributeError):
        stage.name = "t"  # type: ignore[misc]  # that is the claim
