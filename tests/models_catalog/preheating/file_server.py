"""A server of a model's files over HTTP: folders as pages, parts by Range, a break on request, and the hub's few routes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c" * 40


@dataclass
class Files:
    """`cut` breaks so many answers off in the middle; `user` asks for a name and password; `asked` is what came."""

    files: dict[str, bytes]
    cut: int = 0
    user: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, shelf: Files, *args: Any) -> None:
        self.shelf = shelf
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.shelf.asked.append((self.command, path, self.headers.get("Range", "")))
        if self.shelf.user and self.headers.get("Authorization") != f"Basic {self.shelf.user}":
            self._send(401, b"")
        elif path == f"/api/models/org/small/tree/{COMMIT}":
            self._json([{"type": "file", "path": name[1:], "size": len(body), "oid": "0" * 40}
                        for name, body in self.shelf.files.items()])
        elif path.startswith("/api/models/"):
            self._info(path)
        elif found := re.fullmatch(rf"/org/small/resolve/{COMMIT}/(.+)", path):
            self._file(f"/{found[1]}", {"ETag": f'"{found[1]}"', "X-Repo-Commit": COMMIT})
        elif path.endswith("/"):
            self._page(path)
        else:
            self._file(path, {})

    def _info(self, path: str) -> None:
        if path.removeprefix("/api/models/").partition("/revision/")[0] != "org/small":
            self._send(404, b"{}")
            return
        siblings = [{"rfilename": name[1:], "size": len(body)} for name, body in self.shelf.files.items()]
        self._json({"id": "org/small", "sha": COMMIT, "siblings": siblings})

    def _json(self, body: Any) -> None:
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _page(self, folder: str) -> None:
        inside = {name[len(folder):].partition("/") for name in self.shelf.files if name.startswith(folder)}
        links = [f'<a href="{first}{slash}">x</a>' for first, slash, _rest in sorted(inside)]
        body = f'<a href="../">up</a><a href="?C=N">sort</a><a href="http://other.example/y">y</a>{"".join(links)}'
        self._send(200 if inside else 404, body.encode())

    def _file(self, path: str, headers: dict[str, str]) -> None:
        body = self.shelf.files.get(path)
        if body is None:
            self._send(404, b"")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self._send(200, body, headers)
            return
        last = int(wanted[2]) if wanted[2] else len(body) - 1
        self._send(206, body[int(wanted[1]):last + 1], {
            **headers, "Content-Range": f"bytes {wanted[1]}-{last}/{len(body)}"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.shelf.cut and len(body) > 1000:
            self.shelf.cut -= 1
            self.wfile.write(body[:len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes], **values: Any) -> Iterator[Files]:
    shelf = Files(files, **values)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Door, shelf))
    shelf.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
