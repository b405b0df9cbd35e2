"""Options of endpoints on HyperPod: which fields of its objects people set, and which combinations the operator refuses.

The operator's CRDs have no rules across fields: a bad combination is refused by its webhook or ends in a failed status
(facts.md 1.1). So they are refused here, with the reason, before anything is made. AWS's own account of these features:
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-model-deployment.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from clusters.instances import InstanceType, instance_type
from endpoints.autoscale.aws import AMP
from models_catalog.choices import ArtifactKind, EngineKind, Task

from .case import Case, leaves, parts
from .pods import MOST_PODS, check_pods
from .schema import Problem, check_fields

IEC, JUMPSTART = "InferenceEndpointConfig", "JumpStartModel"
CHAT_PATH = "v1/chat/completions"
ENTRANCES = ("cluster", "load-balancer", "sagemaker")
# What only the portal knows: by which way its gateway calls the endpoint, and Kueue's labels.
OWN = ("entrance", "queue", "priorityClass")
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
# Where the images of these engines listen (facts.md 1.12, 2.5).
PORTS = {EngineKind.VLLM: 8000, EngineKind.SGLANG: 8080, EngineKind.LMI: 8080}
CACHES = ("redis", "tieredstorage")
INNER_SCALING = ("intelligentRoutingSpec.autoScalingSpec", "pdSpec.autoScalingSpec.prefillAutoScaling",
                 "pdSpec.autoScalingSpec.decodingAutoScaling")
TIERS = ("sagemakerEndpoint", "loadBalancer", "modelPod")

_MADE_HERE: Mapping[str, str | Promise] = {
    "replicas": _("the endpoint's number of replicas"),
    "autoScalingSpec": _("the endpoint's autoscaling"),
}
# What the portal fills by itself, and from what. `InitialReplicaCount` has no effect any more.
FILLED: Mapping[str, Mapping[str, str | Promise]] = {
    IEC: {
        **_MADE_HERE,
        "InitialReplicaCount": _("nothing: the operator no longer reads it, and “replicas” says the number"),
        "modelSourceConfig.modelSourceType": _("the artifact"), "modelSourceConfig.modelLocation": _("the artifact"),
        "modelSourceConfig.s3Storage.bucketName": _("the artifact"),
        "modelSourceConfig.fsxStorage.fileSystemId": _("the artifact"),
        "modelSourceConfig.huggingFaceModel": _("the artifact with its revision and token"),
        "worker.image": _("the engine release"), "worker.command": _("the engine release"),
        "worker.args": _("the engine arguments"), "worker.modelVolumeMount": _("the artifact"),
        "worker.modelInvocationPort": _("the engine: vLLM listens on 8000, SGLang and LMI on 8080"),
    },
    JUMPSTART: {
        **_MADE_HERE, "model.modelId": _("the artifact"), "model.modelVersion": _("the artifact's revision"),
        "model.acceptEula": _("the licence's acceptance, which is recorded in the catalogue"),
    },
}
# Required by the schema; the portal has a value where people give none.
DEFAULTED = frozenset({"modelName", "worker.resources"})
# Amounts that the profile says; other resources of a container are people's.
OF_THE_PROFILE = frozenset({"cpu", "memory", "nvidia.com/gpu"})
MIG = "nvidia.com/mig-"


def kind_of(spec: Mapping[str, Any]) -> str:
    """Which object of the operator serves such a revision."""
    return JUMPSTART if spec["artifact"]["kind"] == ArtifactKind.JUMPSTART else IEC


def check(case: Case) -> list[Problem]:
    """Everything that the portal, the API server or the operator would refuse; fields first, combinations after."""
    fields = {name: value for name, value in case.options.items() if name not in OWN}
    found = [*_filled(case.kind, fields), *_own(case)]
    refused = {problem.path for problem in found}
    found += [problem for problem in check_fields(case.kind, fields)
              if not _is_filled(case.kind, problem) and problem.path not in refused]
    if found:  # a rule may rely on types
        return found
    return [problem for rule in RULES for problem in rule(case)]


def _filled(kind: str, fields: Mapping[str, Any]) -> Iterator[Problem]:
    seen = set()
    for path, _value in leaves(fields):
        for name, source in FILLED[kind].items():
            if (path == name or path.startswith(f"{name}.")) and name not in seen:
                seen.add(name)
                yield Problem(path, _now("The portal fills this from %(source)s.") % {"source": source})


def _is_filled(kind: str, problem: Problem) -> bool:
    """Missing, but the portal gives it."""
    if problem.rule != "required":
        return False
    names = {*FILLED[kind], *DEFAULTED}
    return any(problem.path == name or name.startswith(f"{problem.path}.") or problem.path.startswith(f"{name}.")
               for name in names)


def _own(case: Case) -> Iterator[Problem]:
    for name in ("queue", "priorityClass"):
        value = case.options.get(name)
        if value is not None and (not isinstance(value, str) or not LABEL.fullmatch(value)):
            yield Problem(name, _now("This is the value of a label: at most 63 letters, digits, dots, hyphens, underscores."))
    if case.options.get("entrance", ENTRANCES[0]) not in ENTRANCES:
        yield Problem("entrance", _now("This must be one of: %(choices)s.") % {"choices": ", ".join(ENTRANCES)})


def _placement(case: Case) -> Iterator[Problem]:
    ways = ("instanceType", "instanceTypes", "nodeAffinity")
    given = [way for way in ways if case.options.get(way)]
    # The target makes a nodeAffinity of a profile's node labels.
    if case.kind == IEC and not given and not (case.spec.get("placement") or {}).get("node_selector"):
        yield Problem("instanceType", _now("Say where it runs: an instanceType, instanceTypes in order, or a nodeAffinity."))
    for path, machine in _machines(case):
        if not machine.hyperpod:
            yield Problem(path, _now("HyperPod has no machines of the type %(type)s.") % {"type": machine.name})
    if len(given) > 1:
        yield Problem(given[1], _now("Only one of %(ways)s can be given.") % {"ways": ", ".join(ways)})


def _machines(case: Case) -> Iterator[tuple[str, InstanceType]]:
    """The types that the options name, as far as we know them, each with its path."""
    named = [(path, case.get(path)) for path in ("server.instanceType", "instanceType")]
    named += [(f"instanceTypes.{index}", name) for index, name in enumerate(case.options.get("instanceTypes") or ())]
    for path, name in named:
        machine = instance_type(name) if name else None
        if machine is not None:
            yield path, machine


def _cache(case: Case) -> Iterator[Problem]:
    cache = case.options.get("kvCacheSpec")
    if cache is None:
        return
    if case.kind == IEC and case.engine != EngineKind.VLLM:
        yield Problem("kvCacheSpec", _now("The KV cache works with vLLM only, and this profile's engine is %(engine)s.")
                      % {"engine": case.engine})
    level, backend = cache.get("l2CacheSpec"), str(case.get("kvCacheSpec.l2CacheSpec.l2CacheBackend") or "").lower()
    if not cache.get("enableL2Cache"):
        if level is not None:
            yield Problem("kvCacheSpec.l2CacheSpec", _now("It has no effect without enableL2Cache."))
        return
    if backend not in CACHES and not cache.get("cacheConfigFile"):
        yield Problem("kvCacheSpec.l2CacheSpec.l2CacheBackend",
                      _now("The L2 cache needs one of: %(choices)s.") % {"choices": ", ".join(CACHES)})
    if case.get("modelSourceConfig.prefetchEnabled"):
        yield Problem("modelSourceConfig.prefetchEnabled",
                      _now("Prefetching and the L2 cache want the same volume: switch one of them off."))
    yield from _backend(case, backend)


def _backend(case: Case, backend: str) -> Iterator[Problem]:
    path = "kvCacheSpec.l2CacheSpec.l2CacheLocalUrl"
    address = case.get(path)
    if backend == "redis" and not address:
        yield Problem(path, _now("The backend redis needs its address, such as redis://redis.caches.svc.cluster.local:6379."))
    if address and not _is_redis(address):
        yield Problem(path, _now("This must be an address such as redis://redis.caches.svc.cluster.local:6379, without a "
                                 "password: the operator has no field for one."))
    if backend == "tieredstorage" and case.place is not None and not case.place.features.get("tiered_storage"):
        yield Problem("kvCacheSpec.l2CacheSpec.l2CacheBackend",
                      _now("%(place)s was made without tiered storage: switch it on for the HyperPod cluster, or use redis.")
                      % {"place": case.cluster})


def _is_redis(address: str) -> bool:
    try:
        url = urlsplit(address)
        return url.scheme in ("redis", "rediss") and bool(url.hostname) and "@" not in url.netloc
    except ValueError:
        return False


def _routing(case: Case) -> Iterator[Problem]:
    if not routes(case.options):
        if len(case.options.get("intelligentRoutingSpec") or {}) > 0 and case.get("intelligentRoutingSpec.enabled") is None:
            yield Problem("intelligentRoutingSpec.enabled", _now("Switch it on, or leave the other fields of the routing out."))
        if case.options.get("entrance") == "load-balancer":
            yield Problem("entrance", _now("A load balancer's address needs intelligent routing: without it the operator "
                                           "makes no Ingress."))
        return
    if case.kind == IEC and case.engine != EngineKind.VLLM:
        yield Problem("intelligentRoutingSpec.enabled",
                      _now("Intelligent routing works with vLLM only, and this profile's engine is %(engine)s.")
                      % {"engine": case.engine})
    if case.spec.get("task") not in (Task.CHAT, Task.VISION_CHAT):
        yield Problem("intelligentRoutingSpec.enabled", _now("Intelligent routing passes on chats only (%(path)s).")
                      % {"path": CHAT_PATH})
    if case.options.get("invocationEndpoint", CHAT_PATH) != CHAT_PATH:
        yield Problem("invocationEndpoint", _now("Intelligent routing needs %(path)s here.") % {"path": CHAT_PATH})


def routes(options: Mapping[str, Any]) -> bool:
    return bool((options.get("intelligentRoutingSpec") or {}).get("enabled"))


def _endpoint_name(case: Case) -> str:
    return str(case.get("endpointName" if case.kind == IEC else "sageMakerEndpoint.name") or "")


def _entrance(case: Case) -> Iterator[Problem]:
    field = "endpointName" if case.kind == IEC else "sageMakerEndpoint.name"
    if case.options.get("entrance") == "sagemaker" and not _endpoint_name(case):
        yield Problem(field, _now("Calls through SageMaker need the name of a SageMaker endpoint."))


def _certificates(case: Case) -> Iterator[Problem]:
    if case.options.get("dnsConfig") is not None and not case.get("tlsConfig.customCertificateConfig"):
        yield Problem("tlsConfig.customCertificateConfig",
                      _now("dnsConfig makes a record for the domain of an own certificate: give its ARN and domain."))


def _limits(case: Case) -> Iterator[Problem]:
    limits = case.get("worker.requestLimits")
    if limits is None:
        return
    if "maxConcurrentRequests" not in limits:
        yield Problem("worker.requestLimits.maxConcurrentRequests",
                      _now("Without it nothing is limited, so a queue or a status code has no effect."))
    if case.get("metrics.enabled") is False:
        yield Problem("metrics.enabled", _now("The sidecar that limits requests also collects metrics: leave them on."))


def _metrics(case: Case) -> Iterator[Problem]:
    port = case.get("metrics.modelMetrics.port")
    wanted = PORTS.get(EngineKind(case.engine)) if case.engine in EngineKind.values else None
    if case.kind == IEC and port is not None and wanted and port != wanted:
        yield Problem("metrics.modelMetrics.port", _now("%(engine)s has its metrics on port %(port)d.")
                      % {"engine": EngineKind(case.engine).label, "port": wanted})


def _capture(case: Case) -> Iterator[Problem]:
    capture = case.options.get("dataCapture")
    if capture is None:
        return
    tiers = {name: capture[name].get("enabled") for name in TIERS if name in capture}
    if not any(tiers.values()):
        yield Problem("dataCapture", _now("Switch on at least one of: %(tiers)s.") % {"tiers": ", ".join(TIERS)})
    if tiers.get("sagemakerEndpoint") and not _endpoint_name(case):
        yield Problem("dataCapture.sagemakerEndpoint.enabled", _now("SageMaker captures nothing without an endpoint's name."))
    if tiers.get("loadBalancer") and not routes(case.options):
        yield Problem("dataCapture.loadBalancer.enabled", _now("The load balancer comes with intelligent routing only."))
    for name in ("sagemakerEndpoint", "modelPod"):
        modes = [one.get("captureMode") for one in capture.get(name, {}).get("captureOptions", ())]
        if len(modes) != len(set(modes)):
            yield Problem(f"dataCapture.{name}.captureOptions", _now("Name each of Input and Output once."))


def _tags(case: Case) -> Iterator[Problem]:
    for index, tag in enumerate(case.options.get("tags") or ()):
        if tag["name"].lower().startswith("aws:"):
            yield Problem(f"tags.{index}.name", _now("Names that start with aws: belong to AWS."))


def _partitions(case: Case) -> Iterator[Problem]:
    """MIG: of a JumpStart model as a field, of others as a resource of the container."""
    wanted = [("server.acceleratorPartitionType", case.get("server.acceleratorPartitionType"))]
    for part in ("limits", "requests"):
        for name in case.get(f"worker.resources.{part}") or {}:
            path = f"worker.resources.{part}.{name}"
            if name in OF_THE_PROFILE:
                yield Problem(path, _now("The portal fills this from the profile."))
            elif name.startswith(MIG):
                wanted.append((path, name.removeprefix("nvidia.com/")))
    for path, partition in wanted:
        for _path, machine in _machines(case) if partition else ():
            if partition not in machine.partitions:
                yield Problem(path, _no_partition(machine))


def _no_partition(machine: InstanceType) -> str:
    words = {"type": machine.name, "all": ", ".join(machine.partitions)}
    return (_now("%(type)s has the partitions %(all)s.") if machine.partitions else
            _now("The GPUs of %(type)s can't be divided.")) % words


def _inner_scaling(case: Case) -> Iterator[Problem]:
    """The router's and the two roles' own; the endpoint's is the portal's."""
    for path in INNER_SCALING:
        scaling = case.get(path) or {}
        least, most = scaling.get("minReplicaCount", 1), scaling.get("maxReplicaCount", 5)
        if least > most:
            yield Problem(f"{path}.maxReplicaCount", _now("This is less than minReplicaCount."))
        elif most > MOST_PODS:
            yield Problem(f"{path}.maxReplicaCount", _now("Choose at most %(most)d.") % {"most": MOST_PODS})
        for where, part in parts(scaling, path):
            if part.get("customHeaders"):
                yield Problem(f"{where}.customHeaders", _now("Headers would show a secret in plain text: leave them out."))
            if part.get("serverAddress") and not AMP.fullmatch(part["serverAddress"]):
                yield Problem(f"{where}.serverAddress", _now("The operator asks Amazon Managed Prometheus only: https://aps-"
                                                             "workspaces.REGION.amazonaws.com/workspaces/ws-…, or empty."))


RULES = (_placement, _cache, _routing, _entrance, _certificates, _limits, _metrics, _capture, _tags, _partitions,
         _inner_scaling, check_pods)
