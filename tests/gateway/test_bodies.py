"""Request bodies: what is refused, in which words, and how fast (T29, T39)."""

from __future__ import annotations

import contextlib
import json
import time

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.gateway.body import Body, check_fields
from endpoints.gateway.errors import GatewayError
from tests.gateway.server import Tenant
from tests.simulators.openai_backend import OpenAIBackend

BAD = {
    "not JSON": (b"{", "invalid_json"),
    "empty": (b"", "invalid_json"),
    "a list": (b"[]", "invalid_body"),
    "NaN": (b'{"model":"m","temperature":NaN}', "invalid_json"),
    "Infinity": (b'{"model":"m","temperature":-Infinity}', "invalid_json"),
    "a number beyond floats": (b'{"model":"m","temperature":1e999}', "invalid_json"),
    "model twice": (b'{"model":"m","model":"n"}', "duplicate_key"),
    "model twice, once as an escape": (b'{"model":"m","\\u006dodel":"n"}', "duplicate_key"),
    "a key twice, deep down": (b'{"model":"m","a":[{"b":{"c":1,"c":2}}]}', "duplicate_key"),
    "a key twice, balanced by an escaped colon": (b'{"model":"m","a":"\\u003a","model":1}', "duplicate_key"),
    "a key twice, balanced by an escaped colon in a key": (b'{"\\u003A":1,"a":1,"a":2}', "duplicate_key"),
    "a big value dropped": (b'{"a":"\\u003a","b":' + b"1" * 4200 + b',"b":1}', "duplicate_key"),
    "too deep": (b'{"model":"m","a":' + b"[" * 65 + b"]" * 65 + b"}", "json_too_deep"),
    "100,000 deep": (b'{"model":"m","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json_too_deep"),
    "100,000 deep and open": (b'{"a":' * 100_000, "json_too_deep"),
    "a big integer": (b'{"model":"m","seed":92233720368547758070}', "integer_too_big"),
    "a huge integer": (b'{"model":"m","seed":' + b"9" * 100_000 + b"}", "invalid_json"),
    "a lone surrogate": (b'{"model":"m","a":"\\ud800"}', "invalid_json"),
    "a lone surrogate as key": (b'{"model":"m","\\udfff":1}', "invalid_json"),
    "not UTF-8": (b'{"model":"m","a":"\xff"}', "invalid_json"),
    "a byte order mark": (b'\xef\xbb\xbf{"model":"m"}', "invalid_json"),
    "text after the end": (b'{"model":"m"} {"model":"n"}', "invalid_json"),
    "a raw control character": (b'{"model":"m\n"}', "invalid_json"),
    "too many lists": (b'{"model":"m","a":[' + b",".join([b"[]"] * 200_000) + b"]}", "too_many_values"),
}
BAD_FIELDS = {
    "no model": ({}, 400, "model"), "null": ({"model": None}, 400, "model"), "a list": ({"model": ["m"]}, 400, "model"),
    "a number": ({"model": 1}, 400, "model"), "empty": ({"model": ""}, 400, "model"),
    "1 MB": ({"model": "m" * 1_000_000}, 400, "model"),
    "n too big": ({"model": "m", "n": 10**9}, 422, "n"), "n zero": ({"model": "m", "n": 0}, 422, "n"),
    "n true": ({"model": "m", "n": True}, 400, "n"), "n text": ({"model": "m", "n": "1"}, 400, "n"),
    "minus one": ({"model": "m", "max_tokens": -1}, 422, "max_tokens"),
    "1e18": ({"model": "m", "max_tokens": 10**18}, 422, "max_tokens"),
    "a fraction": ({"model": "m", "max_completion_tokens": 1.5}, 400, "max_completion_tokens"),
    "stream as text": ({"model": "m", "stream": "true"}, 400, "stream"),
    "options as text": ({"model": "m", "stream": True, "stream_options": "x"}, 400, "stream_options"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_refused_by_name(name: str) -> None:
    raw, code = BAD[name]
    with pytest.raises(GatewayError) as refusal:
        Body(raw)
    assert (refusal.value.status, refusal.value.code) == (400, code)


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_bad_field_is_refused_by_name(name: str) -> None:
    body, status, param = BAD_FIELDS[name]
    with pytest.raises(GatewayError) as refusal:
        check_fields(body)
    assert (refusal.value.status, refusal.value.param) == (status, param)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | st.sampled_from([":", "\\u003a", '"a":1', "::"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.just(":"), inner, max_size=5), max_leaves=20)


@given(st.dictionaries(st.text(), JSON), st.booleans())
def test_every_good_body_passes_and_keeps_its_meaning(body: dict[str, object], as_ascii: bool) -> None:
    body["model"] = "m"
    raw = json.dumps(body, ensure_ascii=as_ascii).encode()
    assert json.loads(Body(raw).for_engine("m")) == body
    assert json.loads(Body(raw).for_engine("n")) == {**body, "model": "n"}
    written = Body(raw).for_engine("m")
    assert Body(written).for_engine("m") == written


@given(st.dictionaries(st.text(), JSON, min_size=1), st.booleans(), st.text())
def test_every_repeated_key_is_found(body: dict[str, object], as_ascii: bool, more: str) -> None:
    text = json.dumps(body, ensure_ascii=as_ascii)
    key = json.dumps(next(iter(body)), ensure_ascii=not as_ascii)
    raw = f"{text[:-1]}, {key}: {json.dumps(more)}}}"
    with pytest.raises(GatewayError) as refusal:
        Body(raw.encode("utf-8", "surrogatepass"))
    assert refusal.value.code == "duplicate_key"


@pytest.mark.parametrize("raw", [
    b'{"a":[' + b",".join([b"1"] * 1_900_000) + b"]}", b'{"a":[' + b",".join([b"[]"] * 1_300_000) + b"]}",
    b'{"a":"' + b"\\u003a" * 600_000 + b'"}', b'{"a":"' + b":" * 4_000_000 + b'"}', b"{" * 4_000_000,
    b'{"a":[' + b",".join([b'{"b":{}}'] * 74_000) + b"]}",
], ids=["numbers", "lists", "escapes", "colons", "open", "objects"])
def test_the_worst_bodies_take_less_than_300_ms(raw: bytes) -> None:
    assert min(cpu_seconds(raw) for _try in range(3)) < 0.3


def cpu_seconds(raw: bytes) -> float:
    begin = time.process_time()
    with contextlib.suppress(GatewayError):
        Body(raw)
    return time.process_time() - begin


def post(tenant: Tenant, key: str, raw: bytes, **headers: str) -> httpx.Response:
    return httpx.post(f"{tenant.server.url}/v1/chat/completions", content=raw, timeout=10, headers={
        "authorization": f"Bearer {key}", "content-type": "application/json", **headers})


def test_the_server_refuses_them_all_and_serves_the_next_good_one(tenant: Tenant, engine: OpenAIBackend) -> None:
    tenant.endpoint("m", engine.url, token="engine-token")
    tenant.wait_for("m")
    key = tenant.key()
    for raw, code in BAD.values():
        answer = post(tenant, key, raw)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
        assert answer.json()["error"]["type"] == "invalid_request_error"
    assert engine.requests == []
    assert post(tenant, key, b'{"model":"m","messages":[]}').status_code == 200


def test_size_type_and_compression_are_refused(tenant: Tenant) -> None:
    key = tenant.key()
    over = b'{"a":"' + b"x" * 4 * 1024 * 1024 + b'"}'
    assert post(tenant, key, over).json()["error"]["code"] == "body_too_big"
    assert post(tenant, key, b"{}", **{"content-type": "text/plain"}).status_code == 415
    assert post(tenant, key, b"{}", **{"content-encoding": "gzip"}).status_code == 415
    assert post(tenant, key, b"{}", **{"content-type": "application/json; charset=utf-8"}).status_code == 400


def test_an_endless_chunked_body_is_cut_off(tenant: Tenant) -> None:
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {tenant.key()}\r\n"
            "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").encode()
    answer = tenant.server.raw(head + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 80)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer


def test_the_body_that_goes_up_is_the_parsed_one(tenant: Tenant, engine: OpenAIBackend) -> None:
    tenant.endpoint("m", engine.url, token="engine-token")
    tenant.wait_for("m")
    post(tenant, tenant.key(), b' {"model" : "\\u006d", "messages":[ ], "x": "\\ud83d\\ude00\\u003a" } ')
    assert engine.requests[0].raw == '{"model":"m","messages":[],"x":"😀:"}'.encode()
