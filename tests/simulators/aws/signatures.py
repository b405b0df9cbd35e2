"""SigV4 as the server checks it, in a header or in the query.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html . Written from that page, not
with botocore's signer: what is checked here is also whether the portal's own signer agrees with the page.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from tests.simulators.aws.errors import Unauthenticated
from tests.simulators.aws.messages import Request

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = 300  # seconds
HEADER = re.compile(r"(?:^|[\s,])(Credential|SignedHeaders|Signature)=([^,\s]+)")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request says of its signature, before anything is checked."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    moment: str  # 20260721T101500Z
    token: str = ""
    expires: int | None = None  # seconds after `moment`, of a presigned address

    @property
    def text(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_scope(request: Request) -> Scope | None:
    """None: not signed at all.

    :raises Unauthenticated: signed in a form that is none.
    """
    header = request.headers.get("authorization", "")
    if header.startswith(ALGORITHM):
        parts = dict(HEADER.findall(header))
        moment, token, expires = request.headers.get("x-amz-date", ""), request.headers.get("x-amz-security-token", ""), ""
    elif request.parameter("X-Amz-Algorithm") == ALGORITHM:
        asked = dict(request.pairs)
        parts = {name: asked.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")}
        moment, token, expires = (asked.get(f"X-Amz-{name}", "") for name in ("Date", "Security-Token", "Expires"))
    else:
        return None
    return _scope(parts, moment, token, expires)


def _scope(parts: dict[str, str], moment: str, token: str, expires: str) -> Scope:
    credential = parts.get("Credential", "").split("/")
    if len(credential) != 5 or credential[4] != "aws4_request" or not re.fullmatch(r"\d{8}T\d{6}Z", moment):
        raise Unauthenticated("bad form")
    key, date, region, service, _ = credential
    return Scope(key, date, region, service, tuple(parts.get("SignedHeaders", "").split(";")), parts.get("Signature", ""),
                 moment, token, int(expires) if expires.isdigit() else None)  # fmt: skip


def check(request: Request, scope: Scope, secret: str, now: float, lifetime: float | None = None) -> None:
    """
    :param lifetime: seconds for which a presigned address is good; by itself, what it says.
    :raises Unauthenticated: signed with another secret, changed on its way, or too old.
    """
    if "host" not in scope.signed_headers or not scope.moment.startswith(scope.date):
        raise Unauthenticated("wrong signature")
    text = "\n".join([ALGORITHM, scope.moment, scope.text, _digest(canonical(request, scope).encode())])
    if not hmac.compare_digest(signature(secret, scope, text), scope.signature):
        raise Unauthenticated("wrong signature")
    age = now - datetime.strptime(scope.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    longest = SKEW if scope.expires is None else lifetime or scope.expires
    if not -SKEW <= age <= longest:
        raise Unauthenticated("too old")


def signature(secret: str, scope: Scope, text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def canonical(request: Request, scope: Scope) -> str:
    """
    :raises Unauthenticated: a signed header is missing, or the body is not the one that was signed.
    """
    missing = [name for name in scope.signed_headers if name not in request.headers]
    if missing:
        raise Unauthenticated("wrong signature")
    headers = [f"{name}:{' '.join(request.headers[name].split())}\n" for name in scope.signed_headers]
    return "\n".join([request.method, _path(request.path, scope.service), _query(request.query), "".join(headers),
                      ";".join(scope.signed_headers), _payload(request, scope)])  # fmt: skip


def _path(path: str, service: str) -> str:
    """S3 signs the path as sent; others a normal form of it, encoded once more."""
    if service == "s3":
        return path or "/"
    normal = posixpath.normpath(path or "/").replace("//", "/")
    return quote(normal + ("/" if path.endswith("/") and normal != "/" else ""), safe="/~")


def _query(query: str) -> str:
    pairs = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "X-Amz-Signature"]
    return "&".join("=".join(pair) for pair in sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs))


def _payload(request: Request, scope: Scope) -> str:
    said = request.headers.get("x-amz-content-sha256", "")
    if said.startswith(("UNSIGNED-PAYLOAD", "STREAMING-")) and scope.service == "s3":
        return said
    if scope.expires is not None:
        return "UNSIGNED-PAYLOAD" if scope.service == "s3" else _digest(b"")
    found = _digest(request.body)
    if said and said != found:
        raise Unauthenticated("wrong signature")
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
