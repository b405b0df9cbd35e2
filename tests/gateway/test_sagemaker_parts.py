"""Parts of SageMaker's side whose rules are easier to see alone: addresses, refusals, frames, and what is lent."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
import zlib
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ObjectDoesNotExist
from hypothesis import given
from hypothesis import strategies as st

from clusters.drivers.aws import AwsError, AwsProblem
from endpoints.gateway.aws import lender as lending
from endpoints.gateway.aws.address import Place, place_in
from endpoints.gateway.aws.lender import Lender, Lent
from endpoints.gateway.aws.refusals import answer_to, said
from endpoints.gateway.aws.runtime import RuntimeConnection
from endpoints.gateway.connection import UpstreamError
from endpoints.gateway.errors import GatewayError
from endpoints.gateway.replica import NotSent
from endpoints.gateway.snapshot import Address

UID = UUID("0190a6f2-7a51-7c3e-9d6e-3b1f5a2c4d5e")
AT = f"sagemaker://{UID.hex}/us-west-2"


@pytest.mark.parametrize(("url", "place"), [
    (f"{AT}/chat-1", Place(UID, "us-west-2", "chat-1")),
    (f"{AT}/chat-1/part-2", Place(UID, "us-west-2", "chat-1", "part-2")),
    (f"{AT}/chat-1?async=a.bucket-1", Place(UID, "us-west-2", "chat-1", bucket="a.bucket-1")),
    (f"sagemaker://{UID.hex}/cn-north-1/c", Place(UID, "cn-north-1", "c")),
    (f"sagemaker://{UID.hex}/us-gov-east-1/c", Place(UID, "us-gov-east-1", "c")),
])
def test_addresses_of_sagemaker(url: str, place: Place) -> None:
    assert place_in(url) == place
    assert Address(url, "").is_usable


@pytest.mark.parametrize("url", [
    AT, f"{AT}/", "sagemaker://us-west-2/chat", f"sagemaker://{UID}/us-west-2/chat", f"sagemaker://{UID.hex}/evil.example/chat",
    f"sagemaker://{UID.hex}/us-west-2.evil.example#/chat", f"{AT}/chat/../x", f"{AT}/chat/part?async=bucket",
    f"{AT}/chat?async=", f"{AT}/chat?async=Bucket/x", f"{AT}/chat?other=x", f"{AT}/chat%0d%0a", f"{AT}/{'c' * 64}", f"{AT}/-c",
    f"eks+https://{UID}@api.example/x", "eks+https://api.example/x", f"eks+https://{UID.hex}@/x", "eks+http://api.example/x",
])
def test_addresses_that_are_not_whole_are_left_out(url: str) -> None:
    assert not Address(url, "").is_usable


def test_the_address_of_a_cluster_in_eks_names_whose_bearer_it_wants() -> None:
    address = Address(f"eks+https://{UID.hex}@api.example:8443/api/v1", "")
    assert address.is_usable
    assert address.needs_aws


# Refusals


def refused(status: int, code: str, message: str = "", **more: Any) -> Any:
    body = json.dumps({"Message": message, **more}).encode()
    return said(status, {b"x-amzn-errortype": code.encode()}, body)


@pytest.mark.parametrize(("status", "code", "message", "shown", "word"), [
    (400, "ThrottlingException", "Rate exceeded", 429, "rate_limit_exceeded"),
    (429, "ThrottlingException:http://internal.amazon.com/coral/", "Rate exceeded", 429, "rate_limit_exceeded"),
    (429, "ModelNotReadyException", "not loaded", 503, "model_not_ready"),
    (400, "ValidationError", "Inference Component has no capacity to process this request.", 503, "model_not_ready"),
    (400, "ValidationError", "Endpoint chat of account 123456789012 not found.", 502, "upstream_unavailable"),
    (413, "", "", 413, "body_too_big"),
    (503, "ServiceUnavailable", "", 503, "upstream_unavailable"),
    (500, "InternalFailure", "", 502, "upstream_unavailable"),
    (530, "InternalDependencyException", "", 502, "upstream_unavailable"),
    (403, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized", 502, "upstream_unavailable"),
    (302, "", "", 502, "upstream_unavailable"),
])
def test_what_aws_refuses_is_said_in_openais_shape_without_its_own_names(
    status: int, code: str, message: str, shown: int, word: str,
) -> None:
    with pytest.raises(GatewayError) as error:
        answer_to(refused(status, code, message))
    assert (error.value.status, error.value.code) == (shown, word)
    assert "123456789012" not in error.value.body().decode()
    assert (b"retry-after" in dict(error.value.headers)) is (shown in (429, 502, 503))


@pytest.mark.parametrize(("words", "message"), [
    ('{"error":{"message":"too long by 7","type":"BadRequestError","param":null,"code":400}}', "too long by 7"),
    ('{"object":"error","message":"too long by 7","type":"BadRequestError","code":400}', "too long by 7"),
    ('{"error":"too long by 7"}', "too long by 7"),
    ("<b>trace of account 123456789012</b>", "The model's engine answered with status 400."),
    ("", "The model's engine answered with status 400."),
])
async def test_an_engines_refusal_keeps_its_status_and_words(words: str, message: str) -> None:
    told = refused(424, "ModelError", "Received client error (400) from primary in account 123456789012",
                   OriginalStatusCode=400, OriginalMessage=words)
    exchange = answer_to(told)
    assert exchange.connection.status == 400
    assert json.loads(exchange.first)["error"]["message"] == message
    assert b"123456789012" not in exchange.first
    assert (exchange.connection.is_complete, await exchange.connection.read()) == (True, b"")


def test_a_container_that_was_too_slow_is_a_504_that_names_the_way_out() -> None:
    told = refused(424, "ModelError", OriginalStatusCode=0, OriginalMessage="Your invocation timed out")
    with pytest.raises(GatewayError, match="stream") as error:
        answer_to(told)
    assert error.value.status == 504


@pytest.mark.parametrize(("headers", "body", "code"), [
    ({b"x-amzn-errortype": b"ExpiredTokenException"}, b"<xml/>", "ExpiredTokenException"),
    ({}, b'{"__type":"com.amazonaws#InvalidSignatureException","message":"x"}', "InvalidSignatureException"),
    ({}, b'{"code":"RequestExpired"}', "RequestExpired"),
])
def test_refused_signatures_are_known_by_header_or_body(headers: dict[bytes, bytes], body: bytes, code: str) -> None:
    told = said(403, headers, body)
    assert told.code == code
    assert told.is_stale


def test_a_refusal_that_is_no_json_is_one_all_the_same() -> None:
    assert said(403, {}, b"\xff").code == ""
    assert said(403, {}, b"[1]").message == ""


# Frames


def text_header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()


def frame(payload: bytes, **names: str) -> bytes:
    """One message of an event stream, as the protocol's description has it."""
    headers = b"".join(text_header(f":{name.replace('_', '-')}", value) for name, value in names.items())
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def part(payload: bytes) -> bytes:
    return frame(payload, event_type="PayloadPart", message_type="event", content_type="application/octet-stream")


HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\nset-cookie: x=1\r\n"
        b"x-amzn-sagemaker-content-type: text/event-stream; charset=utf-8\r\ncontent-length: %d\r\n\r\n")
FAILURE = frame(b'{"Message":"of account 123"}', exception_type="ModelStreamError", message_type="exception")


class Line(asyncio.Transport):
    """A transport to a server that already wrote everything."""

    def write(self, data: Any) -> None: ...
    def is_closing(self) -> bool:
        return False

    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def received(pieces: list[bytes]) -> tuple[RuntimeConnection, bytes, str]:
    """What a caller reads of an answer that comes in these pieces, and the error that ends it."""
    connection = RuntimeConnection(asyncio.get_running_loop())
    connection.connection_made(Line())
    connection.send(b"")
    got, error = b"", ""
    for piece in pieces:
        connection.data_received(piece)
    connection.connection_lost(None)
    try:
        while data := await connection.read():
            got += data
    except UpstreamError as reason:
        error = str(reason)
    return connection, got, error


def answer(*frames: bytes) -> bytes:
    body = b"".join(frames)
    return HEAD % len(body) + body


EVENTS = b'data: {"a": 1}\n\ndata: [DONE]\n\n'


@given(st.lists(st.integers(0, 900), max_size=12), st.lists(st.integers(0, len(EVENTS)), max_size=4))
def test_however_frames_and_events_are_cut_the_containers_bytes_come_out(cuts: list[int], inner: list[int]) -> None:
    payloads = [EVENTS[a:b] for a, b in pairwise([0, *sorted(inner), len(EVENTS)])]
    whole = answer(*map(part, payloads))
    ends = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    connection, got, error = asyncio.run(received([whole[a:b] for a, b in pairwise(ends)]))
    assert (got, error) == (EVENTS, "")
    assert connection.fields == {b"content-type": b"text/event-stream; charset=utf-8"}


