"""Training inside another program: several runs at once, and a process found as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from llamahome_core import Component, Kernel, Stop, Workspace, hookimpl

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Flat:
    """A plugin of one program, which the other has not."""

    def __init__(self, *_: Any) -> None: ...

    @hookimpl
    def llamahome_schedules(self) -> Any:
        yield Component(name="flat", summary="The peak.", factory=f"{__name__}:Flat")

    def factor(self, step: int, total: int) -> float:
        return 1.0


@pytest.fixture
def flat(monkeypatch) -> Flat:
    """Importable under the name that its component says."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _here())
    return Flat()


def _here() -> Any:
    import types

    module: Any = types.ModuleType(__name__)
    module.Flat = Flat
    return module


@pytest.fixture
def kernel_in(tmp_path: Path):
    """Makes a kernel in a workspace of its own."""

    def make(name: str, *extra: Any) -> Kernel:
        (tmp_path / name / ".config").mkdir(parents=True)
        (tmp_path / name / ".config" / "llamahome.toml").write_text("")
        nowhere = tmp_path / "none.toml"
        workspace = Workspace(tmp_path / name)
        return Kernel(extra=extra, workspace=workspace, environ={}, user_file=nowhere)

    return make


def weights(outcome: Any) -> dict[str, torch.Tensor]:
    assert outcome.error is None
    return load_file(outcome.version.files["merged"] / "model.safetensors")


def equal(one: Any, other: Any) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def at_once(*calls: Any) -> list[Any]:
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n, call=call: found.update({n: call()}))
        for n, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    return [found[n] for n in range(len(calls))]


