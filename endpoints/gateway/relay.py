"""Passing an engine's answer on to the caller: whole, in pieces, or as a stream of events."""

from __future__ import annotations

from collections.abc import Callable

from .call import Call
from .connection import UpstreamError
from .doors import EVENTS, JSON, Door
from .errors import INTERRUPTED, GatewayError, upstream_unavailable
from .limits import Usage
from .refused import body_of
from .replica import Exchange, collect
from .tap import TAIL_BYTES, StreamTap, usage_in_tail

WHOLE_BYTES = 1024 * 1024
ERROR_BYTES = 256 * 1024
LAST_STATUS = 599
Progress = Callable[[int], None]


async def relay(call: Call, exchange: Exchange, door: Door, tap: StreamTap, progress: Progress) -> None:
    """Answer the call with what the engine says; tell `progress` how many tokens of a stream came so far.

    Raises GatewayError while nothing has been sent yet.
    """
    status = exchange.connection.status
    headers = exchange.connection.fields
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if status >= 400:
        await _relay_refusal(call, exchange, door, headers.get(b"retry-after", b""))
    elif status >= 300 or not door.passes(kind):
        raise upstream_unavailable("The model's engine gave an answer that is neither JSON nor a stream of events.")
    elif kind == EVENTS:
        await _relay_events(call, exchange, door, tap, progress)
    else:
        await _relay_whole(call, exchange, door, kind, headers.get(b"content-length", b""))


async def _relay_refusal(call: Call, exchange: Exchange, door: Door, wait: bytes) -> None:
    """An engine's error keeps its status and its words; one about our own token is ours to explain."""
    status = exchange.connection.status
    if status in (401, 403, 407):
        raise upstream_unavailable("The model's engine refused the portal.")
    body = body_of(door, status, await _collect(exchange, ERROR_BYTES))
    call.error = "engine_refused"
    known = status if status <= LAST_STATUS else 502  # a server can't write down what HTTP has no class for
    await call.answer(known, body, ((b"retry-after", wait),) if wait.isdigit() else ())


async def _collect(exchange: Exchange, limit: int) -> bytes:
    try:
        return await collect(exchange, limit)
    except UpstreamError as error:
        raise upstream_unavailable(INTERRUPTED) from error


async def _relay_whole(call: Call, exchange: Exchange, door: Door, kind: bytes, length: bytes) -> None:
    body = await _collect(exchange, WHOLE_BYTES)
    if exchange.connection.is_complete:
        call.usage = door.usage_of(body)
        await call.answer(exchange.connection.status, body, content_type=kind)
        return
    call.usage = Usage(is_partial=True)
    framing = [(b"content-length", length)] if length.isdigit() else []
    await call.start(exchange.connection.status, [(b"content-type", kind), *framing])
    tail = b""
    while body:
        tail = (tail + body)[-TAIL_BYTES:]
        await call.write(body, more=True)
        body = await exchange.connection.read()
    call.usage = usage_in_tail(tail) if kind == JSON else Usage(is_partial=True)
    await call.write(b"", more=False)


async def _relay_events(call: Call, exchange: Exchange, door: Door, tap: StreamTap, progress: Progress) -> None:
    """Pass events on as they come; a stream that breaks ends with an error event and without its last one."""
    await call.start(exchange.connection.status, [
        (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ])
    try:
        data = exchange.first
        while data:
            events = tap.feed(data)
            progress(tap.tokens)
            if events:
                await call.write(events, more=True)
            data = await exchange.connection.read()
        is_whole = tap.has_ended
    except UpstreamError:
        is_whole = False
    finally:
        call.usage = tap.usage
    if not is_whole:
        call.interrupted(call.usage)
    await call.write(b"" if is_whole else door.shape.interrupted(), more=False)


def failure(error: UpstreamError, *, is_timeout: bool) -> GatewayError:
    if is_timeout:
        return upstream_unavailable("The model's engine did not answer in time.", 504)
    return upstream_unavailable()
