"""What it takes to call a Kubernetes API, checked before it is stored: address, CA, and one credential."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid
from portal.tenancy.net import check_url

MOST_TOKEN_CHARS = 16_384
MOST_PEM_CHARS = 131_072
SOON = {"token": timedelta(days=7), "certificate": timedelta(days=30)}


@dataclass(frozen=True)
class Credential:
    """PEM texts and a token; a token or a client certificate with its key, not both. An empty CA trusts public CAs."""

    server: str
    ca: str = ""
    token: str = field(default="", repr=False)
    client_certificate: str = ""
    client_key: str = field(default="", repr=False)

    @property
    def is_empty(self) -> bool:
        return not (self.token or self.client_certificate or self.client_key)


def checked(given: Credential, now: datetime | None = None, *, may_be_empty: bool = False) -> tuple[Credential, list[str]]:
    """The same in its one spelling, and warnings in words. Raises Invalid with the field that is wrong.

    `may_be_empty` accepts an address and a CA alone, where the credential is kept already.
    """
    now = now or datetime.now(UTC)
    stripped = Credential(str(check_url(given.server.strip(), field="server")), _pem(given.ca), given.token.strip(),
                          _pem(given.client_certificate), _pem(given.client_key))
    if stripped.token and (stripped.client_certificate or stripped.client_key):
        raise Invalid(_("Give a token or a client certificate, not both."), field="token")
    if stripped.is_empty and not may_be_empty:
        raise Invalid(_("Give a token, or a client certificate with its key."), field="token")
    _check_ca(stripped.ca, now)
    if stripped.is_empty:
        return stripped, []
    if stripped.token:
        return stripped, _check_token(stripped.token, now)
    return stripped, _check_pair(stripped.client_certificate, stripped.client_key, now)


def _pem(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join(lines) + "\n" if lines else ""


def certificates(text: str, where: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, at least one. Raises Invalid with field `where`."""
    if "PRIVATE KEY" in text:
        raise Invalid(_("This holds a private key; only certificates belong here."), field=where)
    try:
        found = x509.load_pem_x509_certificates(text.encode()) if len(text) <= MOST_PEM_CHARS else []
    except ValueError:
        found = []
    if not found:
        raise Invalid(_("This is no certificate in PEM form (-----BEGIN CERTIFICATE-----)."), field=where)
    return found


def _check_ca(text: str, now: datetime) -> None:
    if text and all(one.not_valid_after_utc <= now for one in certificates(text, "ca")):
        raise Invalid(_("The CA certificate has expired."), field="ca")


def _check_pair(certificate: str, key: str, now: datetime) -> list[str]:
    leaf = certificates(certificate, "client_certificate")[0]
    if leaf.not_valid_after_utc <= now:
        raise Invalid(_("The client certificate expired on %(date)s.") % {"date": _date(leaf.not_valid_after_utc)},
                      field="client_certificate")
    if leaf.not_valid_before_utc > now + timedelta(minutes=5):
        raise Invalid(_("The client certificate is valid only from %(date)s on.") % {
            "date": _date(leaf.not_valid_before_utc)}, field="client_certificate")
    if _spki(_public_key_of(key)) != _spki(leaf.public_key()):
        raise Invalid(_("This key does not belong to the client certificate."), field="client_key")
    if leaf.not_valid_after_utc - now < SOON["certificate"]:
        return [_("The client certificate expires on %(date)s.") % {"date": _date(leaf.not_valid_after_utc)}]
    return []


def _public_key_of(key: str) -> PublicKeyTypes:
    if not key:
        raise Invalid(_("Give the key of the client certificate."), field="client_key")
    try:
        return load_pem_private_key(key.encode(), password=None).public_key()
    except TypeError as error:
        raise Invalid(_("The key is locked with a passphrase; give it without."), field="client_key") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid(_("This is no private key in PEM form."), field="client_key") from error


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_token(token: str, now: datetime) -> list[str]:
    if len(token) > MOST_TOKEN_CHARS or not (token.isascii() and token.isprintable()) or " " in token:
        raise Invalid(_("This is no token: it has blanks or signs that no token has."), field="token")
    if token.startswith("ZXlK"):
        raise Invalid(_("This token is still in base64, as in the Secret. Decode it first (base64 -d)."), field="token")
    ends = expiry_of(token)
    if ends is None:
        return []
    if ends <= now:
        raise Invalid(_("This token expired on %(date)s.") % {"date": _date(ends)}, field="token")
    if ends - now < SOON["token"]:
        return [_("This token expires on %(date)s. Give one that lasts, such as the Secret of the service account.") % {
            "date": _date(ends)}]
    return []


def expiry_of(token: str) -> datetime | None:
    """When a token that is a JWT (RFC 7519) ends by its own words, None where it says nothing. Nothing is verified."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        body = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(body["exp"], UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError, binascii.Error):
        return None


def _date(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
