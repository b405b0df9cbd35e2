"""What is told before anything is made: documents, the plan of a step, and the checks; and why it is not as wished after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from clusters.models import AwsPlace, Cluster
from endpoints import services
from endpoints.services.exports import Form, export
from endpoints.states import Status
from endpoints.targets import target_for
from endpoints.targets.base import Check, ModelFacts, TargetError
from models_catalog.choices import ArtifactKind
from tests.cast import GIB, Cast
from tests.endpoints.sagemaker.play import fresh, in_service, new_endpoint, profile_for_sagemaker, spec_now, until
from tests.endpoints.sagemaker.test_shapes import COMPONENT, PER_COPY, scaling
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "hf_" + "s3cr3t" * 4


def found(place: Cluster, spec: Any, name: str, model: ModelFacts | None = None) -> Check:
    return next(check for check in target_for(place).checks(spec, model or ModelFacts()) if check.name == name)


def test_a_first_plan_creates_and_one_that_is_true_keeps_all(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place)
    name, target = endpoint.external_name, target_for(place)
    steps = target.plan(spec_now(endpoint)).steps
    assert [(step.verb, step.what) for step in steps] == [
        ("create", f"Model/{name}-r1"), ("create", f"EndpointConfig/{name}-r1"), ("create", f"Endpoint/{name}")]
    in_service(sim, endpoint)
    assert {step.verb for step in target.plan(spec_now(endpoint)).steps} == {"keep"}
    assert target.plan(spec_now(endpoint)).digest == target.plan(spec_now(endpoint)).digest


def test_the_plan_of_an_update_names_what_differs_from_what_serves(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = in_service(sim, new_endpoint(cast, place))
    name = endpoint.external_name
    spec = spec_now(endpoint)
    spec = replace(spec, wanted=replace(spec.wanted, number=2, options={"InstanceType": "ml.g5.12xlarge"}))
    steps = {step.what: step for step in target_for(place).plan(spec).steps}
    config = steps[f"EndpointConfig/{name}-r2"]
    assert config.detail == f"in place of {name}-r1"
    changed = {field.path: (field.before, field.after) for field in config.fields}
    assert any("ml.g5.12xlarge" in str(after) and "ml.g5.2xlarge" in str(before) for before, after in changed.values())
    moved = {field.path: (field.before, field.after) for field in steps[f"Endpoint/{name}"].fields}
    assert moved == {"EndpointConfigName": (f"{name}-r1", f"{name}-r2")}
    larger = target_for(place).plan(replace(spec_now(endpoint), replicas=3)).steps
    fields = [(step.what, field.path, field.before, field.after) for step in larger for field in step.fields]
    assert fields == [(f"Endpoint/{name}", "DesiredInstanceCount.AllTraffic", 1, 3)]


def test_a_plan_of_a_scaled_component_names_all_that_it_is_made_of(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place, options=COMPONENT, autoscale=scaling(0, 2, PER_COPY))
    name, target = endpoint.external_name, target_for(place)
    kinds = [step.what.partition("/")[0] for step in target.plan(spec_now(endpoint)).steps]
    assert kinds == ["Model", "EndpointConfig", "Endpoint", "InferenceComponent", "ScalableTarget"]
    endpoint = in_service(sim, endpoint)
    spec = spec_now(endpoint)
    assert {step.verb for step in target.plan(spec).steps} == {"keep"}
    wider = replace(spec, autoscale=replace(spec.autoscale, max_replicas=3)) if spec.autoscale else spec
    changed = {step.what: [(field.path, field.before, field.after) for field in step.fields]
               for step in target.plan(wider).steps if step.verb == "change"}
    assert changed[f"ScalableTarget/inference-component/{name}"] == [("MaxCapacity", 2, 3)]
    plain = target.plan(replace(spec, autoscale=None)).steps
    assert ("delete", f"ScalableTarget/inference-component/{name}") in [(step.verb, step.what) for step in plain]


def test_an_export_has_the_parameters_of_each_call(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    endpoint = new_endpoint(cast, place, options=COMPONENT, autoscale=scaling(0, 2, PER_COPY))
    documents = list(yaml.safe_load_all(export(fresh(endpoint), Form.MANIFESTS)))
    kinds = [each["kind"] for each in documents]
    assert kinds == ["Model", "EndpointConfig", "Endpoint", "InferenceComponent", "ScalableTarget"]
    assert documents[0]["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"] == "s3://models/small/"


def test_the_hubs_token_is_sent_and_never_shown(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    profile = profile_for_sagemaker()
    artifact = profile.artifact
    artifact.kind, artifact.location, artifact.revision = ArtifactKind.HUGGING_FACE, "acme/small", "main"
    artifact.put_secret("token", SECRET)
    artifact.save()
    endpoint = in_service(sim, new_endpoint(cast, place, profile=profile))
    spec, target = spec_now(endpoint), target_for(place)
    sent = sim.here().models[f"{endpoint.external_name}-r1"].asked["PrimaryContainer"]
    assert sent["Environment"]["HF_TOKEN"] == SECRET
    assert (sent["Environment"]["SM_VLLM_MODEL"], sent["Environment"]["SM_VLLM_REVISION"]) == ("acme/small", "main")
    assert "ModelDataSource" not in sent
    other = replace(spec, wanted=replace(spec.wanted, number=2, hub_token=SECRET[::-1]))
    for said in (target.render(spec), target.plan(spec), target.plan(other), target.evidence(spec), spec):
        assert SECRET not in repr(said)
        assert SECRET[::-1] not in repr(said)
    assert found(place, spec, "token").ok is None


def test_weights_are_a_folder_or_an_archive_in_s3(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    spec, target = spec_now(new_endpoint(cast, place)), target_for(place)
    assert target.render(spec)[0]["PrimaryContainer"]["ModelDataSource"]["S3DataSource"] == {
        "S3Uri": "s3://models/small/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    packed = replace(spec, wanted=replace(spec.wanted, artifact_location="s3://models/small.tar.gz"))
    assert target.render(packed)[0]["PrimaryContainer"]["ModelDataSource"]["S3DataSource"] == {
        "S3Uri": "s3://models/small.tar.gz", "S3DataType": "S3Object", "CompressionType": "Gzip"}


@pytest.mark.parametrize(("kind", "isolated", "words"), [
    (ArtifactKind.VOLUME, False, "copy them to S3"), (ArtifactKind.JUMPSTART, False, "JumpStart"),
    (ArtifactKind.LOCAL_PATH, False, "copy them to S3"), (ArtifactKind.HUGGING_FACE, True, "no network"),
])
def test_other_weights_are_refused_with_a_way_out(
    sim: AwsSimulator, place: Cluster, cast: Cast, kind: str, isolated: bool, words: str,
) -> None:
    spec = spec_now(new_endpoint(cast, place))
    AwsPlace.objects.filter(cluster=place).update(network_isolation=isolated)
    spec = replace(spec, wanted=replace(spec.wanted, artifact_kind=kind))
    with pytest.raises(TargetError, match=words) as caught:
        target_for(place).render(spec)
    assert caught.value.permanent


def test_a_place_without_a_role_is_refused(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    spec = spec_now(new_endpoint(cast, place))
    AwsPlace.objects.filter(cluster=place).update(execution_role="")
    with pytest.raises(TargetError, match="execution role"):
        target_for(place).checks(spec, ModelFacts())


def test_network_and_key_are_the_places(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    spec = spec_now(new_endpoint(cast, place))
    AwsPlace.objects.filter(cluster=place).update(subnets=["subnet-1"], security_groups=["sg-1"], kms_key="alias/weights")
    model, config, *_rest = target_for(place).render(spec)
    assert model["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert "KmsKeyId" not in config  # g5 brings a disk of its own, which takes no key
    plain = replace(spec, wanted=replace(spec.wanted, options={"InstanceType": "ml.p3.2xlarge"}))
    assert target_for(place).render(plain)[1]["KmsKeyId"] == "alias/weights"


def test_what_the_api_would_refuse_is_named_before(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    spec = spec_now(new_endpoint(cast, place))
    spec = replace(spec, wanted=replace(spec.wanted, options={"InstanceType": "ml.nonsense.xlarge", "VolumeSizeInGB": 9999}))
    with pytest.raises(TargetError) as caught:
        target_for(place).render(spec)
    assert "InstanceType" in caught.value.message
    assert "VolumeSizeInGB" in caught.value.message


def test_the_checks_look_for_room_weights_and_cost(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    spec = spec_now(new_endpoint(cast, place))
    assert found(place, spec, "weights").ok is False
    storage = sim.client("s3")
    storage.create_bucket(Bucket="models")
    assert found(place, spec, "weights").ok is False
    storage.put_object(Bucket="models", Key="small/config.json", Body=b"{}")
    assert found(place, spec, "weights").ok is True
    assert found(place, spec, "instance").ok is True
    assert found(place, spec, "quota").ok is None
    assert "an hour" in found(place, spec, "cost").sentence
    greedy = replace(spec, wanted=replace(spec.wanted, resources=replace(spec.wanted.resources, gpus=8)))
    assert "8 GPUs" in found(place, greedy, "instance").sentence
    fat = replace(spec, wanted=replace(spec.wanted, resources=replace(spec.wanted.resources, memory_bytes=999 * GIB)))
    assert found(place, fat, "instance").ok is False
    elsewhere = replace(spec, wanted=replace(spec.wanted, image="docker.io/vllm/vllm-openai:v0.13"))
    assert found(place, elsewhere, "image").ok is False
    sim.faults.fail("AccessDenied", "Access Denied", 403, operations=["s3:GetBucket"])
    assert found(place, spec, "weights").ok is None


def test_the_log_of_a_failed_endpoint_explains_it(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    reason = "The primary container for production variant AllTraffic did not pass the ping health check."
    sim.sagemaker.fail("chat-*", reason=reason)
    endpoint = new_endpoint(cast, place)
    assert target_for(place).logs(spec_now(endpoint)) == ""
    endpoint = until(sim, endpoint, Status.FAILED)
    said = target_for(place).logs(spec_now(endpoint))
    assert reason in said
    assert target_for(place).logs(spec_now(endpoint), replica=1) == ""
    why = services.explain(endpoint)
    assert why.cause == endpoint.cause == "ProbeFailing"
    assert reason in why.sentence
    assert any(reason in line for line in why.last_lines)
