"""States of places, hosts and engines, each with its label and colour role in one place."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class ClusterKind(TextChoices):
    KUBERNETES = "kubernetes", _("Kubernetes cluster")
    HYPERPOD = "hyperpod", _("SageMaker HyperPod")
    SAGEMAKER = "sagemaker", _("SageMaker endpoints")
    HOSTS = "hosts", _("Hosts with an agent")


class HostState(TextChoices):
    """READY renews its lease; LOST did not; DRAINING takes nothing new."""

    READY = "READY", _("ready")
    DRAINING = "DRAINING", _("draining")
    LOST = "LOST", _("lost")


class Phase(TextChoices):
    """How far an engine process on a host is, by its agent's report."""

    ASSIGNED = "ASSIGNED", _("assigned")
    STARTING = "STARTING", _("starting")
    LOADING = "LOADING", _("loading the model")
    READY = "READY", _("ready")
    BACKOFF = "BACKOFF", _("waiting to start again")
    CRASHLOOP = "CRASHLOOP", _("crashing again and again")
    STOPPING = "STOPPING", _("stopping")
    LOST = "LOST", _("host lost")


SERVING = frozenset({Phase.READY})
BROKEN = frozenset({Phase.CRASHLOOP, Phase.LOST})

# A host whose agent has not renewed its lease for LEASE + MARGIN is lost; the agent stops its engines at
# LEASE - MARGIN, so that no engine is ever started twice (reliability.md, rule 19).
LEASE = timedelta(seconds=60)
LEASE_MARGIN = timedelta(seconds=15)
HEARTBEAT = timedelta(seconds=5)

# How long a replaced engine goes on running without new calls: the gateway learns of it within a second or two,
# the rest is for the calls it still has.
DRAIN = timedelta(seconds=10)

COLOURS: dict[str, str] = {
    HostState.READY: "good", HostState.DRAINING: "warn", HostState.LOST: "bad",
    Phase.ASSIGNED: "mean", Phase.STARTING: "mean", Phase.LOADING: "mean", Phase.BACKOFF: "late",
    Phase.CRASHLOOP: "bad", Phase.STOPPING: "idle",
}
