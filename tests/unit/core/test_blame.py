"""Whoever fails is named: the component, its plugin, and the distribution that it came with."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import (
    ChatCodec,
    Component,
    DataError,
    Outcome,
    PluginError,
    Ref,
    SecretError,
    Service,
    hookimpl,
)
from llamahome_core.blame import PROTOCOLS, accused, at_fault, blame, culprit, lacking
from llamahome_core.components import Kind
from llamahome_core.discovery import Plugin, discover
from llamahome_core.protocols import ModelSource, Schedule

WHO = r"optimizer 'adamw' of plugin 'parts' \(embedded\)"


@pytest.fixture
def context(make_kernel, tables):
    kernel = make_kernel()
    return kernel.context(kernel.plan(tables))


def test_every_kind_has_its_protocol() -> None:
    assert set(PROTOCOLS) == {kind.value for kind in Kind}


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(0), GeneratorExit("no")])
def test_a_factory_that_raises_is_named(context, fakes, error):
    def build(*_: Any) -> Any:
        raise error

    fakes.build = build

    with pytest.raises(PluginError, match=f"{WHO} failed: {type(error).__name__}") as caught:
        context.build("optimizer")
    assert caught.value.__cause__ is error


def test_a_factory_that_makes_something_else_is_told_what_is_missing(context, fakes):
    class Half:
        learning_rate = 1.0

    fakes.build = lambda *_: Half()
    with pytest.raises(PluginError, match=f"{WHO} is no Optimizer: Half lacks elementwise, build"):
        context.build("optimizer")
    fakes.build = lambda *_: None
    with pytest.raises(PluginError, match=f"{WHO} gave None instead of the object"):
        context.build("optimizer")
    del fakes.build
    with pytest.raises(PluginError, match=f"{WHO}: cannot import 'lh_fakes:build'"):
        context.build("optimizer")


def test_an_error_that_explains_itself_stays_what_it_is():
    with pytest.raises(SecretError), at_fault("it"):
        raise SecretError("no secret")


def test_what_only_inherits_from_its_protocol_lacks_what_has_no_default():
    class Empty(ModelSource): ...

    class Anything:
        def __getattr__(self, name: str) -> str:
            return name

    assert lacking(Empty(), ModelSource) == ["size", "fetch"]  # type: ignore[abstract]  # the same
    assert lacking(object(), ModelSource) == ["size", "pin", "fetch"]
    assert lacking(Anything(), Schedule) == []


def test_a_service_that_fails_is_named(make_kernel, fakes):
    context = make_kernel().context()

    def codec(_: Any) -> Any:
        raise OSError("no disk")

    fakes.codec = codec
    who = r"service ChatCodec of plugin 'parts' \(embedded\)"
    with pytest.raises(PluginError, match=f"{who} failed: OSError: no disk"):
        context.get(ChatCodec)
    fakes.codec = lambda _: None
    with pytest.raises(PluginError, match=f"{who} gave None"):
        context.get(ChatCodec)


MODULE = """
from llamahome_core import Component, Stage, hookimpl

class Part:
    def __init__(self, config, context): ...
    def factor(self, step, total):
        return {}["nothing"]

def helper():
    raise SystemExit(0)

@hookimpl
def llamahome_schedules():
    yield Component(name="wave", summary="", factory="lh_blame:Part")
