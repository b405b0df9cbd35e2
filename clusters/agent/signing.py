"""The host's own key (Ed25519), made on the host and never sent."""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .messages import signed_text


class HostKey:
    def __init__(self, raw: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(raw)

    @classmethod
    def draw(cls) -> HostKey:
        return cls(secrets.token_bytes(32))

    @classmethod
    def from_text(cls, text: str) -> HostKey:
        return cls(base64.b64decode(text, validate=True))

    @property
    def text(self) -> str:
        """The private key in base64, for the state file only."""
        return base64.b64encode(self._private.private_bytes_raw()).decode()

    @property
    def public(self) -> str:
        return base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def headers(self, host: str, method: str, path: str, body: bytes, now: float) -> dict[str, str]:
        """What a request carries so that the portal knows its sender. `now` is Unix time by the portal's clock."""
        at, nonce = str(int(now)), secrets.token_hex(16)
        signature = self._private.sign(signed_text(method, path, body, at, nonce))
        return {"X-Agent-Host": host, "X-Agent-Time": at, "X-Agent-Nonce": nonce,
                "X-Agent-Signature": base64.b64encode(signature).decode()}
