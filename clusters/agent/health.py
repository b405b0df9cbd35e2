"""Asking an engine whether it is well, without holding up the loop that watches all of them."""

from __future__ import annotations

import http.client
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

SECONDS = 2.0


class Probe(Protocol):
    """Starts a check of `/health`; the result comes later."""

    def __call__(self, address: str, port: int) -> Future[bool]: ...


def is_healthy(address: str, port: int) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Prober:
    def __init__(self, workers: int = 8) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="health")

    def __call__(self, address: str, port: int) -> Future[bool]:
        return self._pool.submit(is_healthy, address, port)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
