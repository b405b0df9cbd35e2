"""Passing an engine's answer on to the caller: whole, in pieces, or as a stream of events."""

from __future__ import annotations

import msgspec

from .call import Call
from .connection import UpstreamError
from .errors import GatewayError, error_body, upstream_unavailable
from .replica import Exchange, collect
from .tap import TAIL_BYTES, StreamTap, usage_in_tail, usage_of

WHOLE_BYTES = 1024 * 1024
ERROR_BYTES = 256 * 1024
LAST_STATUS = 599
JSON = b"application/json"
EVENTS = b"text/event-stream"
INTERRUPTED = b"data: " + error_body(
    "The model's engine stopped in the middle of the answer.", "upstream_interrupted", "upstream_interrupted") + b"\n\n"


class _ErrorAnswer(msgspec.Struct):
    error: dict[str, msgspec.Raw]


async def relay(call: Call, exchange: Exchange, tap: StreamTap) -> None:
    """Answer the call with what the engine says. Raises GatewayError while nothing has been sent yet."""
    status = exchange.connection.status
    headers = dict(exchange.connection.headers)
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if status >= 400:
        await _relay_refusal(call, exchange, kind, headers.get(b"retry-after", b""))
    elif status >= 300 or kind not in (JSON, EVENTS):
        # Never a page or a redirect: the answer would speak in the name of the portal's own address.
        raise upstream_unavailable("The model's engine gave an answer that is neither JSON nor a stream of events.")
    elif kind == EVENTS:
        await _relay_events(call, exchange, tap)
    else:
        await _relay_json(call, exchange, headers.get(b"content-length", b""))


async def _relay_refusal(call: Call, exchange: Exchange, kind: bytes, wait: bytes) -> None:
    """An engine's error keeps status and text if it has OpenAI's shape; one about our own token is ours to explain."""
    status = exchange.connection.status
    if status in (401, 403, 407):
        raise upstream_unavailable("The model's engine refused the portal.")
    body = await _collect(exchange, ERROR_BYTES)
    call.error = "engine_refused"
    if kind != JSON or not _has_error(body):
        kind_of_error = "upstream_error" if status >= 500 else "invalid_request_error"
        body = error_body(f"The model's engine answered with status {status}.", kind_of_error, "upstream_error")
    known = status if status <= LAST_STATUS else 502  # a server can't write down what HTTP has no class for
    await call.answer(known, body, ((b"retry-after", wait),) if wait.isdigit() else ())


def _has_error(body: bytes) -> bool:
    try:
        return "message" in msgspec.json.decode(body, type=_ErrorAnswer).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


async def _collect(exchange: Exchange, limit: int) -> bytes:
    try:
        return await collect(exchange, limit)
    except UpstreamError as error:
        raise upstream_unavailable("The model's engine stopped in the middle of the answer.") from error


async def _relay_json(call: Call, exchange: Exchange, length: bytes) -> None:
    body = await _collect(exchange, WHOLE_BYTES)
    if exchange.connection.is_complete:
        call.usage = usage_of(body)
        await call.answer(exchange.connection.status, body)
        return
    call.usage.is_partial = True
    framing = [(b"content-length", length)] if length.isdigit() else []
    await call.start(exchange.connection.status, [(b"content-type", JSON), *framing])
    tail = b""
    while body:
        tail = (tail + body)[-TAIL_BYTES:]
        await call.write(body, more=True)
        body = await exchange.connection.read()
    call.usage = usage_in_tail(tail)
    await call.write(b"", more=False)


async def _relay_events(call: Call, exchange: Exchange, tap: StreamTap) -> None:
    """Pass events on as they come; a stream that breaks ends with an error event and without [DONE]."""
    await call.start(exchange.connection.status, [
        (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ])
    try:
        data = exchange.first
        while data:
            events = tap.feed(data)
            if events:
                await call.write(events, more=True)
            data = await exchange.connection.read()
        is_whole = tap.is_complete
    except UpstreamError:
        is_whole = False
    finally:
        call.usage = tap.usage
    if not is_whole:
        call.error = "upstream_interrupted"
        call.usage.is_partial = True
    await call.write(b"" if is_whole else INTERRUPTED, more=False)


def failure(error: UpstreamError, *, is_timeout: bool) -> GatewayError:
    if is_timeout:
        return upstream_unavailable("The model's engine did not answer in time.", 504)
    return upstream_unavailable()
