"""The shipped schemas: made from what AWS publishes, strict where an API server is silent, and clear in their words."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from endpoints.options import check_body
from endpoints.options.making import of_crd, of_sagemaker, strict
from endpoints.options.schema import FOLDER, check_fields, load_schema, nearest

CRDS = Path(__file__).resolve().parents[3].parent / "shared" / "kubernetes" / "crds"


def body(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "inference.sagemaker.aws.amazon.com/v1", "kind": "InferenceEndpointConfig",
        "metadata": {"name": "chat", "namespace": "ip-chat"},
        "spec": {
            "modelName": "chat", "instanceType": "ml.g5.8xlarge",
            "modelSourceConfig": {"modelSourceType": "s3", "s3Storage": {"bucketName": "models", "region": "us-west-2"}},
            "worker": {"image": "vllm", "modelInvocationPort": {"containerPort": 8000}, "modelVolumeMount": {"name": "model"},
                       "resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"cpu": "4", "nvidia.com/gpu": 1}}},
            **spec,
        },
    }


JUMPSTART = {
    "apiVersion": "inference.sagemaker.aws.amazon.com/v1", "kind": "JumpStartModel", "metadata": {"name": "chat"},
    "spec": {"model": {"modelId": "deepseek-llm-r1", "acceptEula": False}, "server": {"instanceType": "ml.g5.8xlarge"}},
}


@pytest.mark.parametrize(("file", "kind"), [
    ("inferenceendpointconfigs.yaml", "InferenceEndpointConfig"), ("jumpstartmodels.yaml", "JumpStartModel")])
def test_the_shipped_schema_is_that_of_the_operators_crd(file: str, kind: str) -> None:
    if not (CRDS / file).exists():
        pytest.skip("the CRDs are not here")
    assert of_crd(yaml.safe_load((CRDS / file).read_text()), "v1") == (kind, load_schema(kind))


def test_the_shipped_schema_is_that_of_the_sagemaker_api() -> None:
    """botocore goes on: what our schema knows must still be so, new fields and values may have come."""
    where = importlib.util.find_spec("botocore")
    assert where is not None
    assert where.origin is not None
    models = Path(where.origin).parent.glob("data/sagemaker/*/service-2.json.gz")
    made = of_sagemaker(json.loads(gzip.decompress(next(models).read_bytes())))
    assert made == load_schema("SageMaker")


@pytest.mark.parametrize("kind", ["InferenceEndpointConfig", "JumpStartModel", "SageMaker"])
def test_a_schema_has_no_prose_and_patterns_that_python_reads(kind: str) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert not isinstance(node.get("description"), str)
            if isinstance(node.get("pattern"), str):
                re.compile(node["pattern"])
            for part in node.values():
                walk(part)
    walk(load_schema(kind))


def test_complete_bodies_have_no_problem() -> None:
    assert check_body("InferenceEndpointConfig", body()) == []
    assert check_body("JumpStartModel", JUMPSTART) == []


@pytest.mark.parametrize(("spec", "said"), [
    ({"autoScalingSpec": {"minReplicas": 1}}, "spec.autoScalingSpec.minReplicas: There is no such field. Did you mean "
                                              "“minReplicaCount”?"),
    ({"modelSourceConfig": {"modelSourceType": "huggingface", "huggingfaceHub": {}}},
     "spec.modelSourceConfig.huggingfaceHub: There is no such field. Did you mean “huggingFaceModel”?"),
    ({"instance_type": "ml.g5.8xlarge"}, "spec.instance_type: There is no such field. Did you mean “instanceType”?"),
    ({"replicas": "2"}, "spec.replicas: This must be a whole number."),
    ({"replicas": 2.0}, "spec.replicas: This must be a whole number."),
    ({"replicas": True}, "spec.replicas: This must be a whole number."),
    ({"replicas": 2**31}, "spec.replicas: This must be 2147483647 or less."),
    ({"metrics": {"metricsScrapeIntervalSeconds": 4}}, "spec.metrics.metricsScrapeIntervalSeconds: This must be 5 or more."),
    ({"loadBalancer": {"routingAlgorithm": "random"}},
     "spec.loadBalancer.routingAlgorithm: This must be one of: least_outstanding_requests, round_robin."),
    ({"instanceType": "g5"}, "spec.instanceType: This does not have the right form: ^ml\\..*"),
    ({"endpointName": "chat\n"}, "spec.endpointName: This does not have the right form: ^$|^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$"),
    ({"dnsConfig": {}}, "spec.dnsConfig.hostedZoneId: This is missing."),
])
def test_what_an_api_server_drops_or_refuses_is_said_with_its_path(spec: dict[str, Any], said: str) -> None:
    assert check_body("InferenceEndpointConfig", body(**spec)) == [said]


def test_a_list_that_is_a_map_takes_each_name_once() -> None:
    twice = body()
    twice["spec"]["worker"]["environmentVariables"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    assert check_body("InferenceEndpointConfig", twice) == ["spec.worker.environmentVariables: “A” stands there twice."]


def test_amounts_may_be_numbers_or_text() -> None:
    amounts = body()
    amounts["spec"]["worker"]["resources"] = {"limits": {"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": "1"}}
    assert check_body("InferenceEndpointConfig", amounts) == []
    amounts["spec"]["worker"]["resources"] = {"limits": {"cpu": "much"}}
    assert len(check_body("InferenceEndpointConfig", amounts)) == 1


def test_what_was_given_is_not_repeated() -> None:
    """A secret may stand where it should not."""
    told = check_body("InferenceEndpointConfig", body(endpointName="s3cr3t!", replicas="s3cr3t", tags="s3cr3t"))
    assert len(told) == 3
    assert "s3cr3t" not in " ".join(told)


def test_another_version_or_kind_is_refused() -> None:
    old = {**body(), "apiVersion": "inference.sagemaker.aws.amazon.com/v1alpha1"}
    assert check_body("InferenceEndpointConfig", old) == [
        "apiVersion: This must be one of: inference.sagemaker.aws.amazon.com/v1."]


@pytest.mark.parametrize(("given", "meant"), [
    ("minReplicas", "minReplicaCount"), ("MaxReplicaCount", "maxReplicaCount"), ("polling_interval", "pollingInterval"),
    ("xyz", "")])
def test_the_nearest_name(given: str, meant: str) -> None:
    known = load_schema("InferenceEndpointConfig")["properties"]["spec"]["properties"]["autoScalingSpec"]["properties"]
    assert nearest(given, known) == meant


def test_nullable_parts_and_open_ones_stay_so() -> None:
    assert strict({"type": "string", "nullable": True, "description": "prose"}) == {"type": ["string", "null"]}
    assert "additionalProperties" not in strict({"type": "object", "x-kubernetes-preserve-unknown-fields": True})


def test_the_names_of_the_sagemaker_api_are_checked() -> None:
    found = {problem.path: problem.message for problem in check_fields("SageMaker", {
        "InstanceType": "ml.g5.2xlage", "RoutingConfig": {"Strategy": "RANDOM"}, "VolumeSizeInGB": 513})}
    assert found["InstanceType"] == "This is not known. Did you mean “ml.g5.2xlarge”?"
    assert found["VolumeSizeInGB"] == "This must be 512 or less."
    assert set(found) == {"InstanceType", "VolumeSizeInGB", "RoutingConfig.Strategy", "RoutingConfig.RoutingStrategy"}


def test_the_command_takes_a_new_release_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("endpoints.options.schema.FOLDER", tmp_path)
    crd = {"spec": {"group": "example.com", "names": {"kind": "Widget"}, "versions": [
        {"name": "v1", "schema": {"openAPIV3Schema": {"properties": {"spec": {
            "type": "object", "properties": {"size": {"type": "integer", "format": "int32", "description": "prose"}}}}}}}]}}
    (tmp_path / "crd.yaml").write_text(yaml.safe_dump(crd))
    call_command("operator_fields", str(tmp_path / "crd.yaml"), stdout=StringIO())
    made = json.loads((tmp_path / "widget.json").read_text())
    assert made["properties"]["spec"]["properties"] == {"size": {"type": "integer", "minimum": -2**31, "maximum": 2**31 - 1}}
    with pytest.raises(CommandError, match="no version v2"):
        call_command("operator_fields", str(tmp_path / "crd.yaml"), "--crd-version", "v2")


def test_the_schemas_are_all_there() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.json")) == [
        "inferenceendpointconfig.json", "jumpstartmodel.json", "sagemaker.json"]
