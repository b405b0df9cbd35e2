"""Options of SageMaker endpoints, in the names of its API; `variants` puts them into production variants.

At the top what holds for every variant; `Variants` for two to ten of them with weights; `InferenceComponent` for an
endpoint whose model is a component, which can scale to zero copies. Names, images, roles, subnets and tags of the
portal's are the target's. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from clusters.instances import instance_type
from models_catalog.arguments import check_arguments, check_environment
from models_catalog.models import EngineRelease
from portal.tenancy.errors import Invalid

from .case import Case
from .making import OF_ALL_VARIANTS
from .pods import MOST_PODS
from .schema import Problem, check_fields

KIND = "SageMaker"
DEFAULT_VARIANT = "AllTraffic"
FILLED: Mapping[str, str | Promise] = {
    "ModelName": _("the endpoint"), "EndpointName": _("the endpoint"), "EndpointConfigName": _("the endpoint"),
    "InferenceComponentName": _("the endpoint"), "ExecutionRoleArn": _("the place"), "VpcConfig": _("the place"),
    "EnableNetworkIsolation": _("the place"), "PrimaryContainer": _("the engine release and the artifact"),
    "Image": _("the engine release"), "Environment": _("the profile"),
    "InitialInstanceCount": _("the endpoint's number of replicas"), "InitialVariantWeight": _("the variants"),
    "ProductionVariants": _("the options and “Variants”"),
}
# Tags by which the portal knows its own.
OUR_TAGS = ("aws:", "inference-portal")


def check(case: Case) -> list[Problem]:
    """Everything that the portal or SageMaker would refuse; fields first, combinations after."""
    found = [Problem(name, _now("The portal fills this from %(source)s.") % {"source": FILLED[name]})
             for name in case.options if name in FILLED]
    refused = {problem.path for problem in found}
    found += [problem for problem in check_fields(KIND, case.options) if problem.path not in refused]
    if found:  # a rule may rely on types
        return found
    return [problem for rule in RULES for problem in rule(case)]


def variants(options: Mapping[str, Any], replicas: int) -> list[dict[str, Any]]:
    """ProductionVariants without their models, of checked options; a variant without a count of its own takes `replicas`."""
    shared = {name: options[name] for name in OF_ALL_VARIANTS if name in options}
    own = options.get("Variants") or [{"VariantName": DEFAULT_VARIANT}]
    made = [{"InitialInstanceCount": replicas, "InitialVariantWeight": 1.0, **shared,
             **{name: value for name, value in variant.items() if name not in OF_A_MODEL}} for variant in own]
    for variant in made:
        if "InstanceType" in variant and "InstancePools" in variant:  # its own type takes the place of the shared pools
            del variant["InstancePools"]
    return made


OF_A_MODEL = ("Arguments", "Environment")


def overrides(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By variant, arguments and environment on top of the endpoint's; such a variant has a model of its own."""
    found = {one["VariantName"]: {name: one[name] for name in OF_A_MODEL if name in one}
             for one in options.get("Variants") or ()}
    return {name: values for name, values in found.items() if values}


def _instances(case: Case) -> Iterator[Problem]:
    top = [name for name in ("InstanceType", "InstancePools") if name in case.options]
    lacking = [one for one in case.options.get("Variants") or [{}] if "InstanceType" not in one]
    if not top and lacking:
        yield Problem("InstanceType", _now("Say on which instances it runs, such as ml.g5.2xlarge."))
    if len(top) > 1:
        yield Problem("InstancePools", _now("Give one instance type, or pools of them, not both."))
    named = [case.options.get("InstanceType"), *(pool["InstanceType"] for pool in case.options.get("InstancePools") or ()),
             *(one.get("InstanceType") for one in case.options.get("Variants") or ())]
    if "VolumeSizeInGB" in case.options:
        for name in named:
            machine = instance_type(name) if name else None
            if machine is not None and machine.local_disk:
                yield Problem("VolumeSizeInGB", _now("%(type)s has disks of its own and takes no other: leave the size out.")
                              % {"type": name})
    ranks = [pool["Priority"] for pool in case.options.get("InstancePools") or ()]
    if len(ranks) != len(set(ranks)):
        yield Problem("InstancePools", _now("Give each pool another priority."))


def _variants(case: Case) -> Iterator[Problem]:
    given = case.options.get("Variants") or ()
    names = [one["VariantName"].lower() for one in given]
    if len(names) != len(set(names)):
        yield Problem("Variants", _now("Give each variant another name."))
    if given and not sum(one.get("InitialVariantWeight", 1) for one in given):
        yield Problem("Variants", _now("No variant would get calls: give one a weight above 0."))
    release = EngineRelease.objects.filter(slug=case.spec.get("release", "")).first() if given else None
    for index, one in enumerate(given):
        if one.get("InitialInstanceCount", 1) > MOST_PODS:
            yield Problem(f"Variants.{index}.InitialInstanceCount", _now("Choose at most %(most)d.") % {"most": MOST_PODS})
        if not one["VariantName"]:
            yield Problem(f"Variants.{index}.VariantName", _now("Each variant needs a name."))
        yield from _own_settings(f"Variants.{index}", one, release)


