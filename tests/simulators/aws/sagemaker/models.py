"""Models and endpoint configurations."""

from __future__ import annotations

from typing import Any

from tests.simulators.aws.errors import AwsFault, invalid
from tests.simulators.aws.messages import Params
from tests.simulators.aws.sagemaker.lists import listed
from tests.simulators.aws.sagemaker.service import plays
from tests.simulators.aws.sagemaker.state import Region, Thing, find, refuse_existing

MODEL_FIELDS = ("ModelName", "PrimaryContainer", "Containers", "InferenceExecutionConfig", "ExecutionRoleArn", "VpcConfig",
                "EnableNetworkIsolation")  # fmt: skip


@plays("CreateModel")
def create_model(here: Region, asked: Params) -> Params:
    arn = refuse_existing(here, "model", here.models, asked["ModelName"])
    if ("PrimaryContainer" in asked) == ("Containers" in asked):  # the words are not verified
        raise invalid("Exactly one of PrimaryContainer and Containers must be set")
    here.put_tags(arn, asked.get("Tags", []))
    here.models[asked["ModelName"]] = Thing(asked["ModelName"], arn, asked, here.now, here.now)
    return {"ModelArn": arn}


@plays("DescribeModel")
def describe_model(here: Region, asked: Params) -> Params:
    model = find(here, "model", here.models, asked["ModelName"])
    kept = {name: model.asked[name] for name in MODEL_FIELDS if name in model.asked}
    return {"EnableNetworkIsolation": False, **kept, "ModelArn": model.arn, "CreationTime": model.created}


@plays("ListModels")
def list_models(here: Region, asked: Params) -> Params:
    found, more = listed(asked, here.models.values())
    return {"Models": [{"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created} for model in found],
            **more}  # fmt: skip


@plays("DeleteModel")
def delete_model(here: Region, asked: Params) -> Params:
    """AWS lets a model go that endpoints still use; they go on, and can't be scaled or moved any more."""
    model = find(here, "model", here.models, asked["ModelName"])
    users = [endpoint.name for endpoint in here.endpoints.values() if model.name in _models_of(endpoint.served)]
    if users:
        here.world.misuses.append(f"model {model.name} deleted while used by {', '.join(users)}")
    _drop(here, here.models, model)
    return {}


@plays("CreateEndpointConfig")
def create_endpoint_config(here: Region, asked: Params) -> Params:
    arn = refuse_existing(here, "endpoint-config", here.configs, asked["EndpointConfigName"])
    names = [variant["VariantName"] for variant in asked["ProductionVariants"]]
    if len(set(names)) != len(names):  # the words are not verified
        raise invalid("Production variant names must be unique.")
    for variant in asked["ProductionVariants"]:
        _check_variant(here, asked, variant)
    here.put_tags(arn, asked.get("Tags", []))
    here.configs[asked["EndpointConfigName"]] = Thing(asked["EndpointConfigName"], arn, asked, here.now, here.now)
    return {"EndpointConfigArn": arn}


def _check_variant(here: Region, asked: Params, variant: Params) -> None:
    """A variant has a model, or is a place for inference components, whose role the configuration names."""
    if "ModelName" in variant:
        find(here, "model", here.models, variant["ModelName"])
        if "ManagedInstanceScaling" in variant:  # terraform-provider-aws, pull request 45926
            raise invalid("ManagedInstanceScaling is only supported for inference component endpoints.")
    elif "ExecutionRoleArn" not in asked:  # the words are not verified
        raise invalid("ExecutionRoleArn is required when no ModelName is specified for a production variant.")
    is_serverless = "ServerlessConfig" in variant
    if not is_serverless and "InstanceType" not in variant and "InstancePools" not in variant:
        raise invalid(f"InstanceType is required for production variant {variant['VariantName']}.")  # not verified


@plays("DescribeEndpointConfig")
def describe_endpoint_config(here: Region, asked: Params) -> Params:
    config = find(here, "endpoint-config", here.configs, asked["EndpointConfigName"])
    variants = [{"InitialVariantWeight": 1.0, **variant} for variant in config.asked["ProductionVariants"]]
    kept = {name: value for name, value in config.asked.items() if name != "Tags"}
    return {**kept, "ProductionVariants": variants, "EndpointConfigArn": config.arn, "CreationTime": config.created}


@plays("ListEndpointConfigs")
def list_endpoint_configs(here: Region, asked: Params) -> Params:
    found, more = listed(asked, here.configs.values())
    return {"EndpointConfigs": [{"EndpointConfigName": config.name, "EndpointConfigArn": config.arn,
                                 "CreationTime": config.created} for config in found], **more}  # fmt: skip


@plays("DeleteEndpointConfig")
def delete_endpoint_config(here: Region, asked: Params) -> Params:
    """AWS lets one go that is in use, and warns of it in the API reference."""
    config = find(here, "endpoint-config", here.configs, asked["EndpointConfigName"])
    users = [endpoint.name for endpoint in here.endpoints.values()
             if config.name in (endpoint.config_name, (endpoint.pending or {}).get("EndpointConfigName"))]  # fmt: skip
    if users:
        here.world.misuses.append(f"endpoint configuration {config.name} deleted while used by {', '.join(users)}")
    _drop(here, here.configs, config)
    return {}


def _drop(here: Region, things: dict[str, Any], thing: Thing) -> None:
    del things[thing.name]
    here.tags.pop(thing.arn, None)


def _models_of(config: Params) -> list[str]:
    return [variant.get("ModelName", "") for variant in config.get("ProductionVariants", [])]


def check_quota(here: Region, config: Params) -> None:
    """
    :raises AwsFault: ResourceLimitExceeded, in the words of Service Quotas.
    """
    wanted: dict[str, int] = {}
    for variant in config["ProductionVariants"]:
        kind = variant.get("InstanceType", "")
        wanted[kind] = wanted.get(kind, 0) + variant.get("InitialInstanceCount", 1)
    for kind, count in wanted.items():
        limit, used = here.quotas.get(kind), _in_use(here, kind)
        if limit is not None and used + count > limit:
            raise AwsFault("ResourceLimitExceeded", f"The account-level service limit '{kind} for endpoint usage' is {limit} "
                           f"Instances, with current utilization of {used} Instances and a request delta of {count} Instances. "
                           "Please use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is not "
                           "available, contact AWS support to request an increase for this quota.")  # fmt: skip


def _in_use(here: Region, kind: str) -> int:
    return sum(variant["count"] for endpoint in here.endpoints.values() for variant in endpoint.variants.values()
               if variant["type"] == kind)  # fmt: skip
