"""The names of the kit are pinned: authors of plugins have them in their tests."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from llamahome_core import Kind, testing

CONTRACTS = """
AdapterContract CacheContract ChatCodecContract DataSourceContract GeneratorContract
ModelSourceContract ModelsContract MonitorContract ObjectiveContract OptimizerContract
RegistryContract ScheduleContract StoreContract TrainerContract TransformContract
""".split()  # noqa: SIM905  # a list of names says no more
FIXTURES = [
    "hook_recorder",
    "kernel",
    "make_plugin",
    "recipe",
    "run_cli",
    "tiny_model",
    "workspace",
]
OTHERS = ["ByteCodec", "CliResult", "HookCall", "HookRecorder", "check_plugin"]


def claims(contract: Any) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


def test_the_public_names_are_these():
    """A change here is a change of the plugin API: it needs a line in the changelog."""
    assert sorted(testing.__all__) == sorted([*CONTRACTS, *FIXTURES, *OTHERS])


def test_every_kind_has_a_contract():
    """A new kind of component needs one, before anybody writes the second of it."""
    names = {f"{kind.title.title().replace(' ', '')}Contract" for kind in Kind}

    assert names <= set(CONTRACTS)


@pytest.mark.parametrize("name", [*CONTRACTS, *FIXTURES, *OTHERS])
def test_each_says_what_it_is(name):
    assert inspect.getdoc(getattr(testing, name))


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_test_of_a_contract_says_what_it_claims(name):
    """Its name and its docstring are what an author reads when it fails."""
    contract = getattr(testing, name)

    assert len(claims(contract)) >= 2
    assert all(inspect.getdoc(getattr(contract, test)) for test in claims(contract))
