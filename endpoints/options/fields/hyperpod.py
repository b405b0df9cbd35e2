"""Words for the fields of the HyperPod operator's objects."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..hyperpod import CACHES, ENTRANCES
from .common import Field, Group

_SCALING = '{"minReplicaCount": 1, "maxReplicaCount": 4, "prometheusTrigger": {"query": "…", "targetValue": 5}}'
_GPU = '{"nvidia.com/gpu": 1}'
_PROBE = '{"httpGet": {"path": "/health", "port": 8000}, "timeoutSeconds": 5}'
_CAPTURED = '[{"captureMode": "Input"}, {"captureMode": "Output"}]'

_QUEUE = [
    Field("queue", _("Kueue's local queue in the workspace's namespace, where task governance is on."),
          "hyperpod-ns-team-localqueue"),
    Field("priorityClass", _("Kueue's priority class: which work yields when the cluster is full."), "inference-priority"),
]
_DEADLINE = Field("maxDeployTimeInSeconds", _("After so many seconds the operator gives a deployment up."))
_ENTRANCE = Field("entrance", _("By which way the portal calls it: the cluster's API, the load balancer (needs routing), or "
                                "its SageMaker endpoint (needs a name)."), choices=ENTRANCES)

_CACHE = Group(_("KV cache"), [
    Field("kvCacheSpec.enableL1Cache", _("Keep computed prompts in the machine's memory. vLLM only.")),
    Field("kvCacheSpec.enableL2Cache", _("Share them between machines, too.")),
    Field("kvCacheSpec.l2CacheSpec.l2CacheBackend", _("Where the shared cache lies: Redis, or the cluster's tiered storage."),
          choices=CACHES),
    Field("kvCacheSpec.l2CacheSpec.l2CacheLocalUrl", _("Redis only: its address, without a password."),
          "redis://redis.caches.svc.cluster.local:6379"),
    Field("kvCacheSpec.cacheConfigFile", _("Path of a file in the image; it overrides all other fields of the cache.")),
])
_ROUTING = Group(_("Intelligent routing"), [
    Field("intelligentRoutingSpec.enabled", _("A router sends each chat where its prompt is cached. Only with a new "
                                              "start; vLLM only.")),
    Field("intelligentRoutingSpec.routingStrategy", _("By the same beginning, by the cache's content, by the caller's "
                                                      "session, or in turn.")),
    Field("intelligentRoutingSpec.autoScalingSpec", _("What scales the router itself, as the operator writes it."), _SCALING),
])
_DOOR = Group(_("Load balancer, TLS and DNS"), [
    Field("loadBalancer.healthCheckPath", _("What the load balancer asks to see whether a pod answers.")),
    Field("loadBalancer.routingAlgorithm", _("Which pod gets the next call.")),
    Field("tlsConfig.tlsCertificateOutputS3Uri", _("Folder for the operator's own certificate; callers must trust it."),
          "s3://bucket/certificates/"),
    Field("tlsConfig.customCertificateConfig.acmArn", _("A certificate of your own in ACM."),
          "arn:aws:acm:us-west-2:123456789012:certificate/…"),
    Field("tlsConfig.customCertificateConfig.domainName", _("One domain of that certificate, in lower case, without *."),
          "chat.example.com"),
    Field("dnsConfig.hostedZoneId", _("Route 53 zone in which the operator makes a record for that domain."), "Z0123456789ABC"),
])
_METRICS = Group(_("Metrics"), [
    Field("metrics.enabled", _("Collect calls, latency, time to the first byte and calls at the same time.")),
    Field("metrics.metricsScrapeIntervalSeconds", _("Seconds between two looks.")),
    Field("metrics.modelMetrics.path", _("Where the engine shows its own metrics.")),
    Field("metrics.modelMetrics.port", _("On which port; empty takes the engine's: vLLM 8000, SGLang and LMI 8080.")),
])


def _capturing(tier: str, what: str | Promise) -> list[Field]:
    return [
        Field(f"dataCapture.{tier}.enabled", what),
        Field(f"dataCapture.{tier}.initialSamplingPercentage", _("Per cent of the calls.")),
        Field(f"dataCapture.{tier}.captureOptions", _("What is kept: prompts, answers, or both."), _CAPTURED),
        Field(f"dataCapture.{tier}.kmsKeyId", _("KMS key for what is written.")),
        Field(f"dataCapture.{tier}.captureContentTypeHeader.csvContentTypes", _("Content types to keep as CSV."), "text/csv"),
        Field(f"dataCapture.{tier}.captureContentTypeHeader.jsonContentTypes", _("Content types to keep as JSON."),
              "application/json"),
    ]


_CAPTURE = Group(_("Data capture"), [
    Field("dataCapture.s3Uri", _("Folder for captured calls; empty takes the bucket of the certificates."),
          "s3://bucket/captured"),
    *_capturing("sagemakerEndpoint", _("Capture calls that come through the SageMaker endpoint.")),
    Field("dataCapture.loadBalancer.enabled", _("Keep the load balancer's log of calls.")),
    *_capturing("modelPod", _("Capture calls in the pods, by whatever way they come.")),
    Field("dataCapture.modelPod.bufferConfig.batchSize", _("Calls that are written together.")),
    Field("dataCapture.modelPod.bufferConfig.flushIntervalSeconds", _("Written at the latest after so many seconds.")),
    Field("dataCapture.modelPod.payloadConfig.maxPayloadSizeKB", _("Longer payloads are cut; 0 keeps all.")),
])


def _role(role: str, what: str | Promise) -> list[Field]:
    return [
        Field(f"pdSpec.{role}.replicas", what),
        Field(f"pdSpec.{role}.args", _("Engine arguments of these pods only, on top of the others."), "--max-num-seqs=8"),
        Field(f"pdSpec.{role}.nodeSelector", _("Labels of the nodes for these pods."), '{"kubernetes.io/arch": "…"}'),
        Field(f"pdSpec.{role}.resources.limits", _("GPUs and other resources of each of these pods."), _GPU),
        Field(f"pdSpec.{role}.resources.requests", _("What must be free for one; empty is as the limits."), _GPU),
        Field(f"pdSpec.{role}.resources.claims", _("Claims of devices (dynamic resource allocation)."), '[{"name": "gpu"}]'),
    ]


_DIVIDED = Group(_("Prefill and decode apart"), [
    *_role("prefillSpec", _("Pods that read prompts.")), *_role("decodingSpec", _("Pods that write answers.")),
    Field("pdSpec.routingThreshold", _("Prompts with fewer tokens are read and answered by one pod; 0 divides all.")),
    Field("pdSpec.topologySpec.sameAZ", _("All pods in one availability zone.")),
    Field("pdSpec.topologySpec.availabilityZone", _("In this one."), "us-west-2a"),
    Field("pdSpec.topologySpec.placementGroup", _("Placement group of EC2, for short ways between the pods.")),
    Field("pdSpec.autoScalingSpec.prefillAutoScaling", _("What scales the pods that read."), _SCALING),
    Field("pdSpec.autoScalingSpec.decodingAutoScaling", _("What scales the pods that write."), _SCALING),
], rare=True)

INFERENCE_ENDPOINT_CONFIG: Sequence[Group] = (
    Group(_("Where it runs"), [
        Field("instanceType", _("Type of the machines; on the smallest few pods fit beside HyperPod's own."), "ml.g5.8xlarge"),
        Field("instanceTypes", _("Or several, the best first."), "ml.p5.48xlarge, ml.p4d.24xlarge"),
        Field("nodeAffinity", _("Or rules on the labels of nodes, as in a pod."),
              '{"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": […]}}'),
        _DEADLINE, *_QUEUE,
    ]),
    Group(_("Name and source"), [
        Field("modelName", _("Name of the model at SageMaker; empty takes the endpoint's.")),
        Field("modelVersion", _("Its version there.")),
        Field("endpointName", _("Register a SageMaker endpoint under this name; empty makes none.")),
        Field("invocationEndpoint", _("Path of calls that come through SageMaker, without the first slash; routing needs "
                                      "v1/chat/completions."), "v1/chat/completions"),
        _ENTRANCE,
        Field("modelSourceConfig.prefetchEnabled", _("Read the weights into memory ahead; not with the L2 cache.")),
        Field("modelSourceConfig.s3Storage.region", _("Region of the bucket, where it is not the place's."), "us-east-1"),
        Field("modelSourceConfig.fsxStorage.dnsName", _("DNS name of the file system; empty asks AWS.")),
        Field("modelSourceConfig.fsxStorage.mountName", _("Mount name of the file system; empty asks AWS.")),
    ]),
    _CACHE, _ROUTING,
    Group(_("Limits of requests"), [
        Field("worker.requestLimits.maxConcurrentRequests", _("Calls at the same time in each pod; more wait or are refused.")),
        Field("worker.requestLimits.maxQueueSize", _("Calls that may wait in each pod.")),
        Field("worker.requestLimits.overflowStatusCode", _("HTTP status of the refusal.")),
    ]),
    _DOOR, _METRICS, _CAPTURE, _DIVIDED,
    Group(_("Container"), [
        Field("worker.environmentVariables", _("Variables on top of the profile's; secrets by valueFrom."),
              '[{"name": "LMCACHE_CHUNK_SIZE", "value": "256"}]'),
        Field("worker.workingDir", _("Folder in which the engine starts.")),
        Field("worker.probes.startupProbe", _("How long the start may take."), _PROBE),
        Field("worker.probes.readinessProbe", _("When a pod gets calls; the operator's own waits 1 second for an answer."),
              _PROBE),
        Field("worker.probes.livenessProbe", _("When a pod is started again."), _PROBE),
        Field("worker.resources.limits", _("Beside CPU, memory and whole GPUs, which the profile says: MIG partitions, EFA."),
              '{"nvidia.com/mig-1g.10gb": 1}'),
        Field("worker.resources.requests", _("The same, as requests."), '{"ephemeral-storage": "100Gi"}'),
        Field("worker.resources.claims", _("Claims of devices (dynamic resource allocation)."), '[{"name": "gpu"}]'),
    ], rare=True),
    Group(_("Pod and tags"), [
        Field("kubernetes.initContainers", _("Containers that run before the engine."), '[{"name": "fetch", "image": "…"}]'),
        Field("kubernetes.volumes", _("More volumes; kinds that stay in the namespace."),
              '[{"name": "scratch", "emptyDir": {}}]'),
        Field("kubernetes.serviceAccountName", _("Service account of the namespace, such as one with a role in AWS.")),
        Field("kubernetes.schedulerName", _("Scheduler, if not the cluster's own.")),
        Field("tags", _("Tags of what is made at SageMaker."), '[{"name": "team", "value": "chat"}]'),
    ], rare=True),
)

JUMPSTART_MODEL: Sequence[Group] = (
    Group(_("Where it runs"), [
        Field("server.instanceType", _("Type of the machines, one that the model knows."), "ml.g5.8xlarge"),
        Field("server.acceleratorPartitionType", _("A MIG partition in place of whole GPUs."), "mig-1g.10gb"),
        Field("server.validations.acceleratorPartitionValidation", _("Check that the model fits the partition.")),
        _DEADLINE, *_QUEUE,
    ]),
    Group(_("Name and source"), [
        Field("sageMakerEndpoint.name", _("Register a SageMaker endpoint under this name; empty makes none.")),
        _ENTRANCE,
        Field("model.modelHubName", _("The hub that has the model."), "SageMakerPublicHub"),
        Field("model.gatedModelDownloadRole", _("Role that may read a gated model."), "arn:aws:iam::123456789012:role/models"),
        Field("model.additionalConfigs", _("More settings of the model, by name."), '[{"name": "…", "value": "…"}]'),
        Field("server.executionRole", _("Role of the server."), "arn:aws:iam::123456789012:role/inference"),
        Field("environmentVariables", _("Variables of the container; no secrets."), '[{"name": "OPTION_…", "value": "…"}]'),
    ]),
    _CACHE, _ROUTING, _DOOR, _METRICS, _CAPTURE,
)
