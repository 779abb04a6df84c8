"""Says all that is wrong with a plugin; an installed one is loaded in a process with limits.

So a plugin that hangs, ends its process or fills the memory is told as what it is.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

from attrs import asdict

from llamahome_core.discovery import Plugin, discover, from_object
from llamahome_core.errors import no_plugin
from llamahome_core.hookspecs import PROJECT
from llamahome_core.inspection import Report, examine
from llamahome_core.terminal import RESULTS, keep_results_apart
from llamahome_core.trial import SECONDS, Conduct, seconds_from

HEAVY = {
    "boto3",
    "deepspeed",
    "jax",
    "matplotlib",
    "numpy",
    "pandas",
    "peft",
    "pyarrow",
    "rich",
    "scipy",
    "sklearn",
    "tensorboard",
    "tensorflow",
    "torch",
    "transformers",
}
"""What each start of the command would pay for, if a declaring module imported it."""
MEMORY = 2**30
"""Bytes of address space that importing and declaring may take."""

_PRINTED = 8192  # characters kept of what it prints
_LOADING = 300.0  # seconds that the factories may take to import, torch among them


def check_plugin(plugin: str | Any) -> list[str]:
    """All that is wrong with *plugin*, in words; empty if nothing is.

    Looked for are: failures of importing and declaring, hooks that do not exist or are not
    marked, wrong arguments, records of the wrong kind, settings that cannot be described or have
    no docstring, factories and recipes that are not where the records say, and heavy imports in
    the declaring module.

    Args:
        plugin: The name of an installed plugin, a module or its name, or any object with hook
            implementations. What can be imported is checked in a process of its own, with limits
            of time and memory; an object is checked in this one.

    Raises:
        UnknownNameError: There is no such plugin and no such module.
    """
    if isinstance(plugin, str):
        return examine_apart(_named(plugin)).problems
    if isinstance(plugin, ModuleType) and getattr(plugin, "__spec__", None) is not None:
        return examine_apart(_of_module(plugin.__name__)).problems
    return examine(from_object(plugin)).problems


def _named(name: str) -> Plugin:
    installed = {p.name: p for p in discover() if p.status != "shadowed"}
    if name in installed:
        return installed[name]
    if "." in name:
        return _of_module(name)
    raise no_plugin(name, installed)


def _of_module(module: str) -> Plugin:
    entry = EntryPoint(name=module, value=module, group=PROJECT)
    return Plugin(name=module, origin="module", entry=entry)


def examine_apart(plugin: Plugin) -> Report:
    """What :func:`examine` finds, in a process with limits; *plugin* has an entry point."""
    value = plugin.entry.value if plugin.entry else ""
    seconds = seconds_from(os.environ) or SECONDS
    order = [plugin.name, value, plugin.origin, str(seconds)]
    path = os.pathsep.join(folder for folder in sys.path if folder)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(  # noqa: S603  # this module, in this Python
            [sys.executable, "-P", "-m", __name__, *order],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        try:
            ended = _how_it_ended(child, seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it may have left others behind
                os.killpg(child.pid, signal.SIGKILL)
        out.seek(0)
        err.seek(0)
        return _read(out.read(), err.read(), ended)


def _how_it_ended(child: subprocess.Popen[bytes], seconds: float) -> str:
    try:
        code = child.wait(seconds + _LOADING + 10)
    except subprocess.TimeoutExpired:  # it stopped its own watch
        child.kill()
        child.wait()
        return "was ended because it took too long"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _read(out: bytes, err: bytes, ended: str) -> Report:
    """The report or, where there is none, what was going on when the process ended."""
    phase, text = "it began", err.decode(errors="replace").strip()[-_PRINTED:]
    for line in out.splitlines():
        with contextlib.suppress(ValueError, TypeError):
            found = json.loads(line)
            if "report" in found:
                return Report(**found["report"] | {"printed": text})
            phase = found["phase"]
    if "\nTimeout (" in f"\n{text}":  # what faulthandler writes, perhaps after the plugin's words
        ended = "was ended because it took too long"
    problem = f"the process {ended} while {phase}"
    return Report(error=problem, traceback=text or None, problems=[problem])


def _main(name: str, value: str, origin: str, seconds: str) -> None:
    """Examine one plugin, and print each phase and the report as lines of JSON."""
    entry = EntryPoint(name=name, value=value, group=PROJECT)
    keep_results_apart()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    declaring = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    heavy: set[str] = set()

    conduct = Conduct()

    def phase(text: str) -> None:
        if fault := conduct.fault():  # what comes next would only fail because of it
            _say(report=asdict(Report(error=fault, problems=[fault])))
            os._exit(0)
        if text.startswith("what it names"):
            heavy.update(HEAVY.intersection(sys.modules))
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            faulthandler.dump_traceback_later(_LOADING, exit=True)
        _say(phase=text)

    resource.setrlimit(resource.RLIMIT_AS, (declaring, hard))
    faulthandler.dump_traceback_later(float(seconds), exit=True)
    report = examine(Plugin(name=name, origin=origin, entry=entry), phase)
    if heavy:
        report.problems.append(
            f"{value} imports {', '.join(sorted(heavy))}, which every start would pay for: "
            "import it in the module that the record names"
        )
    _say(report=asdict(report))


def _say(**line: Any) -> None:
    print(json.dumps(line), file=RESULTS.get(), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
