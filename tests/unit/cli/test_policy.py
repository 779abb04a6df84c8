"""``plugins enable``, ``disable`` and ``lock`` say what they did, where, and what still stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from llamahome_core import Kernel
from llamahome_core.cli import main
from llamahome_core.cli.completion import answer
from llamahome_core.cli.main import State, llamahome
from llamahome_core.deprecated import LlamaHomeRemovedIn2Warning
from llamahome_core.discovery import Plugin, Policy, discover
from llamahome_core.hookspecs import hookspec

CODE = "from llamahome_core import hookimpl\n@hookimpl\ndef llamahome_schedules():\n    return ()\n"


@pytest.fixture
def flat(make_plugin: Any) -> Plugin:
    """An installed plugin of a third party."""
    found: Plugin = make_plugin("flat", CODE)
    return found


@pytest.fixture
def type_(kernel: Kernel, flat: Plugin, capsys: Any, monkeypatch: Any) -> Callable[..., Any]:
    """Types a command in a process of its own, as far as the plugins go: code, out, err."""
    monkeypatch.delenv("LLAMAHOME_PLUGINS", raising=False)

    def make(policy: Policy) -> Kernel:
        found = [p for p in discover() if p.is_own]
        return Kernel(
            [*found, evolve(flat, status="found", reason=None, digest=None)],
            policy=policy,
            workspace=kernel.workspace,
            environ={},
            user_file=kernel.user_file,
        )

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words), state=State(make=make))
        out, err = capsys.readouterr()
        return int(str(ended.value.code)), out, err

    return run


def test_disable_and_enable_say_what_they_changed_and_where(type_, kernel):
    path = kernel.workspace.config / "llamahome.toml"

    assert type_("plugins", "disable", "flat") == (0, f"flat: disabled in {path}\n", "")
    listed = next(line for line in type_("plugins")[1].splitlines() if line.startswith("flat"))
    assert "blocked" in listed
    assert f"plugins.block ({path}:2:9) blocks it" in listed
    assert type_("plugins", "enable", "flat") == (0, f"flat: enabled in {path}\n", "")
    code, out, _ = type_("plugins", "enable", "flat")
    assert (code, out) == (0, "flat: enabled already; nothing is changed\n")


def test_what_another_layer_still_says_is_told(type_, monkeypatch):
    type_("plugins", "disable", "flat")
    monkeypatch.setenv("LLAMAHOME_PLUGINS", "no:flat")

    code, _, err = type_("plugins", "enable", "flat")

    assert (code, err) == (0, "it does not load yet: LLAMAHOME_PLUGINS blocks it\n")


def test_a_stronger_list_that_lets_it_load_is_told(type_, kernel):
    """A list of the profile, or of the environment, replaces that of the file."""
    (kernel.workspace.root / ".env").write_text("LLAMAHOME_PLUGINS__BLOCK=[]\n")

    assert "it loads all the same: a stronger layer" in type_("plugins", "disable", "flat")[2]


def test_switching_has_a_form_for_scripts(type_, kernel):
    document = json.loads(type_("plugins", "disable", "flat", "--user", "--json")[1])

    assert document == {
        "schema": "llamahome.plugins-switch/1",
        "name": "flat",
        "action": "disabled",
        "files": [str(kernel.user_file)],
        "block": ["flat"],
        "enable": None,
        "active": False,
        "reason": f"plugins.block ({kernel.user_file}:2:9) blocks it",
    }


def test_an_unknown_name_is_refused_with_the_nearest(type_):
    code, out, err = type_("plugins", "disable", "flatt")

    assert (code, out) == (4, "")
    assert "did you mean 'flat'?" in err


def test_settings_that_cannot_be_read_are_told_first(type_, kernel):
    (kernel.workspace.config / "llamahome.toml").write_text("[plugins]\nblock = 1\n")

    assert [type_("plugins", word, "flat")[0] for word in ("enable", "disable")] == [2, 2]
    assert type_("plugins", "lock")[0] == 2


# --- The lock


def test_lock_writes_check_compares_and_what_differs_does_not_load(type_, flat):
    code, out, err = type_("plugins", "lock")
    assert (code, "flat (llamahome-flat 1.0)  sha256:" in out) == (0, True)
    assert "llamahome config set plugins.locked true" in err
    assert type_("plugins", "lock", "--check")[:2] == (0, "9 plugins are what the lock says\n")
    assert flat.entry
    assert flat.entry.dist
    (flat.entry.dist.locate_file("llamahome_flat/plugin.py")).write_text("x = 1")

    told = "the files of llamahome-flat 1.0 are not those that were locked"
    assert type_("plugins", "lock", "--check")[:2] == (1, f"flat: {told}\n")
    document = json.loads(type_("plugins", "lock", "--check", "--json")[1])
    assert (document["ok"], document["drifts"]) == (False, [{"plugin": "flat", "drift": told}])
    assert f"drift: {told}" in type_("--locked", "plugins")[1]
    code, out, _ = type_("--locked", "plugins", "check", "flat")
    assert (code, f"problem: the plugin is blocked: drift: {told}" in out) == (1, True)
    assert "drift" not in type_("plugins")[1]


def test_what_is_blocked_is_left_out_of_the_lock(type_):
    """Whoever lets it load later has to look at it."""
    type_("plugins", "disable", "flat")
    document = json.loads(type_("plugins", "lock", "--json")[1])

    assert "flat" not in document["plugins"]
    type_("plugins", "enable", "flat")
    assert "is not in plugins.lock" in type_("--locked", "plugins", "enable", "flat")[2]


def test_without_a_lock_a_locked_start_ends_with_the_command_that_writes_one(type_):
    code, _, err = type_("--locked", "plugins")

    assert code == 2
    assert "plugins are locked, and " in err
    assert "fix: llamahome plugins lock" in err
    assert type_("plugins", "lock", "--check")[0] == 2
    assert type_("--locked", "plugins", "check", "flat")[0] == 2, "it is not even tried"
    assert type_("--locked", "plugins", "lock")[0] == 0


# --- What -p keeps out is not even loaded for an answer


@pytest.fixture
def kept_out(kernel: Kernel, monkeypatch: Any) -> Callable[..., Policy]:
    """Calls a function with a `State`; gives the policy that the kernel was made with."""
    monkeypatch.delenv("LLAMAHOME_PLUGINS", raising=False)

    def run(call: Callable[[State], Any]) -> Policy:
        made: list[Policy] = []

        def make(policy: Policy) -> Kernel:
            made.append(policy)
            return kernel

        call(State(make=make))
        (policy,) = made
        return policy

    return run


@pytest.mark.parametrize("words", ["--locked -p no:caches --help", "--help -p no:caches --locked"])
def test_help_loads_nothing_that_is_kept_out(words, kept_out):
    def ask(state: State) -> None:
        with pytest.raises(SystemExit):
            main(words.split(), state=state)

    policy = kept_out(ask)

    assert (policy.blocked, policy.locked) == ({"caches"}, True)


@pytest.mark.parametrize("words", ["", "nothing-of-ours ", "plugins check "])
def test_a_completion_loads_nothing_that_is_kept_out(words, kept_out, monkeypatch):
    """Neither for the names of commands nor for those of plugins."""
    monkeypatch.setenv("_LLAMAHOME_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_LINE", f"llamahome --locked -p no:caches {words}")

    policy = kept_out(partial(answer, llamahome))

    assert (policy.blocked, policy.locked) == ({"caches"}, True)


def test_a_misspelt_name_loads_nothing(monkeypatch, capsys):
    """It was perhaps to keep out what would be loaded."""
    monkeypatch.delenv("LLAMAHOME_PLUGINS", raising=False)
    state = State(process=True, make=lambda _: pytest.fail("plugins are loaded"))

    with pytest.raises(SystemExit) as ended:
        main(["-p", "no:traaining", "plugins"], state=state)

    assert ended.value.code == 4
    assert "did you mean 'training'?" in capsys.readouterr().err


# --- Owners and deprecations


def test_doctor_names_the_owner_and_the_reason_of_what_is_blocked(type_):
    out = type_("-p", "no:flat", "doctor")[1]

    assert "flat (llamahome-flat 1.0) is blocked: -p blocks it" in out


def test_components_of_third_parties_are_marked_in_the_overview(cli, kernel, plugin, over):
    from llamahome_core import Component

    def stores() -> Any:
        yield Component(name="odd", summary="Odd.", factory="nowhere:Thing")

    result = cli("show", over=over(kernel, plugin("far", llamahome_stores=stores)))

    assert "odd (from far (embedded)), local" in result.out


@hookspec(warn_on_impl=LlamaHomeRemovedIn2Warning("it goes in 2.0: implement another"))
def llamahome_olds() -> None:
    """A hook that goes away."""


@pytest.mark.filterwarnings("ignore::llamahome_core.deprecated.LlamaHomeDeprecationWarning")
def test_a_deprecated_hook_is_a_warning_of_the_list_and_of_a_check(
    cli, kernel, over, plugin, monkeypatch
):
    """With its owner; the exit code is 0."""
    from llamahome_core import hookspecs

    monkeypatch.setattr(hookspecs, "llamahome_olds", llamahome_olds, raising=False)
    more = over(kernel, plugin("old", llamahome_olds=lambda: None))

    listed, checked = cli("plugins", over=more), cli("plugins", "check", "old", over=more)

    assert "warning: old (embedded): llamahome_olds (" in listed.err
    assert "it goes in 2.0: implement another" in listed.err
    assert (listed.code, checked.code) == (0, 0)
    assert "warning: old (embedded): llamahome_olds (" in checked.out


def test_plan_and_check_name_what_is_deprecated_and_where(cli, kernel, over, plugin, written):
    from attrs import field, frozen

    from llamahome_core import Component

    @frozen(kw_only=True)
    class Aged:
        slots: int = field(default=3, metadata={"deprecated": "write `entries`"})

    def monitors() -> Any:
        yield Component(name="aged", summary="Old.", config=Aged, factory="nowhere:Thing")

    recipe = json.loads(written.read_text()) | {"monitor": [{"use": "aged", "slots": 1}]}
    written.write_text(json.dumps(recipe, indent=1))
    more = over(kernel, plugin("aging", llamahome_monitors=monitors))

    for words in (("check",), ("plan",)):
        result = cli(*words, str(written), over=more)
        assert result.code == 0
        assert ": `monitor.0.slots` is deprecated: write `entries`" in result.err


def test_a_run_shows_the_plugins_of_third_parties(cli, write_run, kernel):
    directory = write_run(kernel, "bot-1", "finished", {"t": "run"})
    (directory / "plugins.json").write_text(
        '{"data": {"distribution": "llamahome", "version": "0.1.0"},'
        ' "flat": {"distribution": "llamahome-flat", "version": "1.0"}}'
    )

    lines = cli("runs", "show", "bot-1").out.splitlines()

    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("plugin ")] == [
        "flat (llamahome-flat 1.0)"
    ]
    assert len(json.loads(cli("runs", "show", "bot-1", "--json").out)["plugins"]) == 2
