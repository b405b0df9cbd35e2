"""The gateway's own parts without keys, limits and metering: what those three cost is the rest. It counts its calls.

Run by the bench in the portal's environment: python -m bench.gateway.bare PORT
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from endpoints.gateway import asgi  # sets Django up, so it goes first
from endpoints.gateway.book import Book, Forgotten
from endpoints.gateway.call import Call
from endpoints.gateway.doors import DOORS
from endpoints.gateway.gateway import Gateway
from endpoints.gateway.limits import Unlimited
from endpoints.gateway.metrics import CALLS
from endpoints.gateway.registry import Registry
from endpoints.gateway.snapshot import Key, Target
from endpoints.gateway.work import Work

for _path, _door in DOORS.items():
    DOORS[_path] = replace(_door, is_free=True)  # of a free answer nobody reads the usage

from endpoints.gateway.protocol import GatewayProtocol  # noqa: E402 - takes the doors as they are now
from endpoints.gateway.serving.server import server  # noqa: E402


class AnyKey(Registry):
    """Everybody is the first caller that is known."""

    def known(self, *_credentials: Any) -> Key | None:
        return next(iter(self.snapshot.keys.values()), None)


class NoBook(Book):
    def open(self, call: Call, work: Work) -> None:
        """Nobody counts."""

    def moved(self, call: Call, target: Target) -> None:
        """Nobody counts."""

    def note(self, call: Call, now: float) -> None:
        """Nobody counts what was used; that there was a call is among the figures of any gateway."""
        CALLS.add(call.route, call.status, now - call.started, call.first_byte)


class Bare(Gateway):
    def __init__(self) -> None:
        super().__init__(limits=Unlimited(), spool=Forgotten())
        self._registry = AnyKey(self._config.refresh_seconds)
        self.book = NoBook(Forgotten(), self._config.flush_seconds)


class BareProtocol(GatewayProtocol):
    gateway = Bare()


def main(port: str) -> None:
    asgi.gateway = BareProtocol.gateway
    server(asgi.application, 8, host="127.0.0.1", port=int(port), http=BareProtocol).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1])
