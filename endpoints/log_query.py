"""Which lines of which log an address asks for: for every page that shows one."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest

MOST_REPLICAS = 64
LINES = (200, 400, 2000)


@dataclass(frozen=True)
class Wanted:
    """What the address asks for; nonsense counts as not said."""

    replica: int
    previous: bool
    lines: int

    @classmethod
    def of(cls, request: HttpRequest, usual: int = LINES[0]) -> Wanted:
        """`usual` is the number of lines where the address names none."""
        replica, lines = request.GET.get("replica", ""), request.GET.get("lines", "")
        return cls(
            replica=int(replica) if replica.isdecimal() and len(replica) < 3 and int(replica) < MOST_REPLICAS else 0,
            previous=request.GET.get("previous") == "1",
            lines=next((choice for choice in LINES if lines == str(choice)), usual))

    @property
    def query(self) -> str:
        return urlencode({"replica": self.replica, "previous": int(self.previous), "lines": self.lines})
