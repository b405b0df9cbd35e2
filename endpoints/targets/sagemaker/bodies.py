"""What is sent to SageMaker for one endpoint, as the API wants it. Pure; checked against the SDK's own model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.aws import check_params
from clusters.instances import instance_type
from endpoints.options.sagemaker import overrides, variants
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError

from . import names
from .container import container_of
from .place import PlaceView

Body = dict[str, Any]
SECONDS = (60, 3600)  # of the two time-outs of a start (facts.md 2.2)
START = ("ContainerStartupHealthCheckTimeoutInSeconds", "ModelDataDownloadTimeoutInSeconds")
MOST_INSTANCES = 64


@dataclass(frozen=True)
class Bodies:
    """The parameters of create_model, create_endpoint_config, create_endpoint and create_inference_component."""

    models: tuple[Body, ...]
    config: Body
    endpoint: Body
    component: Body | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many instances each variant should have; nothing where components decide about that."""
        if self.component is not None:
            return {}
        return {each["VariantName"]: each["InitialInstanceCount"] for each in self.config["ProductionVariants"]}

    @property
    def types(self) -> dict[str, str]:
        """What each variant runs on, to compare."""
        return variant_types(self.config)


def variant_types(config: Mapping[str, Any]) -> dict[str, str]:
    """The instance types of each variant of a configuration, as one word."""
    return {each["VariantName"]: ",".join(types_of(each)) for each in config["ProductionVariants"]}


def bodies_of(spec: Spec, place: PlaceView) -> Bodies:
    """Raises TargetError, permanent, for what SageMaker can't have."""
    names.check_name(spec)
    if not place.execution_role:
        raise TargetError(Cause.REFUSED, _("The place has no execution role. Enter the one that endpoints run as on its page."),
                          permanent=True)
    made = _with_components(spec, place) if "InferenceComponent" in spec.wanted.options else _plain(spec, place)
    check(made)
    return made


def _plain(spec: Spec, place: PlaceView) -> Bodies:
    """One configuration a revision: its variants name the models."""
    own, options = overrides(spec.wanted.options), spec.wanted.options
    models, listed = {}, []
    for index, variant in enumerate(variants(options, spec.replicas)):
        override = own.get(variant["VariantName"], {})
        name = names.model_name(spec, index if override else None)
        models[name] = model(spec, place, name, override)
        listed.append({"ModelName": name, **_start_times(spec), **variant})
    config = {"EndpointConfigName": names.config_name(spec), "ProductionVariants": listed,
              **_around(spec, place, listed), "Tags": names.as_list(names.tags_of(spec))}
    return Bodies(tuple(models.values()), config, endpoint(spec, config["EndpointConfigName"]))


def _with_components(spec: Spec, place: PlaceView) -> Bodies:
    """One configuration for all revisions: instances only. The component names the model."""
    made = model(spec, place, names.model_name(spec), {})
    variant = {name: value for name, value in variants(spec.wanted.options, 1)[0].items() if name not in START}
    managed = variant.setdefault("ManagedInstanceScaling", _managed(spec))
    variant["InitialInstanceCount"] = max(1, managed.get("MinInstanceCount", 1))
    content = {"ProductionVariants": [variant], **place.runs_as, **_around(spec, place, [variant])}
    name = names.component_config_name(spec, content)
    config = {"EndpointConfigName": name, **content, "Tags": names.as_list(names.tags_of(spec))}
    return Bodies((made,), config, endpoint(spec, name), component(spec, variant["VariantName"]))


def model(spec: Spec, place: PlaceView, name: str, override: Mapping[str, Any]) -> Body:
    return {"ModelName": name, "PrimaryContainer": container_of(spec, place, override), **place.runs_as,
            "Tags": names.as_list(names.tags_of(spec))}


def endpoint(spec: Spec, config: str) -> Body:
    tags = {**names.tags_of(spec), names.ATTEMPT: names.attempt_of(spec)}
    return {"EndpointName": spec.external_name, "EndpointConfigName": config, "Tags": names.as_list(tags)}


def deployment(spec: Spec) -> Body:
    """How an update goes: by the options' DeploymentConfig, else SageMaker's own way (blue/green, all at once)."""
    wished = spec.wanted.options.get("DeploymentConfig")
    return {"DeploymentConfig": wished} if wished else {}


