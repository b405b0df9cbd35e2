"""Serves the portal on a socket that the test has already bound, so that no port is ever taken by another."""

from __future__ import annotations

import socket
import sys

import uvicorn

if __name__ == "__main__":
    application, descriptor = sys.argv[1:]
    server = uvicorn.Server(uvicorn.Config(
        application, log_level="warning", timeout_graceful_shutdown=5, access_log=False, proxy_headers=False))
    server.run(sockets=[socket.socket(fileno=int(descriptor))])
    sys.exit(0 if server.started else 3)
