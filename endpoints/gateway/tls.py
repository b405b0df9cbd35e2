"""TLS towards an upstream that a private CA vouches for, or that wants a client certificate (Kubernetes API servers)."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache


@lru_cache(maxsize=256)
def context_for(ca: str, client_certificate: str, client_key: str) -> ssl.SSLContext:
    """Verify against `ca` alone, or against the system's CAs where it is empty; all PEM. Raises ssl.SSLError."""
    context = ssl.create_default_context(cadata=ca or None)
    context.set_alpn_protocols(["http/1.1"])
    if client_certificate:
        _load_client(context, f"{client_certificate}\n{client_key}")
    return context


def _load_client(context: ssl.SSLContext, pem: str) -> None:
    """The ssl module reads keys from files only: this one lies in memory and goes when it is closed."""
    descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
