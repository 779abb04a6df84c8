"""A kernel without the installed plugins: every part of a recipe is a fake that tests change."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen, validators

from llamahome_core import Component, Kernel, NoSettings, Service, Stage, files, hookimpl
from llamahome_core.discovery import Plugin, Policy
from llamahome_core.protocols import ChatCodec


@frozen(kw_only=True)
class RowsConfig:
    """Settings of the data source ``rows``."""

    path: Path
    """A file."""
    also: tuple[Path, ...] = ()
    """More files."""
    limit: int | None = field(default=None, validator=validators.optional(validators.gt(0)))
    """Most rows."""


@frozen(kw_only=True)
class RateConfig:
    """Settings of the optimizer ``adamw``."""

    learning_rate: float = 1e-3
    """The peak."""


class Parts:
    """A plugin that offers a component for each table of a recipe, and one stage."""

    __name__ = "parts"

    @hookimpl
    def llamahome_model_sources(self) -> Iterable[Component]:
        yield self.part("hub", RateConfig)

    @hookimpl
    def llamahome_data_sources(self) -> Iterable[Component]:
        yield self.part("rows", RowsConfig)

    @hookimpl
    def llamahome_objectives(self) -> Iterable[Component]:
        yield self.part("sft")

    @hookimpl
    def llamahome_adapters(self) -> Iterable[Component]:
        yield self.part("full")

    @hookimpl
    def llamahome_optimizers(self) -> Iterable[Component]:
        yield self.part("adamw", RateConfig)

    @hookimpl
    def llamahome_schedules(self) -> Iterable[Component]:
        yield self.part("cosine")

    @hookimpl
    def llamahome_trainers(self) -> Iterable[Component]:
        yield self.part("torch")

    @hookimpl
    def llamahome_caches(self) -> Iterable[Component]:
        yield self.part("lru")

    @hookimpl
    def llamahome_stores(self) -> Iterable[Component]:
        yield self.part("local")

    @hookimpl
    def llamahome_stages(self) -> Iterable[Stage]:
        yield Stage(name="work", summary="What the test says.", run="lh_fakes:work")

    @hookimpl
    def llamahome_services(self) -> Iterable[Service]:
        yield Service(protocol=ChatCodec, factory="lh_fakes:codec", summary="A codec.")

    @staticmethod
    def part(name: str, config: type = NoSettings) -> Component:
        return Component(name=name, summary=f"The {name}.", config=config, factory="lh_fakes:build")


class Built(tuple[Any, Any]):
    """What a fake component was built from; it has whatever method it is asked for."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that the fake components name; a test replaces what is in it."""
    module: Any = types.ModuleType("lh_fakes")
    module.work = lambda _: None
    module.build = lambda config, context: Built((config, context))
    module.codec = lambda context: ["codec of", context]
    monkeypatch.setitem(sys.modules, "lh_fakes", module)
    return module


@pytest.fixture
def make_kernel(fakes: Any, workspace: Any, tmp_path: Path) -> Callable[..., Kernel]:
    """Makes a strict kernel over the fakes, further plugin objects, and nothing installed."""
    assert fakes.__name__ == "lh_fakes"

    def make(*extra: Any, **more: Any) -> Kernel:
        settings: dict[str, Any] = {
            "policy": Policy(strict=True),
            "workspace": workspace,
            "environ": {},
            "user_file": tmp_path / "user.toml",
        }
        plugins: list[Plugin] = more.pop("plugins", [])
        return Kernel(plugins, extra=[Parts(), *extra], **settings | more)

    return make


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Any]:
    """The smallest recipe of the fakes."""
    return {
        "name": "small",
        "model": {"from": "some:model"},
        "data": [{"use": "rows", "path": str(tmp_path / "rows.jsonl")}],
    }


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """A complete folder of two files, one in a folder of its own."""
    target = tmp_path / "store" / "thing"
    with files.new_folder(target, lambda: {"kind": "test"}) as folder:
        (folder / "a.txt").write_text("alpha")
        (folder / "sub").mkdir()
        (folder / "sub" / "b.txt").write_text("beta")
    return target
