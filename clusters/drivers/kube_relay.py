"""The road through an agent in the cluster: a call waits as a row, the agent takes it, makes it and brings the answer."""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.models import ApiCall, ClusterAgent
from portal.tenancy.db import retry_tx

from .kube_errors import KubeError, Problem
from .kube_transport import MOST_BYTES, READ, Answer, Budget, Request, too_large, unpack

POLL_SECONDS = 0.05
# An agent asks for calls every 20 s at least; one that was silent for so long is not there.
SILENT = timedelta(seconds=60)


class RelayTransport:
    """Implements Transport for the cluster of one agent. The agent adds its own credential."""

    def __init__(self, cluster_id: int) -> None:
        self._cluster_id = cluster_id

    def send(self, request: Request, budget: Budget, most_bytes: int = MOST_BYTES) -> Answer:
        """Raises KubeError; where the agent took the call and nothing came back, it is unknown whether it was made."""
        call = _place(self._agent(), request, budget.left(READ))
        try:
            row = _wait(call, budget)
        finally:
            _drop(call)
        return _answer_of(row, most_bytes)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _agent(self) -> ClusterAgent:
        agent = ClusterAgent.objects.filter(cluster_id=self._cluster_id).first()
        if agent is None:
            raise KubeError(Problem.UNREACHABLE, _("No agent has enrolled for this cluster yet."))
        if agent.seen_at is None or timezone.now() - agent.seen_at > SILENT:
            raise KubeError(Problem.UNREACHABLE, _("The cluster's agent has not called since %(when)s UTC.") % {
                "when": f"{agent.seen_at:%Y-%m-%d %H:%M}" if agent.seen_at else "–"})
        return agent


@retry_tx
def _place(agent: ClusterAgent, request: Request, seconds: float) -> ApiCall:
    call = ApiCall(agent=agent, method=request.method, path=request.target, headers=dict(request.headers))
    call.put_secret("body", request.body.decode())
    call.expires_at = Now() + timedelta(seconds=seconds)
    call.save(force_insert=True)
    ClusterAgent.objects.filter(pk=agent.pk).update(calls_version=F("calls_version") + 1)
    return call


def _wait(call: ApiCall, budget: Budget) -> ApiCall:
    """The row with its answer. Raises KubeError where none comes in time."""
    end = time.monotonic() + budget.left(READ)
    while time.monotonic() < end:
        row = ApiCall.objects.filter(pk=call.pk).exclude(status=None).defer("body", "path").first()
        if row is not None:
            return row
        time.sleep(POLL_SECONDS)
    raise KubeError(Problem.UNREACHABLE, _("The cluster's agent doesn't answer in time (timeout)."))


@retry_tx
def _drop(call: ApiCall) -> None:
    """Read, or given up: nobody makes it from now on. Those that nobody could drop go with them."""
    ApiCall.objects.filter(pk=call.pk).delete()
    ApiCall.objects.filter(agent_id=call.agent_id, expires_at__lt=Now() - SILENT).delete()


def _answer_of(row: ApiCall, most_bytes: int) -> Answer:
    if row.status:
        body = bytes(row.answer)
        return Answer(row.status, row.answer_headers, unpack(body, row.answer_headers.get("content-encoding", ""), most_bytes))
    why = bytes(row.answer).decode("ascii", "replace")[:40]
    if why == "too large":
        raise too_large()
    if why == "tls":
        raise KubeError(Problem.TLS, _("The cluster's agent does not trust the API server's certificate (tls)."))
    raise KubeError(Problem.UNREACHABLE, _("The cluster's agent can't reach the API server (%(why)s).") % {"why": why})
