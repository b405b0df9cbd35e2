"""Bytes on the wire: smuggling, strange paths, other methods (T30 to T32)."""

from __future__ import annotations

import pytest

from tests.gateway.server import Tenant
from tests.simulators.openai_backend import OpenAIBackend

BODY = b'{"model":"m","messages":[]}'
LENGTH = b"content-length: %d\r\n" % len(BODY)
SMUGGLED = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"

HEADS = {
    "length and chunks": (LENGTH + b"transfer-encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "two lengths": (LENGTH + b"content-length: 3\r\n", BODY),
    "two equal lengths": (LENGTH + LENGTH, BODY),
    "a list of lengths": (b"content-length: 3, 3\r\n", BODY),
    "a signed length": (b"content-length: +27\r\n", BODY),
    "a length in hex": (b"content-length: 0x1b\r\n", BODY),
    "an unknown coding": (b"transfer-encoding: xchunked\r\n", BODY),
    "chunked not last": (b"transfer-encoding: chunked, identity\r\n", BODY),
    "a folded header": (LENGTH + b"x-a: b\r\n c\r\n", BODY),
    "a space before the colon": (b"content-length : %d\r\n" % len(BODY), BODY),
    "a bare line feed": (LENGTH + b"x-a: b\nx-c: d\r\n", BODY),
    "a bare carriage return": (LENGTH + b"x-a: b\rx-c: d\r\n", BODY),
    "a NUL in a value": (LENGTH + b"x-a: b\x00c\r\n", BODY),
    "a header without a name": (LENGTH + b": b\r\n", BODY),
    "a bad chunk size": (b"transfer-encoding: chunked\r\n", b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a negative chunk size": (b"transfer-encoding: chunked\r\n", b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": (b"transfer-encoding: chunked\r\n", b"fffffffffffffffff\r\n" + BODY),
}


@pytest.fixture
def key(tenant: Tenant, engine: OpenAIBackend) -> bytes:
    tenant.endpoint("m", engine.url, token="engine-token")
    tenant.wait_for("m")
    return tenant.key().encode()


def request(key: bytes, extra: bytes, rest: bytes, line: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    return (line + b"\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\ncontent-type: application/json\r\n"
            + extra + b"\r\n" + rest)


@pytest.mark.parametrize("name", HEADS)
def test_ambiguous_framing_is_refused_and_closed(tenant: Tenant, engine: OpenAIBackend, key: bytes, name: str) -> None:
    extra, rest = HEADS[name]
    answer = tenant.server.raw(request(key, extra, rest), 3)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400")
    assert engine.requests == []


def test_huge_headers_are_refused(tenant: Tenant, engine: OpenAIBackend, key: bytes) -> None:
    answer = tenant.server.raw(request(key, LENGTH + b"x-a: " + b"b" * 100_000 + b"\r\n", BODY), 3)
    assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert engine.requests == []


@pytest.mark.parametrize("name", [b"authorization", b"content-length", b"x-request-id"])
def test_a_header_named_as_hop_by_hop_changes_nothing(
    tenant: Tenant, engine: OpenAIBackend, key: bytes, name: bytes,
) -> None:
    answer = tenant.server.raw(request(key, LENGTH + b"connection: close, " + name + b"\r\n", BODY), 3)
    assert answer.startswith(b"HTTP/1.1 200")
    assert engine.requests[0].header("authorization") == "Bearer engine-token"
    assert engine.requests[0].header("connection") is None


def test_two_requests_in_one_packet_are_two_answers(tenant: Tenant, engine: OpenAIBackend, key: bytes) -> None:
    one = request(key, LENGTH, BODY)
    answer = tenant.server.raw(one + request(key, LENGTH + b"connection: close\r\n", BODY), 3)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert len(engine.requests) == 2


PATHS = [
    b"//v1/chat/completions", b"/v1//chat/completions", b"/v1/../v1/chat/completions", b"/v1/./chat/completions",
    b"/v1/%2e%2e/admin", b"/v1/%2e%2e/v1/chat/completions", b"/v1/chat%2fcompletions", b"/%761/chat/completions",
    b"/v1/chat/completions/", b"/v1/chat/completions;x", b"/v1/chat/completions%00", b"/V1/chat/completions",
    b"/v1/chat/completions%20", b"/v1/chat\\completions", b"/v1/deployments/../chat/completions", b"/chat/completions",
    b"/v1/models/../chat/completions", b"/v1/metrics", b"/v1/sleep", b"/v1/load_lora_adapter", b"/v1/invocations",
    b"/v1/responses/x-1", b"/v1/responses/x-1/cancel", b"/invocations", b"/tokenizer_info", b"/v1/rerank/x", b"/v1/", b"/v1",
]


@pytest.mark.parametrize("path", PATHS, ids=[path.decode() for path in PATHS])
def test_other_spellings_and_other_routes_reach_no_engine(
    tenant: Tenant, engine: OpenAIBackend, key: bytes, path: bytes,
) -> None:
    line = b"POST " + path + b" HTTP/1.1"
    extra = LENGTH + b"connection: close\r\nx-original-url: /v1/completions\r\n"
    answer = tenant.server.raw(request(key, extra, BODY, line), 3)
    assert answer.split(b" ")[1] in (b"400", b"403", b"404", b"405")
    assert engine.requests == []


def test_an_absolute_target_is_only_its_path_and_needs_a_key(tenant: Tenant, engine: OpenAIBackend, key: bytes) -> None:
    line = b"POST http://elsewhere/v1/chat/completions HTTP/1.1"
    extra = LENGTH + b"connection: close\r\n"
    assert tenant.server.raw(request(b"none", extra, BODY, line), 3).startswith(b"HTTP/1.1 401")
    assert tenant.server.raw(request(key, extra, BODY, line), 3).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"])
def test_other_methods_are_refused(tenant: Tenant, engine: OpenAIBackend, key: bytes, method: bytes) -> None:
    extra = LENGTH + b"connection: close\r\nx-http-method-override: POST\r\n"
    answer = tenant.server.raw(request(key, extra, BODY, method + b" /v1/chat/completions HTTP/1.1"), 3)
    assert answer.startswith(b"HTTP/1.1 405")
    assert b"allow: POST" in answer
    assert engine.requests == []


def test_a_slow_body_is_given_up(tenant: Tenant, engine: OpenAIBackend, key: bytes) -> None:
    answer = tenant.server.raw(request(key, LENGTH, BODY[:5]), 6)  # the server of these tests waits 3 s
    assert answer.startswith(b"HTTP/1.1 408")
    assert engine.requests == []


def test_djangos_addresses_stay_djangos(tenant: Tenant) -> None:
    get = b"GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    assert b"x-frame-options: deny" in tenant.server.raw(get % b"/nothing").lower()  # set by Django's middleware
    assert b"There is no such address here" in tenant.server.raw(get % b"/v1/nothing")
    assert b"There is no such address here" not in tenant.server.raw(get % b"/v1/deployments")