def _own_settings(path: str, variant: Mapping[str, Any], release: EngineRelease | None) -> Iterator[Problem]:
    """Only what a profile could say too."""
    try:
        check_environment(variant.get("Environment") or {})
        if release is not None:
            check_arguments(release, variant.get("Arguments") or {})
    except Invalid as error:
        yield Problem(f"{path}.{error.field.capitalize()}", error.message)


def _component(case: Case) -> Iterator[Problem]:
    if "InferenceComponent" in case.options:
        for name in ("Variants", "AsyncInferenceConfig"):
            if name in case.options:
                yield Problem(name, _now("This does not go together with an inference component."))
        path = "InferenceComponent.ComputeResourceRequirements"
        needs = case.get(path) or {}
        least, most = needs.get("MinMemoryRequiredInMb"), needs.get("MaxMemoryRequiredInMb")
        if least and most and least > most:
            yield Problem(f"{path}.MaxMemoryRequiredInMb", _now("This is less than MinMemoryRequiredInMb."))
    elif "ManagedInstanceScaling" in case.options:
        yield Problem("ManagedInstanceScaling", _now("SageMaker scales instances by itself only under inference components; "
                                                     "otherwise use the endpoint's autoscaling."))


def _scaling(case: Case) -> Iterator[Problem]:
    scaling = case.options.get("ManagedInstanceScaling") or {}
    least, most = scaling.get("MinInstanceCount", 1), scaling.get("MaxInstanceCount")
    if scaling.get("Status") == "ENABLED" and most is None:
        yield Problem("ManagedInstanceScaling.MaxInstanceCount", _now("Say how many instances there may be at most."))
    elif most is not None and least > most:
        yield Problem("ManagedInstanceScaling.MaxInstanceCount", _now("This is less than MinInstanceCount."))


def _routing(case: Case) -> Iterator[Problem]:
    if case.get("RoutingConfig.PrefixAwareRoutingConfig") and case.get("RoutingConfig.RoutingStrategy") != "PREFIX_AWARE":
        yield Problem("RoutingConfig.PrefixAwareRoutingConfig", _now("This belongs to the strategy PREFIX_AWARE."))


def _deployment(case: Case) -> Iterator[Problem]:
    policies = [name for name in ("BlueGreenUpdatePolicy", "RollingUpdatePolicy") if case.get(f"DeploymentConfig.{name}")]
    if len(policies) > 1:
        yield Problem("DeploymentConfig", _now("Update blue/green or rolling, not both."))
    if "DeploymentConfig" in case.options and not policies:
        yield Problem("DeploymentConfig", _now("Choose a policy: BlueGreenUpdatePolicy or RollingUpdatePolicy."))
    path = "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration"
    traffic = case.get(path) or {}
    for kind, field in (("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")):
        if traffic.get("Type") == kind and field not in traffic:
            yield Problem(f"{path}.{field}", _now("%(kind)s needs it: how much of the traffic moves at once.") % {"kind": kind})
        if field in traffic and traffic["Type"] != kind:
            yield Problem(f"{path}.{field}", _now("This belongs to the type %(kind)s.") % {"kind": kind})
    sizes = (f"{path}.CanarySize", f"{path}.LinearStepSize", "DeploymentConfig.RollingUpdatePolicy.MaximumBatchSize")
    for where in sizes:
        size: Mapping[str, Any] = case.get(where) or {}
        if size.get("Type") == "CAPACITY_PERCENT" and size.get("Value", 0) > 50:
            yield Problem(f"{where}.Value", _now("At most 50 per cent of the capacity move at once."))


def _buckets(case: Case) -> Iterator[Problem]:
    for name, field in (("AsyncInferenceConfig", "OutputConfig.S3OutputPath"), ("DataCaptureConfig", "DestinationS3Uri")):
        if name not in case.options:
            continue
        path = f"{name}.{field}"
        given = case.get(path)
        if given and not given.startswith("s3://"):
            yield Problem(path, _now("This must start with s3://"))
        if not given and not (case.place is not None and case.place.bucket):
            yield Problem(path, _now("Name a folder in S3 here, or a bucket at the place."))


def _tags(case: Case) -> Iterator[Problem]:
    for index, tag in enumerate(case.options.get("Tags") or ()):
        if tag["Key"].lower().startswith(OUR_TAGS):
            yield Problem(f"Tags.{index}.Key", _now("Names that start so belong to AWS or to the portal."))


RULES = (_instances, _variants, _component, _scaling, _routing, _deployment, _buckets, _tags)
