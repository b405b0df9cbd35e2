"""TLS towards a server that a private CA vouches for, or that wants a client certificate."""

from __future__ import annotations

import os
import ssl


def client_context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Trust in `ca` alone, or in the system's CAs where it is empty; all PEM. Raises ssl.SSLError, ValueError."""
    context = ssl.create_default_context(cadata=ca or None)
    if certificate and key:
        _load_chain(context, f"{certificate}\n{key}\n")
    return context


def _load_chain(context: ssl.SSLContext, pem: str) -> None:
    """OpenSSL reads chains from files only; this one is in memory, so no key reaches a disk."""
    with os.fdopen(os.memfd_create("client-certificate", os.MFD_CLOEXEC), "wb") as file:
        file.write(pem.encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
