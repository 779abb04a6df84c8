"""The catalog finds a component by its name, says who owns it, and what was perhaps meant."""

from __future__ import annotations

from typing import Any

import pytest

from llamahome_core import (
    AmbiguousNameError,
    BrokenPluginError,
    Check,
    Command,
    Component,
    Defaults,
    Kind,
    PackagedRecipe,
    PluginError,
    Service,
    Stage,
    UnknownNameError,
    hookimpl,
)
from llamahome_core.discovery import Policy, from_object
from llamahome_core.plugins import Plugins
from llamahome_core.protocols import Cache
from llamahome_core.registry import Catalog


def offers(name: str, **records: list[Any]) -> Any:
    """A plugin called *name* whose hook ``llamahome_<key>`` gives the records."""

    def hook(key: str, given: list[Any]) -> Any:
        def implementation() -> list[Any]:
            return given

        implementation.__name__ = f"llamahome_{key}"
        return staticmethod(hookimpl(implementation))

    body = {f"llamahome_{key}": hook(key, given) for key, given in records.items()}
    return from_object(type(name, (), body)(), name)


def catalog(*plugins: Any, strict: bool = True) -> Catalog:
    return Catalog(Plugins(plugins, Policy(strict=strict)))


def cache(name: str) -> Component:
    return Component(name=name, summary="", factory="a:b")


def test_a_bare_name_finds_the_one_that_has_it():
    found = catalog(offers("a", caches=[cache("lru")]), offers("b", caches=[cache("ttl")]))

    plugin, component = found.find(Kind.CACHE, "ttl")
    assert (plugin.name, component.name) == ("b", "ttl")


def test_a_name_that_two_offer_is_an_error_only_where_it_is_used():
    """Both owners are named, and ``plugin:name`` means one."""
    found = catalog(offers("a", caches=[cache("lru")]), offers("b", caches=[cache("lru")]))

    with pytest.raises(AmbiguousNameError, match=r"a:lru \(from embedded\), b:lru") as caught:
        found.find(Kind.CACHE, "lru")
    assert caught.value.hint == 'write use = "a:lru"'
    assert found.find(Kind.CACHE, "b:lru")[0].name == "b"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lur", "did you mean 'lru'?"),
        ("a:lur", "did you mean 'a:lru'?"),
        ("b:lru", "did you mean 'lru'?"),
        ("wholly-other", "installed: lru, ttl"),
    ],
)
def test_an_unknown_name_gets_a_suggestion_or_the_list(name, hint):
    found = catalog(offers("a", caches=[cache("lru"), cache("ttl")]))

    with pytest.raises(UnknownNameError, match=f"no cache is called '{name}'") as caught:
        found.find(Kind.CACHE, name)
    assert caught.value.hint == hint


def test_where_nothing_is_installed_it_says_so():
    with pytest.raises(UnknownNameError) as caught:
        catalog().find(Kind.DATA_SOURCE, "jsonl")
    assert caught.value.message == "no data source is called 'jsonl'"
    assert caught.value.hint == "installed: none"


class Bad:
    @hookimpl
    def llamahome_caches(self) -> Any:
        raise RuntimeError("boom")


def test_a_name_that_a_broken_plugin_might_have_offered_names_that_plugin():
    """With its error, and not as if the name were misspelt."""
    found = catalog(from_object(Bad()), offers("a", caches=[cache("lru")]), strict=False)

    with pytest.raises(
        BrokenPluginError, match=r"'redis'.* did not load: bad \(embedded: RuntimeError: boom\)"
    ) as caught:
        found.find(Kind.CACHE, "redis")
    assert caught.value.hint == "llamahome plugins check bad"
    # A misspelling of what is there is more likely than a lost plugin.
    with pytest.raises(UnknownNameError):
        found.find(Kind.CACHE, "lur")
    # Where the broken plugin is named, there is no doubt.
    with pytest.raises(BrokenPluginError):
        found.find(Kind.CACHE, "bad:lru")
    with pytest.raises(UnknownNameError):
        found.find(Kind.CACHE, "a:redis")


def service(factory: str = "a:b") -> Service:
    return Service(protocol=Cache, factory=factory, summary="")


def test_a_protocol_has_one_provider():
    """Two are an error that names both and the way out; none is an error too."""
    one = catalog(offers("a", services=[service()]))
    assert one.service(Cache) == service()
    assert [(p.name, s) for p, s in one.services()] == [("a", service())]

    with pytest.raises(UnknownNameError, match="no active plugin provides Cache"):
        catalog().service(Cache)
    two = catalog(offers("a", services=[service()]), offers("b", services=[service("c:d")]))
    with pytest.raises(AmbiguousNameError, match=r"a .embedded. and b .* both provide") as caught:
        two.service(Cache)
    assert caught.value.hint == "keep one: llamahome -p no:b …"


def stage(name: str, *after: str) -> Stage:
    return Stage(name=name, summary="", run="a:b", after=after)


def order(*stages: Stage) -> list[str]:
    return [stage.name for _, stage in catalog(offers("a", stages=list(stages))).stages()]


def test_stages_run_after_what_they_ask_for_else_by_name():
    """The order is the same whatever the order of declaration; unknown names are not waited for."""
    stages = [
        stage("publish", "train"),
        stage("train", "prepare", "no-such"),
        stage("prepare", "fetch"),
        stage("fetch"),
        stage("alpha"),
    ]

    assert order(*stages) == order(*reversed(stages))
    assert order(*stages) == ["alpha", "fetch", "prepare", "train", "publish"]


def test_stages_that_wait_for_each_other_are_named():
    with pytest.raises(PluginError, match=r"stages wait for each other: .*b.* → "):
        order(stage("a", "b"), stage("b", "c"), stage("c", "a"))
    with pytest.raises(PluginError, match="a → a"):
        order(stage("a", "a"))


def test_two_stages_of_one_name_are_an_error_that_names_both_plugins():
    """Which of them runs must not depend on chance."""
    with pytest.raises(PluginError, match=r"a \(embedded\) and b \(embedded\) both declare"):
        catalog(offers("a", stages=[stage("train")]), offers("b", stages=[stage("train")])).stages()


def test_of_commands_and_recipes_with_one_name_the_first_plugins_is_kept():
    def command(name: str) -> Command:
        return Command(name="count", summary=name, command="a:b")

    def recipe(name: str) -> PackagedRecipe:
        return PackagedRecipe(name="haiku", summary=name, package="p", file="f.toml")

    found = catalog(
        offers("b", commands=[command("second")], recipes=[recipe("second")]),
        offers("a", commands=[command("first")], recipes=[recipe("first")]),
    )

    assert found.commands()["count"][1].summary == "first"
    assert found.recipes()["haiku"][0].name == "a"


def test_checks_and_defaults_keep_their_owner():
    check = Check(name="disk", summary="", run="a:b")
    defaults = Defaults(tables={"train": {"epochs": 2}})
    found = catalog(offers("a", checks=[check], defaults=[defaults]))

    assert [(p.name, r) for p, r in found.checks()] == [("a", check)]
    assert [(p.name, r) for p, r in found.defaults()] == [("a", defaults)]


def test_a_hook_is_called_once_per_kernel():
    """However often its kind is asked for."""
    calls = []

    class Counts:
        @hookimpl
        def llamahome_caches(self) -> list[Component]:
            calls.append(1)
            return [cache("lru")]

    found = catalog(from_object(Counts()))
    found.find(Kind.CACHE, "lru")
    found.components(Kind.CACHE)

    assert calls == [1]
