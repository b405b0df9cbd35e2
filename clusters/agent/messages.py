"""What the agent and the portal say to each other. Plain types; the one module that both sides import.

Sizes are bytes, CPUs are thousandths, times are seconds. Lists are always complete.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated

from .strict import Between, Malformed, Shape, Upto, decode, encode

__all__ = [
    "MAX_ANSWER", "MAX_API_ANSWER", "MAX_CALL", "MAX_CALLS_ANSWER", "MAX_REQUEST", "TUNNEL_FRAME", "TUNNEL_WINDOW",
    "ApiAnswer", "ApiRequest", "ApiRequests", "Condition", "Connected", "Dial", "DialService", "EngineOrder",
    "EngineReport", "Enrol", "EnrolCluster", "Enrolled", "EnrolledCluster", "Gpu", "Inventory", "Malformed", "Orders",
    "Sync", "Taken", "Took", "decode", "encode", "signed_text",
]

MAX_REQUEST = 2 * 1024**2
MAX_ANSWER = 4 * 1024**2
# A manifest that is sent into a cluster, and what the cluster's API answers, compressed and in base64.
MAX_CALL = 1024**2
MAX_API_ANSWER = 4 * 1024**2
MAX_CALLS_ANSWER = 20 * MAX_CALL  # as many as are handed out at once, escaped
LOG_CHARS = 16_000
# Bytes of a tunnel's frame at most, and on the way at most: sent by one side, not yet passed on by the other.
TUNNEL_FRAME = 64 * 1024
TUNNEL_WINDOW = 256 * 1024

Word = Annotated[str, Upto(64)]
Name = Annotated[str, Upto(253)]
Line = Annotated[str, Upto(1000)]
Log = Annotated[str, Upto(LOG_CHARS)]
Uid = Annotated[str, Shape(r"[0-9A-Za-z-]{1,36}")]
Count = Annotated[int, Between(0, 2**31 - 1)]
Size = Annotated[int, Between(0, 2**62)]


@dataclass(frozen=True)
class Gpu:
    """`used_by_others` is what processes hold that are not our engines."""

    index: Annotated[int, Between(0, 1023)]
    uuid: Annotated[str, Upto(80)]
    model: Annotated[str, Upto(100)]
    memory_bytes: Size
    used_by_others: Size


@dataclass(frozen=True)
class Inventory:
    """What the machine has. `releases` are the engines that can be started here."""

    cpu_millis: Count
    memory_bytes: Size
    memory_used_by_others: Size
    disk_bytes: Size
    disk_free_bytes: Size
    system: Annotated[str, Upto(120)]
    releases: Annotated[tuple[Word, ...], Upto(64)]
    gpus: Annotated[tuple[Gpu, ...], Upto(64)]


@dataclass(frozen=True)
class Condition:
    """Something about the host that a person should know, such as DiskPressure."""

    type: Word
    message: Line


@dataclass(frozen=True)
class Enrol:
    """Asks for a place in the portal, once, with a one-use token. An empty address means the one it calls from."""

    token: Annotated[str, Upto(100)]
    public_key: Annotated[str, Upto(64)]
    name: Name
    address: Annotated[str, Upto(64)]
    local: bool
    agent_version: Annotated[str, Upto(32)]
    inventory: Inventory
    tunnel: bool = False


@dataclass(frozen=True)
class Enrolled:
    host: Uid
    address: Annotated[str, Upto(64)]
    epoch: Size


@dataclass(frozen=True)
class EngineReport:
    """How one engine is. `log` and `previous_log` are None where they are as reported before."""

    uid: Uid
    phase: Word
    message: Line
    cause: Word
    restarts: Count
    pid: Count | None = None
    port: Annotated[int, Between(1, 65535)] | None = None
    exit_code: Annotated[int, Between(-255, 2**32)] | None = None
    log: Log | None = None
    previous_log: Log | None = None


@dataclass(frozen=True)
class Sync:
    """The agent's report: every engine that it knows. The inventory is None where nothing changed."""

    epoch: Size
    agent_version: Annotated[str, Upto(32)]
    conditions: Annotated[tuple[Condition, ...], Upto(16)]
    engines: Annotated[tuple[EngineReport, ...], Upto(256)]
    inventory: Inventory | None = None


