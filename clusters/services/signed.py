"""Who an agent is: an Ed25519 signature over the whole request, a time and a nonce that is good for once."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from clusters.agent.messages import signed_text
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import PortalError

from ..models import AgentNonce, Host

LEEWAY_SECONDS = 60
NONCE = re.compile(r"\A[0-9a-f]{32}\Z")


class Refusal(PortalError):
    """The call is not from an agent that we know, or was made before."""

    code = "unauthorised"
    status = 401


@dataclass(frozen=True)
class SignedCall:
    """One request of an agent as it came in; `path` with its query."""

    method: str
    path: str
    body: bytes
    host: str
    at: str
    nonce: str
    signature: str

    def is_signed_by(self, public_key: str) -> bool:
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
            signature = base64.b64decode(self.signature, validate=True)
            key.verify(signature, signed_text(self.method, self.path, self.body, self.at, self.nonce))
        except (ValueError, InvalidSignature):
            return False
        return True

    def is_timely(self) -> bool:
        return self.at.isascii() and self.at.isdigit() and abs(int(self.at[:12]) - time.time()) <= LEEWAY_SECONDS


def authenticate(call: SignedCall) -> Host:
    """The host that signed this call, with its node. Raises Refusal; a stranger learns nothing about hosts."""
    host = _host_of(call.host)
    if host is None or not call.is_signed_by(host.public_key):
        raise Refusal(_("This agent is not enrolled here."), code="unknown_host")
    require_timely(call)
    _use_nonce(host, call.nonce)
    return host


def require_timely(call: SignedCall) -> None:
    if not call.is_timely():
        raise Refusal(_("The clocks of agent and portal differ by more than a minute."), code="clock")
    if not NONCE.match(call.nonce):
        raise Refusal(_("The call has no proper nonce."), code="bad_nonce")


def _host_of(uid: str) -> Host | None:
    try:
        parsed = UUID(uid)
    except ValueError:
        return None
    return Host.objects.select_related("node__cluster").filter(uid=parsed).first()


@retry_tx
def _use_nonce(host: Host, nonce: str) -> None:
    try:
        with transaction.atomic():
            AgentNonce.objects.create(host=host, nonce=nonce)
    except IntegrityError as error:
        raise Refusal(_("This call was made before."), code="replayed") from error
