"""Faults that tests ask for: refusals, delays, resets, servers that fall silent, answers cut short."""

from __future__ import annotations

import fnmatch
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.errors import REASONS, ApiError

TOLD = {
    401: "Unauthorized", 403: "forbidden: by a fault", 409: "Operation cannot be fulfilled: the object has been modified",
    410: "The resourceVersion for the provided list is too old.",
    429: "Too many requests, please try again later.", 500: "Internal error occurred: by a fault",
    503: "the server is currently unable to handle the request", 504: "the server was unable to return a response in time",
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Fault:
    """What happens to matching requests; `times` says to how many (None: to all until it is removed)."""

    method: str = "*"
    path: str = "*"
    status: int = 0
    times: int | None = None
    retry_after: int | None = None
    delay: float = 0.0
    reset: bool = False
    half_open: bool = False
    cut_after: int | None = None
    """So many bytes of the body come, then the connection is reset."""
    message: str = ""
    hits: int = 0
    remove: Callable[[], None] = field(default=lambda: None)

    def takes(self, request: Request) -> bool:
        """Whether the request is one of its; counts it then."""
        if self.times is not None and self.hits >= self.times:
            return False
        if self.method not in ("*", request.method) or not fnmatch.fnmatchcase(request.path, self.path):
            return False
        self.hits += 1
        return True

    def error(self) -> ApiError:
        details: dict[str, Any] = {"retryAfterSeconds": self.retry_after} if self.retry_after is not None else {}
        headers = {"retry-after": str(self.retry_after)} if self.retry_after is not None else {}
        told = self.message or TOLD.get(self.status, "a fault that a test asked for")
        return ApiError(self.status, REASONS.get(self.status, ""), told, details or None, headers=headers)


def reset(transport: Any) -> None:
    """Ends the connection with a TCP reset, as a server that crashed or a firewall does."""
    end = transport.get_extra_info("socket")
    if end is not None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