@dataclass(frozen=True)
class EngineOrder:
    """One engine that should run: arguments as a list, never a shell line."""

    uid: Uid
    engine: Word
    release: Word
    argv: Annotated[tuple[Annotated[str, Upto(8192)], ...], Upto(512)]
    env: Annotated[dict[Word, Annotated[str, Upto(4096)]], Upto(64)]
    devices: Annotated[tuple[Annotated[int, Between(0, 1023)], ...], Upto(64)]
    start_seconds: Annotated[int, Between(1, 86_400)]
    token: Annotated[str, Upto(200)]
    # What the model hub asks for; it reaches the engine's environment and nothing else.
    hub_token: Annotated[str, Upto(500)] = ""


@dataclass(frozen=True)
class Orders:
    """Everything that should run on the host. Only a complete list of the current epoch ends an engine."""

    complete: bool
    version: Size
    epoch: Size
    lease_seconds: Annotated[int, Between(1, 3600)]
    margin_seconds: Annotated[int, Between(0, 3600)]
    heartbeat_seconds: Annotated[int, Between(1, 3600)]
    engines: Annotated[tuple[EngineOrder, ...], Upto(256)]


@dataclass(frozen=True)
class EnrolCluster:
    """Asks to serve a Kubernetes cluster, once, with a one-use token."""

    token: Annotated[str, Upto(100)]
    public_key: Annotated[str, Upto(64)]
    agent_version: Annotated[str, Upto(32)]


@dataclass(frozen=True)
class EnrolledCluster:
    agent: Uid


@dataclass(frozen=True)
class ApiRequest:
    """One call to make to the cluster's API; `path` has the query, `body` is text."""

    uid: Uid
    method: Annotated[str, Shape("GET|POST|PUT|PATCH|DELETE")]
    path: Annotated[str, Shape(r"/(api|apis|version|openapi)([/?][!-~]{0,8000})?")]
    headers: Annotated[dict[Word, Line], Upto(16)]
    body: Annotated[str, Upto(MAX_CALL)]
    seconds: Annotated[int, Between(1, 60)]


@dataclass(frozen=True)
class ApiRequests:
    """The calls that wait for this agent; ask again for what is newer than `version`."""

    version: Size
    calls: Annotated[tuple[ApiRequest, ...], Upto(64)]


@dataclass(frozen=True)
class ApiAnswer:
    """What the cluster's API said; status 0 means that it could not be reached, and `body` (base64) says why."""

    uid: Uid
    status: Annotated[int, Between(0, 599)]
    headers: Annotated[dict[Word, Line], Upto(16)]
    body: Annotated[str, Upto(MAX_API_ANSWER)]


@dataclass(frozen=True)
class Taken:
    """The portal has it."""


@dataclass(frozen=True)
class Dial:
    """In a tunnel, to the agent: connect to the engine at this port of your host."""

    port: Annotated[int, Between(1, 65535)]


@dataclass(frozen=True)
class DialService:
    """In a tunnel, to the agent in a cluster: connect to this port of this Service of one of our endpoints."""

    port: Annotated[int, Between(1, 65535)]
    service: Annotated[str, Shape(r"[a-z0-9][-a-z0-9]{0,62}\.[a-z0-9][-a-z0-9]{0,62}\.svc")]


@dataclass(frozen=True)
class Connected:
    """In a tunnel, to the gateway: the engine is there; from now on binary frames are its bytes and yours."""


@dataclass(frozen=True)
class Took:
    """In a tunnel, both ways: so many more bytes of yours have been passed on."""

    took: Annotated[int, Between(1, TUNNEL_WINDOW)]


def signed_text(method: str, path: str, body: bytes, at: str, nonce: str) -> bytes:
    """The bytes that an agent signs for one request."""
    return "\n".join(("portal-agent-1", method, path, hashlib.sha256(body).hexdigest(), at, nonce)).encode()
