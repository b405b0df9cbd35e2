"""An HTTP server for tests that keeps what it was sent and answers with raw bytes of the test's choice."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Call:
    line: str
    headers: dict[str, str]
    body: bytes


class Receiver(socketserver.ThreadingTCPServer):
    """`answers` are used up one a call, then `OK`; a function gets the connection's file and speaks by itself."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.calls: list[Call] = []
        self.answers: list[bytes | Callable[[socketserver.StreamRequestHandler], None]] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_args: object) -> None:
        """A client that hangs up is part of the play."""


class _Session(socketserver.StreamRequestHandler):
    server: Receiver

    def handle(self) -> None:
        line = self.rfile.readline().decode().strip()
        headers = {}
        while header := self.rfile.readline().decode().strip():
            name, _colon, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        self.server.calls.append(Call(line, headers, body))
        answer = self.server.answers.pop(0) if self.server.answers else OK
        if callable(answer):
            answer(self)
        else:
            self.wfile.write(answer)


@contextmanager
def receiver(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    with Receiver(context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
