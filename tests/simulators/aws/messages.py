"""One request and one answer, and what is remembered of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Params = dict[str, Any]


@dataclass(slots=True)
class Request:
    """As it came on the wire; header names in lower case."""

    method: str
    path: str  # still percent-encoded
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    def parameter(self, name: str) -> str:
        return dict(self.pairs).get(name, "")


@dataclass(slots=True)
class Answer:
    """`body` as pieces is sent chunk by chunk."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    code: str = ""  # AWS's error code


def json_answer(body: Any, status: int = 200, content_type: str = "application/x-amz-json-1.1", **headers: str) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"content-type": content_type, **headers})


def request_id() -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class Identity:
    """Who signed: the principal behind an access key."""

    arn: str
    account: str
    user_id: str
    access_key_id: str = ""


@dataclass(slots=True)
class Call:
    """One operation asked for by somebody known."""

    service: str
    operation: str  # as AWS writes it: CreateEndpoint
    region: str
    identity: Identity
    params: Params
    request: Request


@dataclass(slots=True)
class Recorded:
    """A request as tests look at it: never with a secret."""

    method: str
    path: str
    host: str
    header_names: list[str]
    access_key_id: str = ""
    service: str = ""
    operation: str = ""
    region: str = ""
    params: Params = field(default_factory=dict)
    status: int = 0  # 0: the connection was dropped
    code: str = ""

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"
