"""Frames of application/vnd.amazon.eventstream, as services write them.

https://smithy.io/2.0/aws/amazon-eventstream.html : lengths, headers and payload between two checksums.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

CONTENT_TYPE = "application/vnd.amazon.eventstream"
TEXT = 7  # the type of a header's value


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + packed + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", TEXT, len(value.encode())) + value.encode()


def event(kind: str, payload: bytes) -> bytes:
    return frame({":event-type": kind, ":content-type": "application/octet-stream", ":message-type": "event"}, payload)


def exception(kind: str, body: dict[str, Any]) -> bytes:
    return frame({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"},
                 json.dumps(body).encode())  # fmt: skip
