"""Serves the portal on a socket that the test has already bound, so that no port is ever taken by another."""

from __future__ import annotations

import os
import socket
import sys

from endpoints.gateway.serving.server import server

if __name__ == "__main__":
    application, descriptor = sys.argv[1:]
    other = {"http": os.environ["GATEWAY_HTTP"]} if "GATEWAY_HTTP" in os.environ else {}  # than the usual protocol
    one = server(application, 5, log_level="warning", **other)
    one.run(sockets=[socket.socket(fileno=int(descriptor))])
    sys.exit(0 if one.started else 3)
