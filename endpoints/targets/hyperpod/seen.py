"""What the operator writes, as far as a look needs it (facts.md 1.10), and the pods that it makes."""

from __future__ import annotations

from datetime import datetime

from endpoints.targets.kubernetes.evidence import WholePod
from endpoints.targets.kubernetes.seen import Condition, Meta, PodSpec, Struct, Workload, WorkloadSpec

from .engine import SAGEMAKER_PORT
from .names import REVISION_VARIABLE

HTTPS_PORT = 443
# Of status.state, and of deploymentStatus.deploymentObjectOverallState.
FAILED, COMPLETE, NOT_DELETED = "DeploymentFailed", "DeploymentComplete", "DeletionFailed"


class ConfigMeta(Meta, frozen=True):
    generation: int = 0
    creation_timestamp: datetime | None = None


class InvocationPort(Struct, frozen=True):
    container_port: int = SAGEMAKER_PORT


class Worker(Struct, frozen=True):
    model_invocation_port: InvocationPort = InvocationPort()


class Routing(Struct, frozen=True):
    enabled: bool = False


class EndpointName(Struct, frozen=True):
    name: str = ""


class Part(Struct, frozen=True):
    replicas: int = 1


class Split(Struct, frozen=True):
    """Prefill and decode apart, in pods of their own."""

    prefill_spec: Part = Part()
    decoding_spec: Part = Part()


class ConfigSpec(WorkloadSpec, frozen=True):
    endpoint_name: str = ""
    sage_maker_endpoint: EndpointName = EndpointName()
    worker: Worker = Worker()
    intelligent_routing_spec: Routing | None = None
    auto_scaling_spec: Struct | None = None
    pd_spec: Split | None = None


class DeploymentStatus(Struct, frozen=True):
    deployment_object_overall_state: str = ""
    reason: str = ""
    message: str = ""


class Registration(Struct, frozen=True):
    state: str = ""


class Endpoints(Struct, frozen=True):
    sagemaker: Registration | None = None


class Certificate(Struct, frozen=True):
    certificate_domain_names: list[str] | None = None
    certificate_health: str = ""
    tls_certificate_output_s3_bucket: str = ""
    tls_certificate_s3_keys: list[str] | None = None


class OperatorCondition(Condition, frozen=True):
    observed_generation: int = 0


class ConfigStatus(Struct, frozen=True):
    state: str = ""
    observed_generation: int = 0
    conditions: list[OperatorCondition] | None = None
    deployment_status: DeploymentStatus = DeploymentStatus()
    endpoints: Endpoints | None = None
    tls_certificate: Certificate | None = None


class Config(Workload, frozen=True):
    """An InferenceEndpointConfig or a JumpStartModel."""

    metadata: ConfigMeta = ConfigMeta()
    spec: ConfigSpec = ConfigSpec()
    status: ConfigStatus = ConfigStatus()

    @property
    def is_going(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def is_current(self) -> bool:
        """Whether the status speaks of the object as it is now. One that names no generation is believed: whether every
        operator writes it is not verified on AWS."""
        told = [self.status.observed_generation, *(each.observed_generation for each in self.status.conditions or ())]
        return bool(self.status.state) and (not any(told) or max(told) >= self.metadata.generation)

    @property
    def has_failed(self) -> bool:
        return FAILED in (self.status.state, self.status.deployment_status.deployment_object_overall_state)

    @property
    def is_routed(self) -> bool:
        return self.spec.intelligent_routing_spec is not None and self.spec.intelligent_routing_spec.enabled

    @property
    def pods(self) -> int:
        """How many there should be: where prefill and decode are apart, both parts together, whatever `replicas` says."""
        parts = self.spec.pd_spec
        return self.replicas if parts is None else parts.prefill_spec.replicas + parts.decoding_spec.replicas

    @property
    def scales_itself(self) -> bool:
        """Whether the operator may still have an autoscaler write the number of replicas."""
        return self.spec.auto_scaling_spec is not None or not self.is_current

    @property
    def sagemaker_name(self) -> str:
        return self.spec.endpoint_name or self.spec.sage_maker_endpoint.name

    @property
    def registration(self) -> str:
        """The state of the SageMaker endpoint; "" where none is wanted or told of."""
        endpoints = self.status.endpoints
        return endpoints.sagemaker.state if self.sagemaker_name and endpoints and endpoints.sagemaker else ""

    @property
    def port(self) -> int:
        return self.spec.worker.model_invocation_port.container_port

    @property
    def said(self) -> str:
        """The operator's own words about what is wrong. Ready that is False for a while is no failure, so it does not count."""
        bad = [each for each in self.status.conditions or () if each.status == "False" and each.type != "Ready"]
        words = [each.message or each.reason or "" for each in bad]
        deployment = self.status.deployment_status
        return next(filter(None, [*words, ": ".join(filter(None, [deployment.reason, deployment.message]))]), "")


class ServicePort(Struct, frozen=True):
    name: str = ""
    port: int = 0


class ServiceSpec(Struct, frozen=True):
    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None


class Service(Struct, frozen=True):
    """Whoever made it: what it selects says which endpoint it is before."""

    metadata: Meta = Meta()
    spec: ServiceSpec = ServiceSpec()

    @property
    def app(self) -> str:
        return (self.spec.selector or {}).get("app", "")

    @property
    def port(self) -> int:
        """The one for plain calls, as the API server's proxy makes them; 0 where there is none."""
        plain = [each for each in self.spec.ports or () if each.port != HTTPS_PORT and "https" not in each.name]
        return min(plain, key=lambda each: each.name != "http").port if plain else 0


class Variable(Struct, frozen=True):
    name: str = ""
    value: str | None = ""


class Container(Struct, frozen=True):
    name: str = ""
    env: list[Variable] | None = None


class OperatorPodSpec(PodSpec, frozen=True):
    containers: list[Container] | None = None


class OperatorPod(WholePod, frozen=True):
    """A pod of the operator's. The container with our variable is the engine; beside it are the operator's own."""

    spec: OperatorPodSpec = OperatorPodSpec()

    @property
    def engine(self) -> Container:
        containers = self.spec.containers or []
        marked = (each for each in containers if any(one.name == REVISION_VARIABLE for one in each.env or ()))
        return next(marked, containers[0] if containers else Container())

    @property
    def revision(self) -> str:
        return next((one.value or "" for one in self.engine.env or () if one.name == REVISION_VARIABLE), "")
