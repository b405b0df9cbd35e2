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


# Kinds of places with a Kubernetes API of their own, and those in AWS.
KUBERNETES_KINDS = frozenset({ClusterKind.KUBERNETES, ClusterKind.HYPERPOD})
AWS_KINDS = frozenset({ClusterKind.HYPERPOD, ClusterKind.SAGEMAKER})


class Reach(TextChoices):
    """Whether the portal gets through to a cluster's API, by the last call; a failed look never blames endpoints."""

    UNKNOWN = "Unknown", _("not asked yet")
    OK = "OK", _("connected")
    AUTH_FAILED = "AuthFailed", _("credential refused")
    FORBIDDEN = "Forbidden", _("a right is missing")
    TLS_FAILED = "TLSFailed", _("certificate not trusted")
    UNREACHABLE = "Unreachable", _("can't be reached")


class Through(TextChoices):
    """How the portal reaches a cluster's API."""

    DIRECT = "direct", _("its API server's address")
    AGENT = "agent", _("an agent in the cluster that calls out")
    EKS = "eks", _("its EKS cluster, signed in to AWS")


class SignIn(TextChoices):
    """How the portal signs in to an AWS account."""

    ROLE = "role", _("a role that it assumes")
    KEYS = "keys", _("access keys")
    MACHINE = "machine", _("the role of the machine it runs on")


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


class EngineCause(TextChoices):
    """Why an engine ended or did not start; its message has the sentence with the figures, in English."""

    CONTEXT_TOO_LONG = "context_too_long", _("The context is too long for the memory left for the cache.")
    NO_CACHE_MEMORY = "no_cache_memory", _("The weights leave no memory for the cache.")
    GPU_IN_USE = "gpu_in_use", _("Another process holds memory of the GPU.")
    GPU_MEMORY = "gpu_memory", _("The GPU ran out of memory.")
    TOO_FEW_GPUS = "too_few_gpus", _("The arguments ask for more GPUs than there are.")
    BAD_ENVIRONMENT = "bad_environment", _("A variable of the environment confuses the engine.")
    GATED = "gated", _("The hub refuses this model: accept its licence and give a token that may read it.")
    MODEL_MISSING = "model_missing", _("The model is not there: check its name, revision or folder.")
    HUB_OFFLINE = "hub_offline", _("The weights are not on this host and the hub can't be reached from it.")
    REMOTE_CODE = "remote_code", _("The model brings code of its own, which this portal does not run.")
    PORT_IN_USE = "port_in_use", _("The engine's port was taken by another process.")
    DISK_FULL = "disk_full", _("The disk of the host is full.")
    MEMORY = "memory", _("The host's memory is not enough.")
    BAD_ARGUMENT = "bad_argument", _("The engine refuses its arguments.")
    BROKEN_RELEASE = "broken_release", _("The engine's installation is broken.")
    NOT_SUPPORTED = "not_supported", _("This engine release can't serve this architecture.")
    KILLED = "killed", _("The engine was killed, most likely because the host ran out of memory.")
    TOO_SLOW = "too_slow", _("The engine was not ready in time.")
    CANNOT_START = "cannot_start", _("The host can't carry this order out.")
    BAD_ORDER = "bad_order", _("The order for this engine can't be sent.")
    ENDED = "ended", _("The engine ended.")
    ERROR = "error", _("The engine failed.")


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
    Reach.UNKNOWN: "idle", Reach.OK: "good", Reach.AUTH_FAILED: "bad", Reach.FORBIDDEN: "warn", Reach.TLS_FAILED: "bad",
    Reach.UNREACHABLE: "late",
    HostState.READY: "good", HostState.DRAINING: "warn", HostState.LOST: "bad",
    Phase.ASSIGNED: "mean", Phase.STARTING: "mean", Phase.LOADING: "mean", Phase.BACKOFF: "late",
    Phase.CRASHLOOP: "bad", Phase.STOPPING: "idle",
}
