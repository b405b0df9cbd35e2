"""Certificates, keys and tokens for tests, made on the spot."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC).replace(microsecond=0)


@cache
def pair(*, begins: int = -1, ends: int = 365, passphrase: str = "") -> tuple[str, str]:
    """A certificate that is valid between so many days from now, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "portal")])
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(NOW + timedelta(days=begins))
                   .not_valid_after(NOW + timedelta(days=ends)).sign(key, hashes.SHA256()))
    locked = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return (certificate.public_bytes(Encoding.PEM).decode(),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked).decode())


def jwt(**claims: object) -> str:
    """A token in the form of a service account's; nobody signed it."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, claims)]
    return ".".join([*parts, "c2lnbmF0dXJl"])


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