"""


@pytest.fixture
def third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An installed plugin of a third party."""
    (tmp_path / "lh_blame.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("waves", "lh_blame", "llamahome")
    yield Plugin(name="waves", origin="lh-waves 1.0", entry=entry)
    sys.modules.pop("lh_blame", None)


def test_what_is_raised_in_the_midst_of_a_run_is_laid_on_whose_code_it_was(
    third, make_kernel, fakes, tables
):
    """The component where it is one's method, else the plugin; the error itself is the cause."""
    tables["schedule"] = {"use": "wave"}
    kernel = make_kernel(plugins=[third])
    fakes.work = lambda context: context.build("schedule").factor(0, 1)

    outcome = kernel.run(tables)

    assert isinstance(outcome.error, PluginError)
    who = "schedule 'wave' of plugin 'waves' (lh-waves 1.0)"
    assert outcome.error.message == f"{who} failed: KeyError: 'nothing'"
    assert "tell the makers of lh-waves 1.0" in str(outcome.error.hint)
    assert isinstance(outcome.error.__cause__, KeyError)
    fakes.work = lambda _: sys.modules["lh_blame"].helper()
    outcome = kernel.run(tables)
    assert "plugin 'waves' (lh-waves 1.0) failed: SystemExit: 0" in str(outcome.error)


def test_an_error_of_anybody_else_stays_as_it_is(third, make_kernel, fakes, tables):
    """LlamaHome's own, and that of the program that embeds the kernel: its stage is named."""
    error = RuntimeError("ours")

    def work(_: Any) -> None:
        raise error

    fakes.work = work

    failed = make_kernel(plugins=[third]).run(tables).error
    assert failed.__cause__ is error
    assert str(failed).startswith("stage 'work' of plugin parts (embedded) failed: RuntimeError")
    assert accused(error, [third], []) is error


def test_a_default_stays_llamahomes_own(make_kernel, tables):
    """Where a third party offers a component of the same name; the resolved recipe says which."""

    class Own:
        @hookimpl
        def llamahome_schedules(self):
            yield Component(name="cosine", summary="x", factory="a:b")

        @hookimpl
        def llamahome_services(self):
            yield Service(protocol=Schedule, factory="a:b", summary="x")

    entry: Any = type("Entry", (), {"load": lambda _: Own(), "value": "a"})()
    ours = Plugin(name="training", origin="llamahome 1.0", entry=entry)
    kernel = make_kernel(plugins=[ours])  # the fakes offer a cosine too

    plan = kernel.plan(tables)

    assert plan.resolved["schedule"]["use"] == "training:cosine"
    assert kernel.plan(dict(plan.resolved)).recipe.chosen["schedule"].plugin == "training"
    assert kernel.catalog.provider(Schedule)[0] is ours


# --- Whose fault


@pytest.fixture
def flat(make_plugin: Any) -> Plugin:
    found: Plugin = make_plugin(
        "flat",
        "x = 1",
        flat="import json\ndef fail(call=None):\n    (call or json.loads)('{')\n",
        lost="import lh_nowhere",
    )
    return found


def raised(call: Any, *arguments: Any) -> BaseException:
    try:
        call(*arguments)
    except Exception as error:  # noqa: BLE001  # it is what is looked at
        return error
    raise AssertionError


def test_an_error_is_the_fault_of_the_plugin_nearest_to_it(flat):
    """What a library raises, the plugin that called it has to answer for."""
    fail = Ref("llamahome_flat.flat:fail").load()
    own: list[Plugin] = [p for p in discover() if p.is_own]
    error = raised(fail)

    assert culprit(error, [*own, flat]) == flat
    assert blame(error, [*own, flat]) == " (in plugin flat (llamahome-flat 1.0))"
    assert blame(error, own) == ""
    assert blame(raised(json.loads, "{"), [flat]) == ""


def test_what_llamahome_raises_below_a_plugin_is_not_the_plugins_fault(flat):
    """Its own data plugin refuses a row, whoever asked it to read it."""
    fail = Ref("llamahome_flat.flat:fail").load()
    own = [p for p in discover() if p.is_own]
    names: dict[str, Any] = {"__name__": "llamahome_data.made_up"}
    exec("def refuse(text):\n    raise ValueError(text)", names)  # noqa: S102  # a frame of that name

    error = raised(fail, names["refuse"])

    assert culprit(error, [*own, flat]) is None
    assert accused(error, [*own, flat], []) is error


def test_what_cannot_be_imported_has_an_owner_too(flat):
    error = raised(Ref("llamahome_flat.lost:X").load)

    assert isinstance(error, PluginError)
    assert culprit(error, [flat]) is flat


def test_an_error_that_names_its_plugin_does_not_name_it_twice(flat):
    def refuse(_: str) -> None:
        raise DataError("flat (llamahome-flat 1.0) has no rows")

    assert blame(raised(Ref("llamahome_flat.flat:fail").load(), refuse), [flat]) == ""


def test_a_run_that_fails_in_a_plugin_names_it(make_kernel, tables, fakes, flat):
    """In the event that people and monitors read."""
    fakes.work = lambda _: Ref("llamahome_flat.flat:fail").load()()
    end = end_of(make_kernel(plugins=[flat]).run(tables))

    named = "plugin 'flat' (llamahome-flat 1.0) failed: json.decoder.JSONDecodeError: "
    assert end["error"].startswith(named)


def test_who_wraps_a_run_is_not_blamed_for_what_passes_through(
    make_kernel, tables, fakes, make_plugin
):
    """Only for what it raises itself."""
    wrapper = "from llamahome_core import hookimpl\n@hookimpl(wrapper=True)\n"
    code = "def llamahome_execute(run):\n    return (yield) if run.name != 'small-2' else 1 / 0\n"
    kernel = make_kernel(plugins=[make_plugin("timing", wrapper + code)])

    def refuse(_: Any) -> None:
        raise DataError("row 3 is wrong")

    fakes.work = refuse

    assert end_of(kernel.run(tables))["error"] == "row 3 is wrong"
    assert "plugin 'timing' (llamahome-timing 1.0) failed" in end_of(kernel.run(tables))["error"]


def end_of(outcome: Outcome) -> dict[str, Any]:
    """The event that says how a run ended."""
    assert outcome.directory is not None
    line = (outcome.directory / "events.jsonl").read_text().splitlines()[-1]
    found: dict[str, Any] = json.loads(line)
    return found
