"""A stand-in for an engine that is healthy at once, so that only the portal's own time is measured.

Started by the agent as an engine is; writes the moment of its first healthy answer beside its log.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Health(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


def main() -> None:
    words = sys.argv
    server = ThreadingHTTPServer(("127.0.0.1", int(words[words.index("--port") + 1])), Health)
    Path("healthy").write_text(str(time.clock_gettime(time.CLOCK_BOOTTIME)))
    server.serve_forever()


if __name__ == "__main__":
    main()
