"""Which optional parts a cluster can have, how each is recognised, and what it is good for."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .drivers import kinds
from .drivers.kinds import Kind


@dataclass(frozen=True)
class Capability:
    """`kind` is the kind whose CRD shows that the part is there; None where nodes show it."""

    name: str
    label: str | Promise
    use: str | Promise
    kind: Kind | None


CAPABILITIES = (
    Capability("keda", "KEDA", _("scales endpoints by load, also to zero"), kinds.SCALED_OBJECT),
    Capability("keda_http", _("KEDA HTTP add-on"), _("scales by waiting requests"), kinds.INTERCEPTOR_ROUTE),
    Capability("gateway", "Gateway API", _("lets calls in by a Gateway of the cluster"), kinds.HTTP_ROUTE),
    Capability("lws", "LeaderWorkerSet", _("runs a model on several nodes"), kinds.LEADER_WORKER_SET),
    Capability("dataset", "Dataset", _("puts models onto the cluster ahead of time"), kinds.DATASET),
    Capability("prometheus", "Prometheus operator", _("collects the engines' metrics"), kinds.SERVICE_MONITOR),
    Capability("vllmcluster", "VLLMCluster", _("takes VLLMCluster objects for endpoints"), kinds.VLLM_CLUSTER),
    Capability("hyperpod", _("HyperPod inference operator"), _("deploys through InferenceEndpointConfig"),
               kinds.INFERENCE_ENDPOINT_CONFIG),
    Capability("fake_gpu", _("fake GPU operator"), _("plays GPUs that are not there: only CPU engines can run"), None),
)
# The label that the fake GPU operator writes on nodes whose GPUs it plays.
FAKE_GPU_LABEL = "run.ai/fake.gpu"
