"""A kit for testing plugins with pytest; ``conftest.py`` asks for it, or it is not there.

    pytest_plugins = "llamahome_core.testing"

The fixtures are ``kernel``, ``recipe``, ``run_cli``, ``make_plugin``, ``hook_recorder``,
``workspace`` and ``tiny_model``. Nothing that is installed is discovered unless a test asks. A
contract class holds the tests of one kind of component: subclass it, and give the fixtures that
its docstring names. :func:`check_plugin` checks all that a plugin declares.
"""

from __future__ import annotations

import pytest

_PARTS = "data language learning monitors storage training transforms versions"
for _name in _PARTS.split():
    pytest.register_assert_rewrite(f"{__name__}.{_name}")  # also where the kit is only imported

from llamahome_core.checking import check_plugin
from llamahome_core.testing.codec import ByteCodec
from llamahome_core.testing.data import DataSourceContract, ModelsContract, ModelSourceContract
from llamahome_core.testing.fixtures import (
    CliResult,
    HookCall,
    HookRecorder,
    hook_recorder,
    kernel,
    make_plugin,
    recipe,
    run_cli,
    tiny_model,
    workspace,
)
from llamahome_core.testing.language import ChatCodecContract, GeneratorContract
from llamahome_core.testing.learning import ObjectiveContract, OptimizerContract, ScheduleContract
from llamahome_core.testing.monitors import MonitorContract
from llamahome_core.testing.storage import CacheContract, StoreContract
from llamahome_core.testing.training import AdapterContract, TrainerContract
from llamahome_core.testing.transforms import TransformContract
from llamahome_core.testing.versions import RegistryContract

__all__ = [
    "AdapterContract",
    "ByteCodec",
    "CacheContract",
    "ChatCodecContract",
    "CliResult",
    "DataSourceContract",
    "GeneratorContract",
    "HookCall",
    "HookRecorder",
    "ModelSourceContract",
    "ModelsContract",
    "MonitorContract",
    "ObjectiveContract",
    "OptimizerContract",
    "RegistryContract",
    "ScheduleContract",
    "StoreContract",
    "TrainerContract",
    "TransformContract",
    "check_plugin",
    "hook_recorder",
    "kernel",
    "make_plugin",
    "recipe",
    "run_cli",
    "tiny_model",
    "workspace",
]
