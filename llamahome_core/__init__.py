"""The LlamaHome kernel: discover plugins, resolve a recipe, plan, run, record.

These names are the whole public interface, with ``llamahome_core.files``, ``.records`` and
``.testing``; everything else may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamahome_core.aio import run_async
    from llamahome_core.commands import command_kernel, command_settings
    from llamahome_core.components import (
        Check,
        Command,
        Component,
        Defaults,
        Kind,
        NoSettings,
        PackagedRecipe,
        Ref,
        Service,
        Stage,
    )
    from llamahome_core.config import ConfigError, Problem
    from llamahome_core.context import Context, Stop
    from llamahome_core.errors import (
        AmbiguousNameError,
        BrokenPluginError,
        DataError,
        HeldError,
        IntegrityError,
        Interrupted,
        LlamaHomeError,
        ModelError,
        ModelNotFoundError,
        OfflineError,
        PluginError,
        RequirementError,
        RunError,
        RunLockedError,
        RunNotFoundError,
        SecretError,
        StorageError,
        TrainingError,
        UnavailableError,
        UnknownNameError,
        UnsafeModelError,
        WorkspaceError,
        suggest,
    )
    from llamahome_core.events import (
        Emitter,
        EventLog,
        NoEvents,
        follow_events,
        live_events,
        read_events,
    )
    from llamahome_core.hookspecs import hookimpl
    from llamahome_core.kernel import Kernel
    from llamahome_core.monitor_process import MonitorContext
    from llamahome_core.plan import Plan
    from llamahome_core.protocols import (
        Adapter,
        Cache,
        ChatCodec,
        DataSource,
        Generator,
        Models,
        ModelSource,
        Monitor,
        Objective,
        Optimizer,
        PreparedData,
        Progress,
        Registry,
        Schedule,
        Steps,
        Store,
        Trained,
        Trainer,
        Transform,
    )
    from llamahome_core.recipe import (
        Batch,
        CatalogueEntry,
        Checkpoint,
        Evaluate,
        Publish,
        Recipe,
        Sample,
        Selection,
        Train,
    )
    from llamahome_core.run import Run
    from llamahome_core.secrets import secret
    from llamahome_core.terminal import clean
    from llamahome_core.values import (
        CacheStats,
        Dropped,
        Encoded,
        EncodedChat,
        Example,
        Message,
        MicroBatch,
        ModelFolder,
        ModelReference,
        Outcome,
        Row,
        StepData,
        StepResult,
        Version,
    )
    from llamahome_core.workspace import Workspace

    __version__: str

# Names are imported when first used (PEP 562): a plugin that declares two records should not pay
# for the configuration engine, and `llamahome --help` should not pay for the run.
_HOMES = {
    "aio": "run_async",
    "commands": "command_kernel command_settings",
    "components": "Check Command Component Defaults Kind NoSettings PackagedRecipe Ref Service "
    "Stage",
    "config": "ConfigError Problem",
    "context": "Context Stop",
    "errors": "AmbiguousNameError BrokenPluginError DataError HeldError IntegrityError Interrupted "
    "LlamaHomeError ModelError ModelNotFoundError OfflineError PluginError RequirementError "
    "RunError RunLockedError RunNotFoundError SecretError StorageError TrainingError "
    "UnavailableError UnknownNameError UnsafeModelError WorkspaceError suggest",
    "events": "Emitter EventLog NoEvents follow_events live_events read_events",
    "hookspecs": "hookimpl",
    "kernel": "Kernel",
    "monitor_process": "MonitorContext",
    "plan": "Plan",
    "protocols": "Adapter Cache ChatCodec DataSource Generator ModelSource Models Monitor "
    "Objective Optimizer PreparedData Progress Registry Schedule Steps Store Trained Trainer "
    "Transform",
    "recipe": "Batch CatalogueEntry Checkpoint Evaluate Publish Recipe Sample Selection Train",
    "run": "Run",
    "secrets": "secret",
    "terminal": "clean",
    "values": "CacheStats Dropped Encoded EncodedChat Example Message MicroBatch ModelFolder "
    "ModelReference Outcome Row StepData StepResult Version",
    "workspace": "Workspace",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Adapter",
    "AmbiguousNameError",
    "Batch",
    "BrokenPluginError",
    "Cache",
    "CacheStats",
    "CatalogueEntry",
    "ChatCodec",
    "Check",
    "Checkpoint",
    "Command",
    "Component",
    "ConfigError",
    "Context",
    "DataError",
    "DataSource",
    "Defaults",
    "Dropped",
    "Emitter",
    "Encoded",
    "EncodedChat",
    "Evaluate",
    "EventLog",
    "Example",
    "Generator",
    "HeldError",
    "IntegrityError",
    "Interrupted",
    "Kernel",
    "Kind",
    "LlamaHomeError",
    "Message",
    "MicroBatch",
    "ModelError",
    "ModelFolder",
    "ModelNotFoundError",
    "ModelReference",
    "ModelSource",
    "Models",
    "Monitor",
    "MonitorContext",
    "NoEvents",
    "NoSettings",
    "Objective",
    "OfflineError",
    "Optimizer",
    "Outcome",
    "PackagedRecipe",
    "Plan",
    "PluginError",
    "PreparedData",
    "Problem",
    "Progress",
    "Publish",
    "Recipe",
    "Ref",
    "Registry",
    "RequirementError",
    "Row",
    "Run",
    "RunError",
    "RunLockedError",
    "RunNotFoundError",
    "Sample",
    "Schedule",
    "SecretError",
    "Selection",
    "Service",
    "Stage",
    "StepData",
    "StepResult",
    "Steps",
    "Stop",
    "StorageError",
    "Store",
    "Train",
    "Trained",
    "Trainer",
    "TrainingError",
    "Transform",
    "UnavailableError",
    "UnknownNameError",
    "UnsafeModelError",
    "Version",
    "Workspace",
    "WorkspaceError",
    "__version__",
    "clean",
    "command_kernel",
    "command_settings",
    "follow_events",
    "hookimpl",
    "live_events",
    "read_events",
    "run_async",
    "secret",
    "suggest",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("llamahome")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
