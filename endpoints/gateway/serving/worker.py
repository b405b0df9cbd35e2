"""One gateway process: `python -m endpoints.gateway.serving.worker`, started by `manage.py gateway` with its sockets."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

if __name__ == "__main__":
    os.environ["PORTAL_ONLY_GATEWAY"] = "true"  # before Django is set up

from ..asgi import gateway
from .admin import NOT_FOUND, Answer, Question, answering
from .server import config
from .sharing import SharingServer

APPLICATION = "endpoints.gateway.asgi:application"
CANNOT_START = 3


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="endpoints.gateway.serving.worker")
    parser.add_argument("--listen", type=int, action="append", required=True, help="descriptor of a callers' socket")
    parser.add_argument("--sibling", type=int, action="append", default=[], help="descriptor of another worker's socket")
    parser.add_argument("--admin", type=int, required=True, help="descriptor of the socket for probes and figures")
    parser.add_argument("--drain", type=float, required=True, help="seconds that running answers get at the end")
    return parser.parse_args(argv)


async def pages(question: Question) -> Answer:
    """What this process says of itself."""
    if question.path == "/livez":
        return Answer(200, b"ok\n")
    if question.path == "/readyz":
        return Answer(200, b"ready\n") if gateway.is_fresh else Answer(503, b"keys and routes are too old\n")
    if question.path == "/metrics":
        return Answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
    return NOT_FOUND


async def serve(one: uvicorn.Server, listeners: list[socket.socket], admin: socket.socket) -> None:
    async with answering(pages, admin):
        await one.serve(sockets=listeners)


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM; then end running answers, and write down what is in memory."""
    options = parse(argv)
    one = SharingServer(config(APPLICATION, options.drain, log_config=None, log_level="warning"))
    listeners = [socket.socket(fileno=number) for number in options.listen]
    one.siblings = [socket.socket(fileno=number) for number in options.sibling]
    # uvicorn raises the signal again when it has stopped; that it did stop in peace is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with asyncio.Runner(loop_factory=one.config.get_loop_factory()) as runner:
        runner.run(serve(one, listeners, socket.socket(fileno=options.admin)))
    return 0 if one.started else CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
