"""A small hub on this machine: one model, at the commits that a test gives it."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT, NEWER = "c" * 40, "d" * 40


class Hub(ThreadingHTTPServer):
    """Serves one model, ``acme/tiny``, and remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.commits = {COMMIT: folder}
        self.head = COMMIT
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.status = 200
        self.reason = ""

    def move(self, folder: Path) -> None:
        """Let the main branch be at another commit, with the files of *folder*."""
        self.commits[NEWER] = folder
        self.head = NEWER

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        self.server.tokens.append(self.headers["Authorization"])
        if self.server.status != 200:
            self.answer(self.server.status, b"{}", {"X-Error-Code": self.server.reason})
        elif path.startswith("/api/models/acme/tiny/revision/"):
            commit = self.commit(path.split("/")[6])
            self.answer(200, json.dumps({"id": "acme/tiny", "sha": commit}).encode())
        elif path.startswith("/api/models/acme/tiny/tree/"):
            self.answer(200, json.dumps(self.tree(self.commit(path.split("/")[6]))).encode())
        elif path.startswith("/acme/tiny/resolve/"):
            commit, _, name = path.removeprefix("/acme/tiny/resolve/").partition("/")
            commit = self.commit(commit)
            data = (self.server.commits[commit] / name).read_bytes()
            self.answer(200, data, {"X-Repo-Commit": commit, "ETag": f'"{self.tag(data)}"'})
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def commit(self, revision: str) -> str:
        return revision if revision in self.server.commits else self.server.head

    def tree(self, commit: str) -> list[dict[str, Any]]:
        folder = self.server.commits[commit]
        found = sorted(p for p in folder.rglob("*") if p.is_file())
        return [
            {
                "type": "file",
                "path": path.relative_to(folder).as_posix(),
                "size": path.stat().st_size,
                "oid": self.tag(path.read_bytes()),
            }
            for path in found
        ]

    def tag(self, data: bytes) -> str:
        return hashlib.sha1(data, usedforsecurity=False).hexdigest()

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass
