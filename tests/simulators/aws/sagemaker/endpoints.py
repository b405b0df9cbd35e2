"""Endpoints and their life: Creating, InService, Updating (the old fleet serves until the new one does), Deleting.

facts.md 2.1 to 2.3. What is not verified on AWS: how long describe shows EndpointConfigName of the old configuration,
FailureReason after an update that went back, and the words of the refusals marked below.
"""

from __future__ import annotations

from typing import Any

from tests.simulators.aws.errors import invalid
from tests.simulators.aws.messages import Params
from tests.simulators.aws.sagemaker.lists import listed
from tests.simulators.aws.sagemaker.models import check_quota
from tests.simulators.aws.sagemaker.service import plays
from tests.simulators.aws.sagemaker.state import Endpoint, Region, find, refuse_existing

IN_PROGRESS = ("Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting")
KEPT = ("ManagedInstanceScaling", "RoutingConfig")


def log_group(name: str) -> str:
    return f"/aws/sagemaker/Endpoints/{name}"


@plays("CreateEndpoint")
def create_endpoint(here: Region, asked: Params) -> Params:
    name = asked["EndpointName"]
    arn = refuse_existing(here, "endpoint", here.endpoints, name)
    config = find(here, "endpoint-config", here.configs, asked["EndpointConfigName"]).asked
    check_quota(here, config)
    here.put_tags(arn, asked.get("Tags", []))
    endpoint = Endpoint(name, arn, asked, here.now, here.now, config_name=asked["EndpointConfigName"],
                        deployment=asked.get("DeploymentConfig"), served=config, statuses=["Creating"])  # fmt: skip
    endpoint.variants = variants_of(config)
    here.endpoints[name] = endpoint
    reason = here.failure("create", name) or _missing_model(here, config)

    def finish(at: float) -> None:
        endpoint.become("Failed" if reason else "InService", at, reason)
        here.log(log_group(name), reason or "Model server started.")

    endpoint.plan.then(here.now + here.world.durations.creating, finish)
    return {"EndpointArn": arn}


def variants_of(config: Params) -> dict[str, Params]:
    """Counts and weights of a configuration's fleet."""
    return {variant["VariantName"]: {
        "count": variant.get("InitialInstanceCount", 1), "desired": variant.get("InitialInstanceCount", 1),
        "weight": variant.get("InitialVariantWeight", 1.0), "type": variant.get("InstanceType", ""),
    } for variant in config["ProductionVariants"]}  # fmt: skip


def _missing_model(here: Region, config: Params) -> str:
    """AWS takes the call and fails later when a model was deleted meanwhile (the words are not verified)."""
    names = [variant["ModelName"] for variant in config["ProductionVariants"] if "ModelName" in variant]
    gone = [name for name in names if name not in here.models]
    return f'Could not find model "{here.arn("model", gone[0])}".' if gone else ""


@plays("UpdateEndpoint")
def update_endpoint(here: Region, asked: Params) -> Params:
    endpoint = _idle(here, asked["EndpointName"])
    find(here, "endpoint-config", here.configs, endpoint.config_name)  # AWS needs the old one too
    config = find(here, "endpoint-config", here.configs, asked["EndpointConfigName"]).asked
    check_quota(here, config)
    variants = variants_of(config)
    _refuse_scaled(here, endpoint, variants)
    if asked.get("RetainAllVariantProperties"):
        _retain(endpoint, variants, asked.get("ExcludeRetainedVariantProperties", []))
    deployment = asked.get("DeploymentConfig") or (endpoint.deployment if asked.get("RetainDeploymentConfig") else None)
    endpoint.pending = {"EndpointConfigName": asked["EndpointConfigName"], "StartTime": here.now,
                        "ProductionVariants": _pending_variants(here, config)}  # fmt: skip
    endpoint.become("Updating", here.now)

    def finish(_at: float) -> None:
        endpoint.config_name, endpoint.served, endpoint.variants = asked["EndpointConfigName"], config, variants
        endpoint.deployment = deployment

    _end_of_update(here, endpoint, finish, _missing_model(here, config))
    return {"EndpointArn": endpoint.arn}


def _refuse_scaled(here: Region, endpoint: Endpoint, variants: dict[str, Params]) -> None:
    """Variants that scale by themselves keep their names and instance types (SageMaker developer guide)."""
    held = [name for name, variant in endpoint.variants.items() if f"endpoint/{endpoint.name}/variant/{name}" in here.scaled
            and variants.get(name, {}).get("type") != variant["type"]]  # fmt: skip
    if held:
        raise invalid(f"The variant(s) {held} must be deregistered as scalable targets with AWS Application Auto Scaling "
                      "before they can be removed or have their instance type updated.")  # fmt: skip


def _end_of_update(here: Region, endpoint: Endpoint, finish: Any, broken: str = "") -> None:
    """Plans how it ends: done, gone back, or (by a rule for "rollback") stuck between the two."""
    stuck = here.failure("rollback", endpoint.name)
    reason = stuck or here.failure("update", endpoint.name) or broken
    done = here.now + here.world.durations.updating

    def succeed(at: float) -> None:
        endpoint.pending = None
        finish(at)
        endpoint.become("InService", at)

    def go_back(at: float) -> None:
        here.log(log_group(endpoint.name), reason)
        endpoint.become("RollingBack", at, reason)

    def back(at: float) -> None:
        endpoint.pending = None
        endpoint.become("UpdateRollbackFailed" if stuck else "InService", at, reason)

    if not reason:
        endpoint.plan.then(done, succeed)
        return
    endpoint.plan.then(done, go_back)
    endpoint.plan.then(done + here.world.durations.rolling_back, back)


def _idle(here: Region, name: str) -> Endpoint:
    """
    :raises AwsFault: no such endpoint, or one that is busy, failed or stuck.
    """
    endpoint: Endpoint = find(here, "endpoint", here.endpoints, name)
    if endpoint.status in IN_PROGRESS:
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if endpoint.status != "InService":  # the words are not verified
        raise invalid(f'Cannot update endpoint "{endpoint.arn}" with status "{endpoint.status}".')
    return endpoint


def _retain(endpoint: Endpoint, variants: dict[str, Params], excluded: list[Params]) -> None:
    """Keeps counts and weights of the running fleet, except for the kinds that are named."""
    left_out = {each["VariantPropertyType"] for each in excluded}
    kinds = {"DesiredInstanceCount": ("count", "desired"), "DesiredWeight": ("weight",)}
    fields = [field for kind, fields in kinds.items() if kind not in left_out for field in fields]
    for name in variants.keys() & endpoint.variants.keys():
        variants[name] |= {field: endpoint.variants[name][field] for field in fields}


@plays("UpdateEndpointWeightsAndCapacities")
def update_weights(here: Region, asked: Params) -> Params:
    endpoint = _idle(here, asked["EndpointName"])
    wanted = asked["DesiredWeightsAndCapacities"]
    for each in wanted:
        if each["VariantName"] not in endpoint.variants:  # the words are not verified
            raise invalid(f"Could not find variant {each['VariantName']} in endpoint {endpoint.name}.")
        variant = endpoint.variants[each["VariantName"]]
        variant["desired"] = each.get("DesiredInstanceCount", variant["desired"])
    endpoint.become("Updating", here.now)

    def finish(_at: float) -> None:
        for each in wanted:
            variant = endpoint.variants[each["VariantName"]]
            variant["count"] = variant["desired"]
            variant["weight"] = each.get("DesiredWeight", variant["weight"])

    _end_of_update(here, endpoint, finish)
    return {"EndpointArn": endpoint.arn}


@plays("DescribeEndpoint")
def describe_endpoint(here: Region, asked: Params) -> Params:
    endpoint: Endpoint = find(here, "endpoint", here.endpoints, asked["EndpointName"])
    found: Params = {
        "EndpointName": endpoint.name, "EndpointArn": endpoint.arn, "EndpointConfigName": endpoint.config_name,
        "EndpointStatus": endpoint.status, "CreationTime": endpoint.created, "LastModifiedTime": endpoint.modified,
    }  # fmt: skip
    if endpoint.status not in ("Creating", "Failed"):
        found["ProductionVariants"] = [_variant(here, endpoint, each) for each in endpoint.served["ProductionVariants"]]
    if endpoint.failure:
        found["FailureReason"] = endpoint.failure[:1024]
    if endpoint.deployment:
        found["LastDeploymentConfig"] = endpoint.deployment
    if endpoint.pending:
        found["PendingDeploymentSummary"] = _progress(here, endpoint.pending)
    kept = ("AsyncInferenceConfig", "DataCaptureConfig", "ExplainerConfig", "MetricsConfig")
    found |= {name: endpoint.served[name] for name in kept if name in endpoint.served}
    if "DataCaptureConfig" in found:
        found["DataCaptureConfig"] = _capture(found["DataCaptureConfig"])
    return found


def _capture(config: Params) -> Params:
    return {"EnableCapture": config.get("EnableCapture", False), "CaptureStatus": "Started",
            "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
            "DestinationS3Uri": config["DestinationS3Uri"], "KmsKeyId": config.get("KmsKeyId", "")}  # fmt: skip


def _variant(here: Region, endpoint: Endpoint, config: Params) -> Params:
    now = endpoint.variants[config["VariantName"]]
    is_serverless = "ServerlessConfig" in config
    counts = {} if is_serverless else {"CurrentInstanceCount": now["count"], "DesiredInstanceCount": now["desired"]}
    scaling = {"CurrentServerlessConfig": config["ServerlessConfig"]} if is_serverless else {}
    return {"VariantName": config["VariantName"], "CurrentWeight": now["weight"], "DesiredWeight": now["weight"], **counts,
            **scaling, **_images(here, config), **{name: config[name] for name in KEPT if name in config}}  # fmt: skip


def _progress(here: Region, pending: Params) -> Params:
    """The new fleet is made, takes over, and is watched; how long each lasts is not verified."""
    if not pending.get("ProductionVariants"):
        return pending
    share = (here.now - pending["StartTime"]) / (here.world.durations.updating or 1)
    word = "Creating" if share < 0.5 else "ActivatingTraffic" if share < 0.75 else "Baking"
    status = [{"Status": word, "StartTime": pending["StartTime"]}]
    return {**pending, "ProductionVariants": [{**each, "VariantStatus": status} for each in pending["ProductionVariants"]]}


def _pending_variants(here: Region, config: Params) -> list[Params]:
    return [{"VariantName": each["VariantName"], **_images(here, each),
             "DesiredInstanceCount": each.get("InitialInstanceCount", 1),
             **({"InstanceType": each["InstanceType"]} if "InstanceType" in each else {})}
            for each in config["ProductionVariants"]]  # fmt: skip


def _images(here: Region, variant: Params) -> Params:
    model = here.models.get(variant.get("ModelName", ""))
    containers = [] if model is None else model.asked.get("Containers") or [model.asked["PrimaryContainer"]]
    images = [container["Image"] for container in containers if "Image" in container]
    digest = "sha256:" + "0" * 64
    found = [{"SpecifiedImage": image, "ResolvedImage": f"{image.partition(':')[0]}@{digest}", "ResolutionTime": here.now}
             for image in images]  # fmt: skip
    return {"DeployedImages": found} if found else {}


@plays("ListEndpoints")
def list_endpoints(here: Region, asked: Params) -> Params:
    found, more = listed(asked, here.endpoints.values())
    return {"Endpoints": [{
        "EndpointName": endpoint.name, "EndpointArn": endpoint.arn, "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified, "EndpointStatus": endpoint.status,
    } for endpoint in found], **more}  # fmt: skip


@plays("DeleteEndpoint")
def delete_endpoint(here: Region, asked: Params) -> Params:
    """One that is being made or changed stays: people report that it can be deleted only when that has ended."""
    endpoint: Endpoint = find(here, "endpoint", here.endpoints, asked["EndpointName"])
    if endpoint.status in IN_PROGRESS:
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
    if any(component.asked["EndpointName"] == endpoint.name for component in here.components.values()):
        raise invalid(f'Cannot delete endpoint "{endpoint.arn}" with active inference components.')  # not verified
    endpoint.plan.clear()
    endpoint.become("Deleting", here.now)

    def gone(_at: float) -> None:
        endpoint.removed = True

    endpoint.plan.then(here.now + here.world.durations.deleting, gone)
    return {}
