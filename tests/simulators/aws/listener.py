"""HTTP/1.1 on a free port, a thread per connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.simulators.aws.errors import Dropped
from tests.simulators.aws.messages import Answer, Request, request_id

BODILESS = (204, 304)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet
    server: Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ValueError):  # the client went, or the port was closed meanwhile
            self.close_connection = True

    def play(self) -> None:
        path, _, query = self.path.partition("?")
        request = Request(self.command, path, query, {name.lower(): value for name, value in self.headers.items()},
                          self._body())  # fmt: skip
        try:
            self._send(self.server.answer(request))
        except Dropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.now() if timestamp is None else timestamp)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = play  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        names = {name.lower() for name in answer.headers}
        if "x-amzn-requestid" not in names:
            self.send_header("x-amzn-RequestId", request_id())
        for name, value in answer.headers.items():
            if name.lower() != "date":  # the head has one already, by the simulator's clock
                self.send_header(name, value)
        if isinstance(answer.body, bytes):
            self._whole(answer, answer.body, names)
        else:
            self._chunks(answer.body)

    def _whole(self, answer: Answer, body: bytes, names: set[str]) -> None:
        if "content-length" not in names and answer.status not in BODILESS:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _chunks(self, pieces: Iterable[bytes]) -> None:
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        finally:
            if isinstance(pieces, Generator):  # the client went: so does what stands behind
                pieces.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Quiet: requests are recorded."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    disable_nagle_algorithm = True

    def __init__(self, answer: Callable[[Request], Answer], now: Callable[[], float], port: int = 0) -> None:
        self.answer, self.now = answer, now
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="aws-simulator", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            connection.close()
        self._thread.join(10)
