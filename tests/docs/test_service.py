"""The example web service does over HTTP what its docstring says."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

JSON = {"Content-Type": "application/json"}


@define
class Client:
    """The service as a process of its own, and requests to it."""

    process: subprocess.Popen[str]
    port: int

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, JSON if headers is None else headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, found

    def events(self, name: str, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("GET", f"/runs/{name}/events", headers={"Last-Event-ID": str(after)})
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "text/event-stream"
        fields: dict[str, str] = {}
        for line in answer:
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key:
                fields[key] = value
                continue
            event = json.loads(fields["data"])
            assert event["t"] == fields["event"]
            yield int(fields["id"]), event
        connection.close()


@pytest.fixture
def service(root: Path, sandbox: Any) -> Iterator[Client]:
    """The service on a free port, in a workspace of its own."""
    with subprocess.Popen(
        [sys.executable, str(root / "examples" / "embedding" / "service.py"), "0"],
        cwd=sandbox.folder,
        env=sandbox.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        yield Client(process, port)
        process.terminate()


@pytest.fixture
def recipe() -> dict[str, Any]:
    """A recipe as JSON; the name of its model means the tiny one."""
    return {
        "name": "web",
        "model": {"from": "smollm2-135m-instruct"},
        "data": [{"use": "jsonl", "path": "train.jsonl"}],
        "train": {"steps": 3},
    }


def test_a_run_is_started_followed_and_told_of(service, recipe):
    """Its events come to the last; a reader that comes back goes on where it was."""
    status, begun = service.ask("POST", "/runs", recipe)
    assert (status, begun["id"], begun["state"]) == (201, "web-1", "running")

    events = list(service.events("web-1"))
    status, told = service.ask("GET", "/runs/web-1")

    kinds = [event["t"] for _, event in events]
    assert (kinds[0], kinds[-1], kinds.count("train")) == ("run", "end", 3)
    assert (status, told["state"], told["version"]) == (200, "finished", "web:v1")
    assert (told["step"], told["steps"], told["error"]) == (3, 3, None)
    assert told["metrics"]["steps"] == 3
    assert list(service.events("web-1", events[4][0])) == events[5:]


def test_a_run_is_cancelled(service, recipe):
    """It saves and says so."""
    service.ask("POST", "/runs", recipe | {"train": {"steps": 5000}})
    for _, event in service.events("web-1"):
        if event["t"] == "train":
            break

    status, told = service.ask("DELETE", "/runs/web-1")
    events = [event for _, event in service.events("web-1")]

    assert (status, told["state"] in {"stopping", "stopped"}) == (202, True)
    assert (events[-1]["t"], events[-1]["status"]) == ("end", "stopped")
    assert [e["reason"] for e in events if e["t"] == "checkpoint"][-1] == "signal"
    assert service.ask("GET", "/runs/web-1")[1]["state"] == "stopped"


def test_two_runs_at_once_both_end(service, recipe):
    """The second waits for its turn, and says so in its events."""
    names: list[str] = []
    threads = [
        threading.Thread(
            target=lambda seed=seed: names.append(
                service.ask("POST", "/runs", recipe | {"seed": seed})[1]["id"]
            )
        )
        for seed in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ends = [list(service.events(name))[-1][1] for name in names]

    assert sorted(names) == ["web-1", "web-2"]
    assert [end["status"] for end in ends] == ["finished", "finished"]


def test_a_wrong_recipe_is_refused_with_all_that_is_wrong(service, recipe):
    wrong = recipe | {"train": {"stepz": 3, "clip": "much"}}

    status, told = service.ask("POST", "/runs", wrong)

    assert status == 422
    found = {problem["key"]: problem for problem in told["problems"]}
    assert {key: problem["code"] for key, problem in found.items()} == {
        "train.stepz": "C101",
        "train.clip": "C102",
    }
    assert "`steps`" in found["train.stepz"]["hint"]
    assert service.ask("GET", "/runs/web-1")[0] == 404


def test_what_is_no_recipe_or_no_run_is_refused(service, recipe):
    """Nor may a page of another site start a run, by a form or by a name that leads here."""
    for body, headers in (
        (b"{", JSON),
        (b"[]", JSON),
        (b"[" * 100_000, JSON),
        (b"{}" + b" " * (1 << 20), JSON),
        (recipe, {"Content-Type": "text/plain"}),
        (recipe, JSON | {"Host": "evil.example:80"}),
    ):
        assert service.ask("POST", "/runs", body, headers)[0] == 400
    for method, path in (("POST", "/"), ("GET", "/runs/web-1"), ("DELETE", "/runs/..%2f")):
        assert service.ask(method, path)[0] == 404


def test_a_service_that_is_told_to_end_saves_what_goes_on(service, recipe, sandbox):
    service.ask("POST", "/runs", recipe | {"train": {"steps": 5000}})
    for _, event in service.events("web-1"):
        if event["t"] == "train":
            break

    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0

    (run,) = Path(sandbox.environ["LLAMAHOME_HOME"]).glob("runs/*")
    assert json.loads((run / "status.json").read_bytes())["state"] == "stopped"
    assert list(run.glob("checkpoints/step-*"))
