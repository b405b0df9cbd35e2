"""What SageMaker refuses, in OpenAI's words: AWS's own words name accounts, which are the operator's to read."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec

from portal.tenancy.text import clean

from ..errors import OPENAI, GatewayError, retry_after, upstream_unavailable
from ..replica import Exchange, collect, whole

log = logging.getLogger(__name__)

MOST_BYTES = 256 * 1024
# These are about the portal's signature: other credentials, or the same ones after a renewal, may be taken.
STALE = frozenset({
    "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch",
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed",
})
THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"})
# As AWS's guide to scaling to zero quotes it. Not verified on AWS.
NO_COPY = "has no capacity"
# As AWS words a body that is too long for one call. Not verified on AWS.
TOO_LONG = "Value at 'body' failed to satisfy constraint"
WAKES_SECONDS, AGAIN_SECONDS = 30, 2


@dataclass(frozen=True, slots=True)
class Said:
    """A refusal of AWS. The container's own status and words are set only where it was the container that refused."""

    status: int
    code: str
    message: str = ""
    engine_status: int = 0
    engine_words: str = ""

    @property
    def is_stale(self) -> bool:
        return self.code in STALE


async def said_in(exchange: Exchange) -> Said:
    """Read the refusal to its end, and end the exchange. Raises UpstreamError."""
    try:
        body = await collect(exchange, MOST_BYTES)
    finally:
        exchange.end()
    return said(exchange.connection.status, exchange.connection.fields, body)


def said(status: int, headers: dict[bytes, bytes], body: bytes) -> Said:
    """The error's name stands in a header, sometimes with an address after it, or in the body."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = {}
    named = headers.get(b"x-amzn-errortype", b"").decode("latin-1") or str(fields.get("__type") or fields.get("code") or "")
    original = fields.get("OriginalStatusCode")
    return Said(status, named.partition(":")[0].rpartition("#")[2], str(fields.get("Message") or fields.get("message") or ""),
                original if type(original) is int else 0, str(fields.get("OriginalMessage") or ""))


def answer_to(what: Said) -> Exchange:
    """The engine's own refusal as its answer. Raises GatewayError where it was AWS that refused."""
    if what.code == "ModelError":
        return _engines(what.engine_status, what.engine_words)
    raise refusal(what)


def refusal(what: Said) -> GatewayError:
    if what.code in THROTTLED:
        return busy()
    log.warning("SageMaker refused a call", extra={
        "status": what.status, "code": clean(what.code, 100), "error": clean(what.message, 500)})
    if what.code == "ModelNotReadyException" or NO_COPY in what.message:
        return waking()
    if what.status == 413 or ("exceed" in what.message.lower() and "limit" in what.message.lower()):
        return GatewayError(413, "The body is larger than SageMaker takes.", code="body_too_big")
    if what.status == 503:
        return upstream_unavailable("SageMaker has no room for this call now. Try again in a moment.", 503)
    if what.status in (401, 403) or what.is_stale:
        return upstream_unavailable("SageMaker refused the portal.")
    if what.status == 400:
        return upstream_unavailable("SageMaker refused the call: the endpoint may be gone or be changing.")
    return upstream_unavailable("SageMaker failed.")


def busy() -> GatewayError:
    return GatewayError(429, "SageMaker takes no more calls for this endpoint now. Try again in a moment.",
                        code="rate_limit_exceeded", kind="rate_limit_error", headers=retry_after(AGAIN_SECONDS))


def waking() -> GatewayError:
    """No copy runs: the call itself makes SageMaker's autoscaler start one."""
    return GatewayError(503, "The model is being started. Try again in a moment.", code="model_not_ready",
                        kind="service_unavailable", param="model", headers=retry_after(WAKES_SECONDS))


def _engines(status: int, words: str) -> Exchange:
    if status < 400:  # 0 where the container said nothing in time; its health is SageMaker's business
        raise upstream_unavailable(
            "The model did not answer within the 60 seconds that SageMaker allows. Ask for a stream.", 504)
    return whole(status, engine_error(words.encode(), status))


def engine_error(words: bytes, status: int) -> bytes:
    """An engine's error in OpenAI's shape; what is in none of the known shapes is not passed on."""
    try:
        fields = msgspec.json.decode(words, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = {}
    inner = fields.get("error")
    if isinstance(inner, dict) and "message" in inner:
        return words
    # vLLM's and SGLang's older shape, and that of DJL Serving.
    kind = "upstream_error" if status >= 500 else "invalid_request_error"
    message = inner if isinstance(inner, str) else fields.get("message")
    shown = message if isinstance(message, str) and message else f"The model's engine answered with status {status}."
    return OPENAI.error(status, clean(shown, 2000), str(fields.get("type") or kind), "upstream_error")
