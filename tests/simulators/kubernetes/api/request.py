"""A request, read: what its path means, its query, its body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes = b""
    certificate: dict[str, Any] | None = None
    """The client's certificate, if it showed one that our CA signed (as ssl.getpeercert tells it)."""
    transport: Any = None
    connection: int = 0
    user: Any = None
    raw_query: bytes = b""

    def one(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def all_headers(self, name: str) -> list[str]:
        found = self.headers.get(name, "")
        return [each for each in found.split("\0") if each]


@dataclass(frozen=True, slots=True)
class Target:
    """What a path under /api or /apis names."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: tuple[str, ...] = field(default=())
    """What follows the subresource (a proxy's path)."""


def target(path: str) -> Target | None:
    """The resource that a path names; None for a path that names none (discovery, health)."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if rest[0] == "watch" and len(rest) > 1:  # the old form of ?watch=true
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *more = [*map(unquote, rest[:3]), *[""] * (3 - len(rest)), *rest[3:]]
    if plural == "namespaces" and not group:
        namespace = name
    return Target(group, version, plural, namespace, name, subresource, tuple(more))
