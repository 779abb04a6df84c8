"""The packages of ``test_hostile_plugins.py``: each has one fault."""

from __future__ import annotations

import textwrap
import zipfile
from pathlib import Path

HEAD = "import os, signal, sys, time\nfrom attrs import field, frozen\n"
HEAD += "from llamahome_core import Component, Service, Cache, hookimpl\n"


def hook(body: str, name: str = "llamahome_stores", arguments: str = "") -> str:
    """A plugin of one hook."""
    return (
        f"@hookimpl\ndef {name}({arguments}):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    )


def component(name: str, factory: str = "nowhere:X", hook_name: str = "llamahome_stores") -> str:
    """A plugin of one component."""
    return hook(f'yield Component(name="{name}", summary="Mine.", factory="{factory}")', hook_name)


# Name -> (code of the plugin, status in the list, words of the list, words of `plugins check`).
ACTIVE, BROKEN = "active", "broken"
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "raises": ('raise RuntimeError("no luck")', BROKEN, "RuntimeError: no luck", "no luck"),
    "leaves": ('raise SystemExit("bye")', BROKEN, "SystemExit: bye", "SystemExit: bye"),
    "leaves-well": ("raise SystemExit(0)", BROKEN, "SystemExit: 0", "SystemExit: 0"),
    "interrupts": (
        "raise KeyboardInterrupt",
        BROKEN,
        "it raised KeyboardInterrupt",
        "KeyboardInterrupt",
    ),
    "exits": (
        "os._exit(3)",
        BROKEN,
        "it ended the process with code 3 while it was imported",
        "the process ended with exit code 3 while it was imported",
    ),
    "exits-well": (
        "os._exit(0)",
        BROKEN,
        "it ended the process with code 0 while it was imported",
        "the process ended with exit code 0 while it was imported",
    ),
    "crashes": (
        "os.kill(os.getpid(), signal.SIGSEGV)",
        BROKEN,
        "it killed the process with SIGSEGV while it was imported",
        "the process was ended by SIGSEGV while it was imported",
    ),
    "kills": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        BROKEN,
        "it killed the process with SIGKILL while it was imported",
        "the process was ended by SIGKILL while it was imported",
    ),
    "sleeps": (
        "time.sleep(1000)",
        BROKEN,
        "it took more than 1 seconds while it was imported",
        "the process was ended because it took too long while it was imported",
    ),
    "spins": (
        "while True: pass",
        BROKEN,
        "it took more than 1 seconds while it was imported",
        "the process was ended because it took too long while it was imported",
    ),
    "deaf": (
        "for n in {*range(1, 32)} - {9, 19}: signal.signal(n, signal.SIG_IGN)\ntime.sleep(1000)",
        BROKEN,
        "it took more than 1 seconds while it was imported",
        "the process was ended because it took too long while it was imported",
    ),
    "loud": ('print("la" * 500_000)', ACTIVE, "", "it implements no hook"),
    "closes": (
        "os.close(1)\nos.close(2)",
        BROKEN,
        "it closed or replaced standard output",
        "it closed or replaced standard output",
    ),
    "closes-all": (
        "os.closerange(0, 1000)",
        BROKEN,
        "it ended the process with code",
        "while it was imported",
    ),
    "shuts": (
        "sys.stdout.close()",
        BROKEN,
        "it closed or removed a standard stream",
        "it closed or removed a standard stream",
    ),
    "hungry": (
        "x = bytearray(8 << 30)",
        BROKEN,
        "it took more than 4 GiB of memory",
        "MemoryError",
    ),
    "forks": ("os.fork()", BROKEN, "it forked the process", "it forked the process"),
    "unknown-hook": (
        hook("return []", "llamahome_stroes"),
        BROKEN,
        "unknown hook 'llamahome_stroes'",
        "did you mean 'llamahome_stores'?",
    ),
    "arguments": (
        hook("...", "llamahome_run_started", "run, extra"),
        BROKEN,
        "'extra'",
        "'extra'",
    ),
    "halfway": (
        hook('yield Component(name="half", summary="", factory="a:b")\nraise ValueError("torn")'),
        BROKEN,
        "ValueError: torn",
        "ValueError: torn",
    ),
    "hook-hangs": (
        hook("time.sleep(1000)"),
        BROKEN,
        "it took more than 1 seconds while llamahome_stores was called",
        "the process was ended because it took too long while it declared what it brings",
    ),
    "hook-exits": (
        hook("os._exit(0)", "llamahome_commands"),
        BROKEN,
        "it ended the process with code 0 while llamahome_commands was called",
        "the process ended with exit code 0 while it declared what it brings",
    ),
    "endless": (
        hook('while True: yield Component(name="x", summary="", factory="a:b")'),
        BROKEN,
        "while llamahome_stores was called",
        "while it declared what it brings",
    ),
    "summary": (
        hook('yield Component(name="odd", summary=object(), factory="nowhere:X")'),
        BROKEN,
        "summary",
        "summary",
    ),
    "settings": (
        hook('yield Component(name="odd", summary="", config=7, factory="nowhere:X")'),
        BROKEN,
        "config must be an attrs class, not 7",
        "config must be an attrs class, not 7",
    ),
    "rubbish": (
        hook("yield 7"),
        BROKEN,
        "llamahome_stores must yield Component, not 7",
        "llamahome_stores must yield Component, not 7",
    ),
    "training": (hook("os._exit(1)"), "shadowed", "", ""),
    "raises-too": (
        'raise RuntimeError("again")',
        BROKEN,
        "RuntimeError: again",
        "RuntimeError: again",
    ),
    "namesake": (component("local"), ACTIVE, "store local", "cannot import 'nowhere:X'"),
}
"""Packages that no recipe needs."""

MONITORS = {
    "raise": 'raise RuntimeError("no luck")',
    "hang": "time.sleep(1000)",
    "fill": "resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 29)); bytearray(1 << 33)",
    "reseed": "import random; random.seed(0); import torch; torch.manual_seed(0)",
    "move": 'os.chdir("/"); os.environ.clear()',
    "print": 'print("noise " * 10_000); os.write(1, b"noise"); os.write(2, b"noise")',
    "die": "os.kill(os.getpid(), signal.SIGKILL)",
    "fork": "os.path.exists('forked') or (open('forked', 'w').close(), os.fork())",
    "deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)",
}
"""What each monitor does with its first event."""


def monitors() -> str:
    """A plugin with all of them."""
    code = "import resource\n"
    names = "".join(
        f'    yield Component(name="{n}", summary="", factory="lh_monitors:{n.title()}")\n'
        for n in MONITORS
    )
    code += f"@hookimpl\ndef llamahome_monitors():\n{names}"
    for name, body in MONITORS.items():
        code += (
            f"class {name.title()}:\n"
            "    def __init__(self, config, context): ...\n"
            f"    def handle(self, event): {body}\n"
            "    def close(self): ...\n"
        )
    return code


def wheel(
    folder: Path, name: str, code: str, *, distribution: str = "", version: str = "1.0"
) -> Path:
    """A wheel with the plugin *name* of one module."""
    distribution = distribution or f"lh-{name}"
    module = distribution.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    files = {
        f"{module}.py": HEAD + code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[llamahome]\n{name} = {module}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{n},,\n" for n in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path