@pytest.fixture
def random(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe that draws random numbers at its start and at each step."""
    return recipe | {"adapter": {"use": "lora", "rank": 4, "dropout": 0.3}}


def test_runs_of_several_kernels_at_once_equal_those_alone(kernel_in, random, flat):
    """Bit for bit: two of one kernel with other seeds, and one of a kernel with another plugin."""
    other, constant = random | {"seed": 8}, random | {"schedule": {"use": "flat"}}
    jobs = [(random, ()), (other, ()), (constant, (flat,))]
    alone = [kernel_in(f"alone-{n}", *extra).run(r) for n, (r, extra) in enumerate(jobs)]

    plain, mine = kernel_in("plain"), kernel_in("mine", flat)
    together = at_once(
        lambda: plain.run(random), lambda: plain.run(other), lambda: mine.run(constant)
    )

    assert [equal(one, both) for one, both in zip(alone, together, strict=True)] == [True] * 3
    assert not equal(together[0], together[1])
    assert not equal(together[0], together[2])
    assert together[0].directory.parent == together[1].directory.parent


def test_a_listener_changes_no_bit(kernel_in, random):
    """Not by being there, and not by what it raises."""

    def fail(event: dict[str, Any]) -> None:
        if event["t"] == "train" and event["step"] == 2:
            raise RuntimeError

    told: list[str] = []
    kernel = kernel_in("one")

    without = kernel.run(random)
    heard = kernel.run(random, on_event=lambda event: told.append(event["t"]))
    failed = kernel.run(random, on_event=fail)

    assert told.count("train") == 6
    assert equal(without, heard)
    assert equal(without, failed)


def test_a_run_stopped_from_another_thread_is_resumed_to_the_same_bits(kernel_in, random):
    kernel, stop, train = kernel_in("one"), Stop(), threading.Event()

    def wait() -> None:
        assert train.wait(100)
        stop.request()

    other = threading.Thread(target=wait)
    other.start()

    def listen(event: dict[str, Any]) -> None:
        if event["t"] == "train" and event["step"] == 2:
            train.set()
            other.join(20)

    straight = kernel.run(random)
    stopped = kernel.run(random | {"name": "broken"}, stop=stop, on_event=listen)
    resumed = kernel.resume(stopped.directory.name)

    assert stopped.status == "stopped"
    assert [p.name for p in (stopped.directory / "checkpoints").glob("step-*")]
    assert resumed.directory == stopped.directory
    assert equal(straight, resumed)


def test_ctrl_c_in_the_middle_of_training_loses_no_more_than_since_the_checkpoint(
    kernel_in, random
):
    """Nobody handles the signal: it is raised, and the run goes on later to the same bits."""
    kernel, recipe = kernel_in("one"), random | {"checkpoint": {"every": 2}}
    told: list[dict[str, Any]] = []

    def press(event: dict[str, Any]) -> None:
        told.append(event)
        if event["t"] == "train" and event["step"] == 3:
            signal.raise_signal(signal.SIGINT)

    straight = kernel.run(recipe)
    with pytest.raises(KeyboardInterrupt):
        kernel.run(recipe | {"name": "broken"}, on_event=press)
    resumed = kernel.resume("broken-1", on_event=told.append)

    ends = [event["status"] for event in told if event["t"] == "end"]
    assert ends == ["stopped", "finished"]
    assert [event["step"] for event in told if event["t"] == "rewind"] == [2]
    assert equal(straight, resumed)


# --- The process that embeds


HOST = """
import gc, json, logging, os, random, signal, sys, threading, warnings
import numpy, torch, structlog
from pathlib import Path
from llamahome_core import Kernel, Workspace

logging.basicConfig(level=logging.ERROR, format="host: %(message)s")
structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
handler = logging.NullHandler()
logging.getLogger("llamahome").addHandler(handler)
signal.signal(signal.SIGINT, lambda *_: None)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
random.seed(1); numpy.random.seed(2); torch.manual_seed(3)
torch.set_num_threads(1)

def state():
    gc.collect()  # files that are mapped into memory close with it
    loggers = ["", "llamahome", "llamahome.run", "transformers", "torch", "peft", "py.warnings"]
    return {
        "python": repr(random.getstate()),
        "numpy": repr(numpy.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": os.umask(os.umask(0o22)),
        "signals": [str(signal.getsignal(n)) for n in signal.valid_signals()],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "loggers": [
            (n, l.level, l.propagate, l.disabled, [id(h) for h in l.handlers], len(l.filters))
            for n in loggers for l in [logging.getLogger(n)]
        ],
        "structlog": repr(structlog.get_config()["processors"]),
        "warnings": repr(warnings.filters),
        "showwarning": repr(warnings.showwarning),
        "path": sys.path,
        "streams": [id(sys.stdin), id(sys.stdout), id(sys.stderr), id(sys.excepthook)],
        "descriptors": [os.fstat(n).st_ino for n in (0, 1, 2)],
        "open": sorted(os.readlink(p) for p in Path("/proc/self/fd").iterdir() if p.exists()),
        "hooks": [repr(threading.excepthook), repr(sys.gettrace())],
    }

model, rows, workspace, where = sys.argv[1:]
recipe = {
    "model": {"from": model}, "data": [{"use": "jsonl", "path": rows}],
    "batch": {"tokens": 160}, "train": {"steps": 2}, "evaluate": {"split": 0.2},
    "sample": {"prompts": ["What is 1?"], "max_tokens": 2},
    "adapter": {"use": "lora", "dropout": 0.1}, "resources": {"threads": 2},
}
def run():
    kernel = Kernel(workspace=Workspace(Path(workspace)), environ={})
    outcome = kernel.run(recipe)
    assert outcome.status == "finished", outcome.error
if where == "warm":  # what the libraries do when they are imported is theirs
    run()
before = state()
if where == "thread":
    thread = threading.Thread(target=run); thread.start(); thread.join()
else:
    run()
after = state()
print(json.dumps({k: [before[k], after[k]] for k in before if before[k] != after[k]}))
"""


@pytest.mark.parametrize("where", ["main", "thread", "warm"])
def test_a_program_is_found_as_it_was(where, tiny_model, rows, tmp_path, environment):
    """Random states, logging, signals, folder, environment, streams: in any thread.

    The first run imports the libraries, whose import may set variables and open files of theirs;
    a run after it changes nothing whatsoever.
    """
    command = [sys.executable, "-c", HOST, str(tiny_model), str(rows), str(tmp_path), where]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(), cwd=tmp_path
    )

    assert done.returncode == 0, done.stderr
    changed = json.loads(done.stdout)
    if where != "warm":
        changed.pop("open", None)
        changed.pop("warnings", None)
    assert changed == {}


COLD = """
import sys, threading
from pathlib import Path
from llamahome_core import Kernel, Workspace

model, rows, workspace = sys.argv[1:]
recipe = {"model": {"from": model}, "data": [{"use": "jsonl", "path": rows}], "train": {"steps": 1}}
outcomes = []

def run(number):
    kernel = Kernel(workspace=Workspace(Path(workspace) / str(number)), environ={})
    outcomes.append(kernel.run(recipe | {"name": f"run-{number}"}))

threads = [threading.Thread(target=run, args=[number]) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print([str(outcome.error) for outcome in outcomes])
"""


def test_the_first_runs_of_a_process_may_be_three_at_once(tiny_model, rows, tmp_path, environment):
    """transformers cannot be imported by two threads at a time: one of them gets half of it."""
    command = [sys.executable, "-c", COLD, str(tiny_model), str(rows), str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())

    assert (done.returncode, done.stdout) == (0, "['None', 'None', 'None']\n"), done.stderr


IMPORTED = """
import json, logging, os, signal, sys, threading, warnings

def state():
    return [
        dict(os.environ), os.getcwd(), sys.path, repr(warnings.filters), threading.active_count(),
        [str(signal.getsignal(n)) for n in signal.valid_signals()],
        [vars(logging.getLogger(name))["handlers"] for name in ("", "llamahome")],
        sorted(os.listdir(sys.argv[1])), len(os.listdir("/proc/self/fd")),
    ]

before = repr(state())
import llamahome_core
assert not {m.partition(".")[0] for m in sys.modules} & {"pluggy", "attrs", "structlog", "torch"}
[getattr(llamahome_core, name) for name in llamahome_core.__all__]
assert repr(state()) == before
llamahome_core.Kernel()
assert repr(state()) == before
assert not {m.partition(".")[0] for m in sys.modules} & {"numpy", "torch", "transformers", "rich"}
"""


def test_importing_and_making_a_kernel_has_no_side_effect(tmp_path, environment):
    """No file, no variable, no handler, no thread; the import alone imports nothing else."""
    env = environment(LLAMAHOME_HOME=str(tmp_path / "home"))

    subprocess.run(
        [sys.executable, "-c", IMPORTED, str(tmp_path)], check=True, env=env, cwd=tmp_path
    )

    assert list(tmp_path.iterdir()) == []
