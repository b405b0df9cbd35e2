"""Roads to a Kubernetes API: one request in; status, headers and body out, within a budget of seconds and bytes."""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode

import urllib3
from django.utils.translation import gettext as _

from portal.tenancy.tls import client_context

from .kube_errors import KubeError, Problem

# Seconds (reliability.md F19).
CONNECT, READ, TOTAL = 3.0, 15.0, 30.0
MOST_BYTES = 64 * 1024**2
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Request:
    """What a road carries. It adds the credential itself, so none is ever here. The body may hold a Secret."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def target(self) -> str:
        """Path and query, as the request line has them."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    """`headers` have lower-case names; the body is unpacked."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


class Budget:
    """Seconds that all steps of one call share, and the longest silence. `left` raises TimeoutError when none is left."""

    def __init__(self, seconds: float = TOTAL, clock: Callable[[], float] = time.monotonic, silence: float = READ) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self._silence = silence

    def left(self, most: float = READ) -> float:
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError
        return min(left, most)

    def pause(self) -> float:
        """How long the next byte may take."""
        return self.left(self._silence)


class Transport(Protocol):
    """A road. Both raise KubeError (UNREACHABLE, TLS, TOO_LARGE) where no whole answer comes back."""

    def send(self, request: Request, budget: Budget, most_bytes: int = MOST_BYTES) -> Answer: ...

    def close(self) -> None: ...


class Streams(Protocol):
    """A road that can also hand an answer over while it comes. Iterating raises KubeError as `send` does."""

    def stream(self, request: Request, budget: Budget) -> tuple[int, Iterator[bytes]]: ...


_spending: ContextVar[Budget | None] = ContextVar("kube_budget", default=None)


class PacedSocket(ssl.SSLSocket):
    """Ends a call when its budget is used up, also where the server sends a byte now and then."""

    def recv_into(self, *args: Any, **named: Any) -> int:
        budget = _spending.get()
        if budget is not None:
            self.settimeout(budget.pause())
        return super().recv_into(*args, **named)


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    token = _spending.set(budget)
    try:
        yield
    finally:
        _spending.reset(token)


def tls_context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Trust in `ca` alone, or in the public CAs where it is empty. Raises KubeError (TLS) for unusable PEM."""
    try:
        context = client_context(ca, certificate, key)
    except (ssl.SSLError, ValueError) as error:
        raise KubeError(Problem.TLS, _("The stored CA or client certificate can't be read. Enter it again.")) from error
    context.sslsocket_class = PacedSocket
    return context


def read_chunks(response: urllib3.BaseHTTPResponse, most_bytes: int) -> Iterator[bytes]:
    """What arrives as it arrives. Raises KubeError (TOO_LARGE)."""
    seen = 0
    while chunk := response.read1(CHUNK, decode_content=False):
        seen += len(chunk)
        if seen > most_bytes:
            raise too_large()
        yield chunk


def unpack(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """Undo gzip, but never beyond `most_bytes`, however small the packed form is."""
    if encoding.lower() != "gzip":
        return body
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(body, most_bytes)
    except zlib.error as error:
        raise KubeError(Problem.UNREACHABLE, _("The API server sent a broken answer.")) from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise too_large()
    return plain


def too_large() -> KubeError:
    return KubeError(Problem.TOO_LARGE, _("The API server's answer is larger than the portal reads."))


def network_error(error: BaseException) -> KubeError:
    """The class of a failure and nothing else of it (threat T20)."""
    cause = _tls_cause(error)
    if cause is not None:
        return KubeError(Problem.TLS, _tls_words(cause))
    if isinstance(error, socket.gaierror):
        return KubeError(Problem.UNREACHABLE, _("The API server's name can't be resolved (dns)."))
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError) and not isinstance(
            error, urllib3.exceptions.NewConnectionError):
        return KubeError(Problem.UNREACHABLE, _("The API server doesn't answer in time (timeout)."))
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return KubeError(Problem.UNREACHABLE, _("The API server refuses connections (refused)."))
    return KubeError(Problem.UNREACHABLE, _("The API server broke the connection (reset)."))


def _tls_cause(error: BaseException) -> ssl.SSLError | None:
    """The TLS failure behind an error of urllib3, which keeps it as an argument."""
    inner = error.args[0] if isinstance(error, urllib3.exceptions.SSLError) and error.args else error
    # A cut connection shows up as one of these two: that says nothing about certificates.
    cut = isinstance(inner, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return inner if isinstance(inner, ssl.SSLError) and not cut else None


HOSTNAME_MISMATCH, IP_MISMATCH, EXPIRED = 62, 64, 10  # X509_V_ERR_* of OpenSSL


def _tls_words(error: ssl.SSLError) -> str:
    code = getattr(error, "verify_code", None)
    if code in (HOSTNAME_MISMATCH, IP_MISMATCH):
        return _("The API server's certificate is for another name (tls).")
    if code == EXPIRED:
        return _("The API server's certificate has expired (tls).")
    if code is not None:
        return _("The API server's certificate is not trusted by the stored CA. Upload the new CA (tls).")
    return _("The API server doesn't speak TLS as expected (tls).")
