"""The one way in: which key a request carries, in whichever of the two allowed headers."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

from .errors import GatewayError, wrong_key
from .snapshot import Key

KEY_SHAPE = re.compile(rb"\Ask-([a-z0-9]{16})-([A-Za-z0-9_-]{43})\Z")
_NOBODY = "0" * 64


def credential(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """Public id and digest of the request's key. Raises GatewayError: 401, or 400 for two different keys.

    A key in the query string or in a cookie is no key.
    """
    found: set[bytes] = set()
    for name, value in headers:
        if name == b"authorization":
            found.add(value[7:].strip() if value[:7].lower() == b"bearer " else b"")
        elif name == b"x-api-key":
            found.add(value.strip())
    if len(found) > 1:
        raise GatewayError(400, "The request carries two different keys.", code="conflicting_credentials")
    match = KEY_SHAPE.match(found.pop()) if found else None
    if match is None:
        raise wrong_key()
    return match[1].decode(), hashlib.sha256(match[2]).hexdigest()


def opens(key: Key | None, digest: str, now: float) -> bool:
    """Whether this digest belongs to `key` and the key is good at `now` (seconds since 1970).

    An unknown key costs the same comparison as a wrong one.
    """
    same = hmac.compare_digest(key.digest if key else _NOBODY, digest)
    return same and key is not None and (key.expires_at is None or now < key.expires_at)
