"""A TLS server that answers as a test says, down to the bytes: what no well-behaved API server would do."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from clusters.drivers.kube import DirectTransport, Kube
from tests.simulators.kubernetes.certificates import Authority
from tests.simulators.kubernetes.server import load


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Said:
    """An answer. `drip` sends the body byte by byte, that many seconds apart; `cut` ends the connection instead."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0.0
    cut: bool = False
    delay: float = 0.0
    packed: bool = False


Script = Callable[[Asked], Said]


class Scripted:
    """Keeps what was asked, the connection of each call, and the answers that the script gives."""

    def __init__(self, script: Script, authority: Authority | None = None) -> None:
        self.script, self.authority = script, authority or Authority()
        self.asked: list[Asked] = []
        self.connections: set[tuple[str, int]] = set()
        self.ended = threading.Event()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load(self.context, self.authority)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = self.context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are the point

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def transport(self, **more: Any) -> DirectTransport:
        return DirectTransport(self.url, **{"ca": self.authority.pem, "token": "canary-token", **more})

    def kube(self, **more: Any) -> Kube:
        return Kube(self.transport, **more)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
                api.asked.append(asked)
                api.connections.add(self.client_address)
                api.say(self, api.script(asked))

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answer  # noqa: N815

        return Handler

    def say(self, handler: BaseHTTPRequestHandler, said: Said) -> None:
        self.ended.wait(said.delay)
        if said.cut:
            handler.close_connection = True
            handler.connection.close()
            return
        body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
        body = gzip.compress(body) if said.packed else body
        handler.send_response(said.status)
        packed = {"Content-Encoding": "gzip"} if said.packed else {}
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **packed,
                            **said.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        for byte in ([body] if not said.drip else [bytes([one]) for one in body]):
            handler.wfile.write(byte)
            if said.drip and self.ended.wait(said.drip):
                return


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never says a word (a half-open peer)."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"


def status(code: int, reason: str, message: str, **details: Any) -> dict[str, Any]:
    """A Status object as an API server sends it."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
            "message": message, "details": details}
