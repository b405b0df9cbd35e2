"""Taking a request's body in: of a sane size, in a sane time."""

from __future__ import annotations

import asyncio

from . import body as bodies
from .call import Call, ClientGone, Message
from .doors import AUDIO_BYTES, JSON, Door
from .errors import CLOSE, GatewayError, bad_body

FORM = b"multipart/form-data"


async def read_body(call: Call, door: Door, seconds: float) -> bytes:
    """The body: at most 4 MiB of JSON, or a form with a file, sent within `seconds`. Raises ClientGone, GatewayError."""
    kind = call.header(b"content-type").partition(b";")[0].strip().lower()
    most = AUDIO_BYTES if door.is_form else bodies.MAX_BYTES
    if kind != (FORM if door.is_form else JSON):
        wanted = (FORM if door.is_form else JSON).decode()
        raise bad_body(f"The content type must be {wanted}.", status=415, code="unsupported_media_type")
    if call.header(b"content-encoding") not in (b"", b"identity"):
        raise bad_body("The body must not be compressed.", status=415, code="unsupported_media_type")
    length = call.header(b"content-length")
    if length and int(length) > most:
        raise _too_big(most)
    message = await call.receive()
    if not message.get("more_body") and message["type"] == "http.request":
        return bytes(message["body"])
    try:
        async with asyncio.timeout(seconds):
            return await _rest(call, message, most)
    except TimeoutError:
        raise GatewayError(408, "The body came too slowly.", code="body_too_slow", headers=CLOSE) from None


async def _rest(call: Call, message: Message, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        parts.append(message["body"])
        size += len(parts[-1])
        if size > most:
            raise _too_big(most)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await call.receive()
    raise ClientGone


def _too_big(most: int) -> GatewayError:
    return bad_body(f"The body is over {most // 1024 // 1024} MiB.", status=413, code="body_too_big", headers=CLOSE)
