"""Who an agent is: an Ed25519 signature over the whole request, a time and a nonce that is good for once."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from clusters.agent.messages import signed_text
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import PortalError

from ..models import AgentNonce, ClusterAgent, Host

Caller = TypeVar("Caller", Host, ClusterAgent)
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
    return _known(call, Host.objects.select_related("node__cluster"))


def authenticate_cluster_agent(call: SignedCall) -> ClusterAgent:
    """The agent in a cluster that signed this call. Raises Refusal."""
    return _known(call, ClusterAgent.objects.select_related("cluster"))


def authenticate_any(call: SignedCall) -> Host | ClusterAgent:
    """Whoever signed this call. Raises Refusal."""
    try:
        return authenticate_cluster_agent(call)
    except Refusal as refusal:
        if refusal.code != "unknown_host":
            raise
    return authenticate(call)


def _known(call: SignedCall, rows: QuerySet[Caller]) -> Caller:
    found = _caller_of(rows, call.host)
    if found is None or not call.is_signed_by(found.public_key):
        raise Refusal(_("This agent is not enrolled here."), code="unknown_host")
    require_timely(call)
    _use_nonce(found.uid, call.nonce)
    return found


def require_timely(call: SignedCall) -> None:
    if not call.is_timely():
        raise Refusal(_("The clocks of agent and portal differ by more than a minute."), code="clock")
    if not NONCE.match(call.nonce):
        raise Refusal(_("The call has no proper nonce."), code="bad_nonce")


def _caller_of(rows: QuerySet[Caller], text: str) -> Caller | None:
    try:
        return rows.filter(uid=UUID(text)).first()
    except ValueError:
        return None


@retry_tx
def _use_nonce(caller: UUID, nonce: str) -> None:
    try:
        with transaction.atomic():
            AgentNonce.objects.create(caller=caller, nonce=nonce)
    except IntegrityError as error:
        raise Refusal(_("This call was made before."), code="replayed") from error
