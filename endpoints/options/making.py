"""Schemas from what AWS publishes: the HyperPod operator's CRDs, and botocore's model of the SageMaker API.

Names, types and limits only; the words for people are ours. `manage.py operator_fields` writes the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEPT = ("type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "default",
        "required", "x-kubernetes-list-map-keys")
INT32 = {"minimum": -2**31, "maximum": 2**31 - 1}
BOUNDS = {"string": ("minLength", "maxLength"), "list": ("minItems", "maxItems"), "integer": ("minimum", "maximum"),
          "float": ("minimum", "maximum"), "long": ("minimum", "maximum"), "double": ("minimum", "maximum")}
TYPES = {"structure": "object", "map": "object", "list": "array", "string": "string", "boolean": "boolean",
         "integer": "integer", "long": "integer", "float": "number", "double": "number"}

# What a variant of an endpoint may say, for all variants of the endpoint or for one.
OF_ALL_VARIANTS = (
    "InstanceType", "InstancePools", "VariantInstanceProvisionTimeoutInSeconds", "ContainerStartupHealthCheckTimeoutInSeconds",
    "ModelDataDownloadTimeoutInSeconds", "VolumeSizeInGB", "InferenceAmiVersion", "EnableSSMAccess", "RoutingConfig",
    "ManagedInstanceScaling", "CapacityReservationConfig", "CoreDumpConfig",
)
OF_ONE_VARIANT = ("VariantName", "InitialVariantWeight", "InitialInstanceCount", "InstanceType")
OF_COMPONENT = ("ComputeResourceRequirements", "StartupParameters", "DataCacheConfig", "SchedulingConfig")
OF_CONFIG = ("DataCaptureConfig", "KmsKeyId", "AsyncInferenceConfig", "MetricsConfig", "Tags")


def strict(node: Mapping[str, Any]) -> dict[str, Any]:
    """A CRD's structural schema as a JSON Schema that refuses unknown fields, which an API server drops in silence."""
    found = {key: node[key] for key in KEPT if key in node}
    if node.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    if node.get("format") == "int32":
        found = {**INT32, **found}
    if node.get("nullable"):
        found["type"] = [found["type"], "null"]
    if "items" in node:
        found["items"] = strict(node["items"])
    if isinstance(node.get("additionalProperties"), Mapping):
        found["additionalProperties"] = strict(node["additionalProperties"])
    elif node.get("type") == "object" and not node.get("x-kubernetes-preserve-unknown-fields"):
        found["properties"] = {name: strict(part) for name, part in node.get("properties", {}).items()}
        found["additionalProperties"] = False
    return found


def of_crd(crd: Mapping[str, Any], version: str) -> tuple[str, dict[str, Any]]:
    """Kind and schema of one version of a CRD, whole object without status. Raises ValueError where it is not there."""
    for one in crd["spec"]["versions"]:
        if one["name"] == version:
            whole = one["schema"]["openAPIV3Schema"]
            kind, group = crd["spec"]["names"]["kind"], crd["spec"]["group"]
            return kind, {
                "type": "object", "required": ["apiVersion", "kind", "metadata", "spec"], "additionalProperties": False,
                "properties": {
                    "apiVersion": {"type": "string", "enum": [f"{group}/{version}"]},
                    "kind": {"type": "string", "enum": [kind]},
                    "metadata": {"type": "object"}, "spec": strict(whole["properties"]["spec"])},
            }
    raise ValueError(f"this CRD has no version {version}")


def of_sagemaker(model: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a SageMaker endpoint's options, from botocore's service model (service-2.json)."""
    shapes = model["shapes"]
    variant, config = _shape(shapes, "ProductionVariant"), _shape(shapes, "CreateEndpointConfigInput")
    container, component = _shape(shapes, "ContainerDefinition"), _shape(shapes, "InferenceComponentSpecification")
    # A variant may differ in engine arguments and environment, in the catalogue's own words.
    one = {**_some(variant, OF_ONE_VARIANT), **_some(container, ("Environment",)), "Arguments": {"type": "object"}}
    found = {
        **_some(variant, OF_ALL_VARIANTS), **_some(config, OF_CONFIG),
        "DeploymentConfig": _shape(shapes, "DeploymentConfig"),
        "Variants": {"type": "array", "minItems": 2, "maxItems": 10, "items": {
            "type": "object", "properties": one, "required": ["VariantName"], "additionalProperties": False}},
        "InferenceComponent": {"type": "object", "properties": _some(component, OF_COMPONENT), "additionalProperties": False},
    }
    _without(found["InstancePools"]["items"], "ModelNameOverride")  # models are the portal's
    # What the place's bucket and the profile's resources stand in for.
    found["AsyncInferenceConfig"].pop("required")
    found["DataCaptureConfig"]["required"].remove("DestinationS3Uri")
    found["InferenceComponent"]["properties"]["ComputeResourceRequirements"].pop("required")
    return {"type": "object", "properties": found, "additionalProperties": False}


def _some(schema: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: schema["properties"][name] for name in names}


def _without(schema: dict[str, Any], name: str) -> None:
    del schema["properties"][name]


def _shape(shapes: Mapping[str, Any], name: str) -> dict[str, Any]:
    shape = shapes[name]
    kind = shape["type"]
    found: dict[str, Any] = {"type": TYPES[kind]}
    for ours, theirs in zip(BOUNDS.get(kind, ()), ("min", "max"), strict=False):
        if shape.get(theirs):
            found[ours] = shape[theirs]
    if "enum" in shape:
        found["enum"] = shape["enum"]
    elif "pattern" in shape and r"\p{" not in shape["pattern"]:  # Python's `re` has no classes of Unicode
        found["pattern"] = f"^(?:{shape['pattern']})$"
    if kind == "list":
        found["items"] = _shape(shapes, shape["member"]["shape"])
    if kind == "map":
        found["additionalProperties"] = _shape(shapes, shape["value"]["shape"])
        found["propertyNames"] = _shape(shapes, shape["key"]["shape"])
    if kind == "structure":
        found |= {"properties": {part: _shape(shapes, member["shape"]) for part, member in shape["members"].items()},
                  "additionalProperties": False}
        if shape.get("required"):
            found["required"] = list(shape["required"])
    return found
