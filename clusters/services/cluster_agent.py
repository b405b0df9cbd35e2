"""The agent inside a cluster: it enrols once, takes the API calls that wait for it, and brings the answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.agent.messages import ApiAnswer, ApiRequest, ApiRequests, EnrolCluster, EnrolledCluster, Taken
from clusters.agent_manifest import agent_manifest
from portal.tenancy import audit
from portal.tenancy.actor import PORTAL
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.text import clean

from ..models import ApiCall, ClusterAgent, EnrolmentToken, KubernetesAccess
from ..states import Through
from .enrolment import bad_token, require_own_key
from .signed import SignedCall, require_timely
from .wake import WaitingRoom

MOST_CALLS = 16  # handed out at once


def newest_calls(pks: Collection[int]) -> dict[int, int]:
    return dict(ClusterAgent.objects.filter(pk__in=pks).values_list("pk", "calls_version"))


calls_room = WaitingRoom(newest_calls)


def agent_manifest_for(token: str) -> str:
    """The manifest that installs an agent with this token, while the token is good. Raises Refusal."""
    good = EnrolmentToken.objects.filter(
        digest=EnrolmentToken.digest_of(token), used_at=None, expires_at__gt=Now(), cluster__access__through=Through.AGENT)
    if not good.exists():
        raise bad_token()
    return agent_manifest(token)


def enrol_cluster(call: SignedCall, message: EnrolCluster) -> EnrolledCluster:
    """Let an agent serve the cluster of its token. Repeating it with the same token and key gives the same answer.

    Raises Refusal (token, signature), Conflict where another agent serves the cluster.
    """
    require_own_key(call, message.public_key)
    require_timely(call)
    return _enrol(message)


@retry_tx
def _enrol(message: EnrolCluster) -> EnrolledCluster:
    token = EnrolmentToken.objects.select_related("cluster").filter(
        digest=EnrolmentToken.digest_of(message.token)).first()
    if token is None:
        raise bad_token()
    there = ClusterAgent.objects.filter(cluster=token.cluster).first()
    if there is not None and there.public_key == message.public_key:
        return EnrolledCluster(agent=str(there.uid))
    if not EnrolmentToken.objects.filter(pk=token.pk, used_at=None, expires_at__gt=Now()).update(used_at=Now()):
        raise bad_token()
    return EnrolledCluster(agent=str(_replace(token, there, message).uid))


def _replace(token: EnrolmentToken, there: ClusterAgent | None, message: EnrolCluster) -> ClusterAgent:
    """A new token is an operator's word that the agent before it is gone."""
    if not KubernetesAccess.objects.filter(cluster=token.cluster, through=Through.AGENT).exists():
        raise Invalid(_("This place is not reached through an agent."), field="cluster")
    if there is not None:
        there.delete()
    try:
        with transaction.atomic():
            agent: ClusterAgent = ClusterAgent.objects.create(
                cluster=token.cluster, public_key=message.public_key, agent_version=clean(message.agent_version, 32))
    except IntegrityError as error:
        raise Conflict(_("Another agent serves this cluster already."), code="already_enrolled") from error
    ClusterAgent.objects.filter(pk=agent.pk).update(seen_at=Now())
    audit.record(PORTAL, "enrol agent", agent, workspace=token.cluster.workspace, after=audit.snapshot(agent))
    return agent


@retry_tx
def take_calls(agent: ClusterAgent) -> ApiRequests:
    """The calls that nobody has taken yet; each is handed out once."""
    version = ClusterAgent.objects.values_list("calls_version", flat=True).get(pk=agent.pk)
    waiting = list(ApiCall.objects.filter(agent=agent, taken_at=None, expires_at__gt=Now()).order_by("id")[:MOST_CALLS])
    taken = [row for row in waiting if ApiCall.objects.filter(pk=row.pk, taken_at=None).update(taken_at=Now())]
    ClusterAgent.objects.filter(pk=agent.pk).update(seen_at=Now())
    now = timezone.now()
    return ApiRequests(version=version, calls=tuple(
        ApiRequest(uid=str(row.uid), method=row.method, path=row.path, headers=row.headers, body=row.secret("body"),
                   seconds=max(1, min(60, int((row.expires_at - now).total_seconds())))) for row in taken))


@retry_tx
def put_answer(agent: ClusterAgent, message: ApiAnswer) -> Taken:
    """Keep the answer for whoever waits; one that nobody waits for any more is thrown away. Raises Invalid."""
    try:
        body = base64.b64decode(message.body, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Invalid(_("The answer's body is not base64."), field="body") from error
    ApiCall.objects.filter(uid=message.uid, agent=agent, status=None).update(
        status=message.status, answer_headers=message.headers, answer=body)
    return Taken()