async def test_an_exception_frame_breaks_the_stream_after_what_came_before() -> None:
    whole = answer(part(b"data: 1\n\n"), FAILURE)
    split = len(whole) - len(FAILURE)
    assert (await received([whole[:split], whole[split:]]))[1:] == (b"data: 1\n\n", "the stream ended with ModelStreamError")
    assert (await received([whole]))[1:] == (b"data: 1\n\n", "the stream ended with ModelStreamError")


async def test_damaged_frames_are_an_error_and_never_an_end() -> None:
    broken = bytearray(answer(part(b"data: 1\n\n")))
    broken[-6] ^= 1
    connection, got, error = await received([bytes(broken)])
    assert got == b""
    assert "event stream" in error
    assert not connection.is_reusable


async def test_a_stream_cut_inside_a_frame_is_an_error() -> None:
    whole = answer(part(b"data: 1\n\n"), part(b"data: 2\n\n"))
    assert (await received([whole[:-5]]))[1:] == (b"data: 1\n\n", "the engine closed the connection")


async def test_an_answer_without_frames_passes_as_it_is() -> None:
    plain = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
    assert (await received([plain]))[1:] == (b"{}", "")


# What AWS lends


class Source:
    """Lends numbers; counts how often it was asked."""

    def __init__(self, seconds: float = 600) -> None:
        self.asked: list[bool] = []
        self.seconds = seconds
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, key: UUID, fresh: bool) -> Lent[int]:
        self.gate.wait(5)
        self.asked.append(fresh)
        if self.error is not None:
            raise self.error
        return Lent(self.asked.count(True), time.time() + self.seconds)


@pytest.fixture
def source() -> Source:
    return Source()


async def test_many_calls_at_once_ask_once(source: Source) -> None:
    lender, key = Lender(source), uuid4()
    source.gate.clear()
    waiting = [asyncio.create_task(lender.get(key)) for _ in range(20)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*waiting) == [0] * 20
    assert await lender.get(key) == 0
    assert source.asked == [False]
    lender.close()


async def test_a_refused_one_is_replaced_once_for_all_who_held_it(source: Source) -> None:
    lender, key = Lender(source), uuid4()
    held = await lender.get(key)
    assert await asyncio.gather(*(lender.renew(key, held) for _ in range(5))) == [True] * 5
    assert source.asked == [False, True]
    assert await lender.get(key) == 1
    lender.close()


async def test_a_right_that_is_missing_for_long_does_not_ask_for_each_call(source: Source) -> None:
    lender, key = Lender(source), uuid4()
    source.seconds = 600
    held = await lender.get(key)
    source.error = AwsError(AwsProblem.UNREACHABLE, "away")
    assert [await lender.renew(key, held) for _ in range(5)] == [False] * 5
    assert source.asked == [False, True]
    assert await lender.get(key) == held
    lender.close()


async def test_what_has_ended_is_not_used_and_not_asked_for_at_once_again(source: Source) -> None:
    lender, key = Lender(source), uuid4()
    source.seconds = -1
    for _ in range(3):
        with pytest.raises(NotSent):
            await lender.get(key)
    assert source.asked == [False]
    lender.close()


@pytest.mark.parametrize("error", [ObjectDoesNotExist(), AwsError(AwsProblem.AUTH, "no")])
async def test_an_account_that_is_gone_is_used_no_more_and_one_that_is_away_is(
    source: Source, error: Exception, monkeypatch: pytest.MonkeyPatch,
) -> None:
    lender, key = Lender(source), uuid4()
    held = await lender.get(key)
    monkeypatch.setattr(lending, "RENEW_SECONDS", 0.0)
    source.error = error
    lender.tick(key)
    await lender.renew(key, -1)  # it waits for the question that is under way
    assert source.asked == [False, False]
    if isinstance(error, AwsError):
        assert await lender.get(key) == held
    else:
        with pytest.raises(NotSent):
            await lender.get(key)
    lender.close()