def component(spec: Spec, variant: str) -> Body:
    """The one component of the endpoint. What it needs of an instance is the profile's, unless the options say more.

    One can't be made with no copies; it may go down to none later.
    """
    wished, needed = spec.wanted.options["InferenceComponent"], spec.wanted.resources
    room = {"MinMemoryRequiredInMb": max(128, needed.memory_bytes // 2**20),
            **({"NumberOfCpuCoresRequired": max(0.25, needed.cpu_millis / 1000)} if needed.cpu_millis else {}),
            **({"NumberOfAcceleratorDevicesRequired": float(needed.gpus)} if needed.gpus else {})}
    specification = {
        "StartupParameters": _start_times(spec), **wished, "ModelName": names.model_name(spec),
        "ComputeResourceRequirements": {**room, **wished.get("ComputeResourceRequirements", {})}}
    tags = {**names.tags_of(spec), names.ATTEMPT: names.attempt_of(spec)}
    return {"InferenceComponentName": spec.external_name, "EndpointName": spec.external_name, "VariantName": variant,
            "Specification": specification, "RuntimeConfig": {"CopyCount": max(1, spec.replicas)}, "Tags": names.as_list(tags)}


def _managed(spec: Spec) -> Body:
    """Instances follow the copies, so what bounds the copies bounds them."""
    scaled = spec.autoscale
    return {"Status": "ENABLED", "MinInstanceCount": 0 if scaled and not scaled.min_replicas else 1,
            "MaxInstanceCount": scaled.max_replicas if scaled else MOST_INSTANCES}


def _start_times(spec: Spec) -> Body:
    """The profile's time for a start, within SageMaker's bounds; options may say otherwise."""
    seconds = min(max(spec.wanted.start_seconds, SECONDS[0]), SECONDS[1])
    wished = spec.wanted.options
    return {name: wished.get(name, seconds) for name in START}


def _around(spec: Spec, place: PlaceView, listed: list[Body]) -> Body:
    """What a configuration has beside its variants."""
    options, found = spec.wanted.options, {}
    key = options.get("KmsKeyId") or ("" if any(_has_own_disk(each) for each in listed) else place.kms_key)
    if key:
        found["KmsKeyId"] = key
    if "DataCaptureConfig" in options:
        found["DataCaptureConfig"] = {"DestinationS3Uri": _folder(place, "data-capture", spec), **options["DataCaptureConfig"]}
    if "AsyncInferenceConfig" in options:
        wished = options["AsyncInferenceConfig"]
        output = {"S3OutputPath": _folder(place, "async", spec), **wished.get("OutputConfig", {})}
        # Without it a failure is told to nobody, and the gateway would wait for an answer that never comes.
        output.setdefault("S3FailurePath", f"{output['S3OutputPath'].rstrip('/')}/failures/")
        found["AsyncInferenceConfig"] = {**wished, "OutputConfig": output}
    if "MetricsConfig" in options:
        found["MetricsConfig"] = options["MetricsConfig"]
    return found


def _has_own_disk(variant: Body) -> bool:
    """Then it takes no key: its hardware encrypts it (API reference of CreateEndpointConfig, KmsKeyId)."""
    return any(known.local_disk for name in types_of(variant) if (known := instance_type(name)))


def types_of(variant: Mapping[str, Any]) -> list[str]:
    """The instance types that a production variant may run on."""
    pools = [pool["InstanceType"] for pool in variant.get("InstancePools", ())]
    return [variant["InstanceType"]] if "InstanceType" in variant else pools


def _folder(place: PlaceView, what: str, spec: Spec) -> str:
    return f"s3://{place.bucket}/{what}/{spec.external_name}/"


def check(made: Bodies) -> None:
    """Raises TargetError, permanent, naming every field that the SDK's model of the API refuses."""
    calls = [("create_model", each) for each in made.models]
    calls += [("create_endpoint_config", made.config), ("create_endpoint", made.endpoint)]
    if made.component is not None:
        calls.append(("create_inference_component", made.component))
    faults = [fault for operation, body in calls for fault in check_params("sagemaker", operation, body)]
    if faults:
        raise TargetError(Cause.INVALID, "; ".join(dict.fromkeys(faults)), permanent=True)

