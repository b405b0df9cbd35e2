"""The few questions to SageMaker that more than one of our steps asks. Every one may raise AwsError."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from clusters.drivers.aws import Aws

from . import names
from .errors import unless_gone
from .live import Component, Live, component_of, live_of
from .memory import VISIBLE

PAGE = 100
MOST_RESOURCES = 50  # of one describe_scalable_targets
SERVICE = {"ServiceNamespace": "sagemaker"}
# What we make besides the endpoint: how it is listed, the name in a listing, and how it goes.
KINDS: Mapping[str, tuple[str, str, str, str]] = {
    "EndpointConfig": ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", "delete_endpoint_config"),
    "Model": ("list_models", "Models", "ModelName", "delete_model"),
}


class Calls:
    """One account and region, asked for SageMaker's things."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def do(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.aws.call("sagemaker", operation, **params)

    def scaling(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.aws.call("application-autoscaling", operation, **SERVICE, **params)

    def is_new(self, time: datetime) -> bool:
        """Whether what was made then may not be seen everywhere yet."""
        return self.aws.now() - time < timedelta(seconds=VISIBLE)

    def endpoint(self, name: str) -> Live | None:
        said = unless_gone(lambda: self.do("describe_endpoint", EndpointName=name))
        return None if said is None else live_of(said)

    def component(self, name: str) -> Component | None:
        said = unless_gone(lambda: self.do("describe_inference_component", InferenceComponentName=name))
        return None if said is None else component_of(said)

    def tags(self, arn: str) -> dict[str, str]:
        return names.as_tags(self.aws.pages("sagemaker", "list_tags", "Tags", ResourceArn=arn))

    def endpoints(self, **narrowed: Any) -> Iterator[dict[str, Any]]:
        yield from self.aws.pages("sagemaker", "list_endpoints", "Endpoints", MaxResults=PAGE, **narrowed)

    def components(self) -> Iterator[dict[str, Any]]:
        yield from self.aws.pages("sagemaker", "list_inference_components", "InferenceComponents", MaxResults=PAGE)

    def listed(self, kind: str, **narrowed: Any) -> list[dict[str, Any]]:
        """Everything of a kind of KINDS."""
        operation, key, _name, _delete = KINDS[kind]
        return list(self.aws.pages("sagemaker", operation, key, MaxResults=PAGE, **narrowed))

    def drop(self, kind: str, name: str) -> None:
        """What is gone already is fine."""
        _list, _key, parameter, delete = KINDS[kind]
        unless_gone(lambda: self.do(delete, **{parameter: name}))

    def scalable(self, resources: list[str]) -> list[dict[str, Any]]:
        """The scalable targets among these resources, asked for in bundles."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(resources), MOST_RESOURCES):
            asked = resources[start:start + MOST_RESOURCES]
            found += self.aws.pages("application-autoscaling", "describe_scalable_targets", "ScalableTargets", **SERVICE,
                                    ResourceIds=asked)
        return found
