"""A small engine for tests of the agent: a real process with a real port, told how to behave by its model's file.

It is started exactly as the real one is (`-m vllm.entrypoints.openai.api_server --model FILE ...`). FILE holds
JSON: load_seconds, lines (log), exit_code and text (crash after loading), ignore_term, record (where to write
arguments and environment), child (start a worker process), healthy_seconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def option(name: str) -> str:
    """The last value of an option, as argparse takes it."""
    return [sys.argv[i + 1] for i, word in enumerate(sys.argv[:-1]) if word == name][-1]


class Door(BaseHTTPRequestHandler):
    script: dict[str, Any] = {}
    ready_at = 0.0

    def do_GET(self) -> None:
        well = self.path == "/health" and time.monotonic() - self.ready_at < self.script.get("healthy_seconds", 1e9)
        self.send_response(200 if well else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def main() -> None:
    path = Path(option("--model"))
    script = json.loads(path.read_text()) if path.is_file() else {}
    if record := script.get("record"):
        Path(record).write_text(json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid()}))
    if script.get("ignore_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if script.get("child"):
        subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
    for line in script.get("lines", []):
        print(line, flush=True)
    time.sleep(script.get("load_seconds", 0))
    if "exit_code" in script:
        print(script.get("text", ""), file=sys.stderr, flush=True)
        sys.exit(script["exit_code"])
    Door.script = script
    server = ThreadingHTTPServer((option("--host"), int(option("--port"))), Door)
    Door.ready_at = time.monotonic()
    server.serve_forever()


if __name__ == "__main__":
    main()
