"""One context for each identity, since making one costs a millisecond."""

from __future__ import annotations

import ssl
from functools import lru_cache

from portal.tenancy.tls import client_context


@lru_cache(maxsize=256)
def context_for(ca: str, client_certificate: str, client_key: str) -> ssl.SSLContext:
    """As `client_context`, for HTTP/1.1. Raises ssl.SSLError, ValueError."""
    context = client_context(ca, client_certificate, client_key)
    context.set_alpn_protocols(["http/1.1"])
    return context
