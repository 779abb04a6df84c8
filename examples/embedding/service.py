"""A small web service that trains, for this machine alone: python service.py [PORT].

It needs nothing but LlamaHome and the standard library.

====== ================= ===========================================================
POST   /runs             start a run; the recipe as JSON. 201, or 422 with all problems
GET    /runs/ID          how it goes
GET    /runs/ID/events   its events as they come, as server-sent events
DELETE /runs/ID          stop it: it finishes its step and saves
====== ================= ===========================================================

Whoever can reach it can read what its user can read: a recipe names files. It listens on the
loopback interface and refuses what a web page of another site may have sent.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from llamahome_core import ConfigError, Kernel, LlamaHomeError, Plan, Stop, follow_events

LARGEST = 1 << 20
"""Most bytes of a recipe."""


class Job:
    """A run in a thread of its own; several take turns, stage by stage."""

    def __init__(self, kernel: Kernel, plan: Plan) -> None:
        self.stop = Stop()
        self.error: LlamaHomeError | None = None
        self._latest: dict[str, dict[str, Any]] = {}
        self._named = threading.Event()
        self.thread = threading.Thread(target=self._run, args=[kernel, plan])
        self.thread.start()
        self._named.wait()  # its first event says what it is called

    def _run(self, kernel: Kernel, plan: Plan) -> None:
        try:
            kernel.run(plan, stop=self.stop, on_event=self._hear)
        except LlamaHomeError as error:  # its folder cannot be made, say
            self.error = error
        finally:
            self._named.set()

    def _hear(self, event: dict[str, Any]) -> None:
        self._latest[event["t"]] = event
        self._named.set()

    @property
    def id(self) -> str:
        """The name of the run."""
        return str(self._latest["run"]["name"])

    @property
    def events(self) -> Path:
        """The file of its events."""
        return Path(self._latest["run"]["directory"]) / "events.jsonl"

    def describe(self) -> dict[str, Any]:
        """How it goes."""
        train, end = self._latest.get("train", {}), self._latest.get("end", {})
        going = "stopping" if self.stop.requested else "running"
        found = {"id": self.id, "state": end.get("status", going)}
        found |= {key: train.get(key) for key in ("step", "steps", "loss")}
        found |= {"version": self._latest.get("published", {}).get("label")}
        return found | {key: end.get(key) for key in ("metrics", "error", "hint")}


class Service:
    """The runs of this process.

    Args:
        kernel: What carries them out.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.jobs: dict[str, Job] = {}

    def start(self, recipe: dict[str, Any]) -> Job:
        """Start a run.

        Raises:
            LlamaHomeError: The recipe is wrong, or the run cannot be begun.
        """
        job = Job(self.kernel, self.kernel.plan(recipe))
        if job.error is not None:
            raise job.error
        self.jobs[job.id] = job
        return job

    def close(self) -> None:
        """Stop all runs and wait until they are saved."""
        for job in self.jobs.values():
            job.stop.request(signal.SIGTERM)
        for job in self.jobs.values():
            job.thread.join()


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP."""

    protocol_version = "HTTP/1.1"

    def __init__(self, service: Service, *arguments: Any) -> None:
        self.service = service
        super().__init__(*arguments)

    def do_POST(self) -> None:
        """Start a run."""
        if self.path != "/runs":
            return self._answer(HTTPStatus.NOT_FOUND, {"error": "there is only /runs"})
        recipe = self._recipe()
        if recipe is None:
            return self._answer(HTTPStatus.BAD_REQUEST, {"error": "send a recipe as JSON"})
        try:
            job = self.service.start(recipe)
        except ConfigError as error:
            found = [
                {"code": p.code, "key": ".".join(map(str, p.path)), "message": p.message}
                | {"hint": p.advice}
                for p in error.problems
            ]
            return self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"problems": found})
        except LlamaHomeError as error:
            found = [{"code": error.code, "message": error.message, "hint": error.hint}]
            return self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"problems": found})
        return self._answer(HTTPStatus.CREATED, job.describe(), location=f"/runs/{job.id}")

    def do_GET(self) -> None:
        """Tell how a run goes, or its events."""
        job, rest = self._job()
        if job is None:
            return
        if rest == "events":
            self._stream(job)
        else:
            self._answer(HTTPStatus.OK, job.describe())

    def do_DELETE(self) -> None:
        """Stop a run."""
        job, rest = self._job()
        if job is not None and rest:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "only a run can be stopped"})
        elif job is not None:
            job.stop.request(signal.SIGTERM)
            self._answer(HTTPStatus.ACCEPTED, job.describe())

    def _recipe(self) -> dict[str, Any] | None:
        """The body, if it is a JSON object; a form of another site's page cannot send one."""
        size = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not size.isdecimal():
            return None
        if int(size) > LARGEST or not self._is_ours():
            return None
        try:
            recipe = json.loads(self.rfile.read(int(size)))
        except (ValueError, RecursionError):
            return None
        return recipe if isinstance(recipe, dict) else None

    def _is_ours(self) -> bool:
        """Whether it was sent to this address, and not to a name that leads here."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        return host in {"127.0.0.1", "localhost"}

    def _job(self) -> tuple[Job | None, str]:
        _, runs, name, *rest = [*self.path.split("/"), "", ""]
        job = self.service.jobs.get(name) if runs == "runs" and self._is_ours() else None
        if job is None or rest[0] not in {"", "events"}:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there is no such run"})
            return None, ""
        return job, rest[0]

    def _answer(self, status: HTTPStatus, body: dict[str, Any], location: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if location:
            self.send_header("Location", location)
        if status >= HTTPStatus.BAD_REQUEST:
            self.send_header("Connection", "close")  # a body may not have been read
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, job: Job) -> None:
        """Events from where this reader stopped, until the run ends or the reader goes."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        last = self.headers.get("Last-Event-ID", "0")
        for offset, event in follow_events(job.events, int(last) if last.isdecimal() else 0):
            text = f"id: {offset}\nevent: {event['t']}\ndata: {json.dumps(event)}\n\n"
            try:
                self.wfile.write(text.encode())
            except ConnectionError:
                break


def main() -> int:
    """Serve until Ctrl-C or SIGTERM; then stop and save what is going on."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    service = Service(Kernel())
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, service))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        service.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
