"""Options of places in AWS through the JSON API: kept in the revision, refused at their path, held while an endpoint runs."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import AwsAccount, AwsPlace
from clusters.states import ClusterKind
from endpoints import services
from endpoints.models import Endpoint
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact
from tests.cast import Cast, make_cluster, make_profile
from tests.portal.apiclient import Api, by_key, error_of

TYPE = {"instanceType": "ml.g5.8xlarge"}
ROUTED = {**TYPE, "intelligentRoutingSpec": {"enabled": True}}
CALLS = {"type": "sagemaker", "metadata": {"metric": "SageMakerVariantInvocationsPerInstance", "target": 70}}


@pytest.fixture
def bob(cast: Cast) -> Api:
    account = AwsAccount.objects.create(name="main")
    for name, kind in (("hyper", ClusterKind.HYPERPOD), ("sage", ClusterKind.SAGEMAKER)):
        AwsPlace.objects.create(cluster=make_cluster(name, kind=kind), account=account, region="us-west-2", status="InService")
    make_profile("tiny-chat-cpu")
    Artifact.objects.update(kind=ArtifactKind.S3, location="s3://models/chat")
    return by_key(cast.bob, cast.alpha)


def post(api: Api, **changes: Any) -> Any:
    return api.post("endpoints", {
        "workspace": "alpha", "name": "chat", "place": "hyper", "profile": "tiny-chat-cpu", **changes})


def options_of(api: Api, uid: str) -> Any:
    return api.get(f"endpoints/{uid}/revisions").json()["items"][0]["spec"].get("options")


def test_options_are_kept_and_replaced_as_a_whole(bob: Api) -> None:
    made = post(bob, options={**TYPE, "metrics": {"enabled": True, "modelMetrics": {"port": 8000}}})
    assert made.status_code == 202, made.content
    uid = made.json()["uid"]
    assert options_of(bob, uid) == {**TYPE, "metrics": {"enabled": True, "modelMetrics": {"port": 8000}}}
    assert bob.post(f"endpoints/{uid}/update", {"arguments": {"max-model-len": 1024}}).status_code == 202
    assert options_of(bob, uid)["metrics"]["enabled"] is True
    assert bob.post(f"endpoints/{uid}/update", {"options": TYPE}).status_code == 202
    assert options_of(bob, uid) == TYPE


@pytest.mark.parametrize(("place", "options", "words"), [
    ("hyper", {}, "instanceType: Say where it runs"), ("hyper", {**TYPE, "replicas": 2}, "replicas: The portal fills this"),
    ("hyper", {**TYPE, "kvCacheSpec": {"l2CacheSpec": {"l2CacheBackend": "redis"}}},
     "kvCacheSpec.l2CacheSpec: It has no effect"),
    ("sage", TYPE, "instanceType: There is no such field. Did you mean “InstanceType”?"),
])
def test_a_refusal_names_the_path(bob: Api, place: str, options: dict[str, Any], words: str) -> None:
    answer = post(bob, place=place, options=options)
    assert (answer.status_code, error_of(answer)["field"]) == (422, "options")
    assert error_of(answer)["message"].startswith(words)


def test_routing_can_not_come_while_it_runs(bob: Api) -> None:
    uid = post(bob, options=TYPE).json()["uid"]
    refused = bob.post(f"endpoints/{uid}/update", {"options": ROUTED})
    assert (refused.status_code, error_of(refused)["field"]) == (422, "options")
    assert bob.post(f"endpoints/{uid}/stop").status_code == 202
    assert bob.post(f"endpoints/{uid}/update", {"options": ROUTED}).status_code == 202


def test_autoscaling_is_that_of_the_place_and_of_the_options(bob: Api) -> None:
    scaling = {"max_replicas": 3, "triggers": [CALLS]}
    AwsPlace.objects.update(bucket="answers")
    asynchronous = {"InstanceType": "ml.g5.2xlarge", "AsyncInferenceConfig": {}}
    refused = post(bob, place="sage", options={"InstanceType": "ml.g5.2xlarge"}, autoscale={**scaling, "min_replicas": 0})
    assert (refused.status_code, error_of(refused)["field"]) == (422, "autoscale")
    made = post(bob, place="sage", options=asynchronous, autoscale={**scaling, "min_replicas": 0})
    assert made.status_code == 202, made.content
    later = bob.post(f"endpoints/{made.json()['uid']}/update", {"options": {"InstanceType": "ml.g5.2xlarge"}})
    assert (later.status_code, error_of(later)["field"]) == (422, "autoscale")
    assert error_of(post(bob, options=TYPE, name="other", autoscale=scaling))["field"] == "autoscale"


ROLE = {"kubernetes": {"serviceAccountName": "models-reader"}}


def test_what_reaches_into_the_account_is_an_operators_and_stays_when_a_member_changes_something_else(
    bob: Api, cast: Cast,
) -> None:
    refused = post(bob, options={**TYPE, **ROLE})
    assert error_of(refused)["message"].startswith("kubernetes.serviceAccountName: Only an operator sets this")
    uid = post(bob, options=TYPE).json()["uid"]
    endpoint = Endpoint.objects.get(uid=uid)
    services.update(cast.actor("operator"), endpoint, options={**TYPE, **ROLE})
    assert bob.post(f"endpoints/{uid}/update", {"options": {**TYPE, **ROLE, "modelVersion": "2"}}).status_code == 202
    assert bob.post(f"endpoints/{uid}/update", {"arguments": {"max-model-len": 1024}}).status_code == 202
    assert options_of(bob, uid) == {**TYPE, **ROLE, "modelVersion": "2"}
    other = bob.post(f"endpoints/{uid}/update", {"options": {**TYPE, "kubernetes": {"serviceAccountName": "admin"}}})
    assert (other.status_code, error_of(other)["field"]) == (422, "options")
    plan = bob.post(f"endpoints/{uid}/plan", {"options": {**TYPE, "kubernetes": {"serviceAccountName": "admin"}}})
    assert (plan.status_code, error_of(plan)["field"]) == (422, "options")


def test_a_governed_workspace_keeps_its_queue_and_priority(bob: Api, cast: Cast) -> None:
    assert post(bob, name="free", options={**TYPE, "priorityClass": "high"}).status_code == 202
    services.set_governance(cast.actor("operator"), cast.alpha, priority_class="low")
    refused = post(bob, options={**TYPE, "priorityClass": "high"})
    assert error_of(refused)["message"].startswith("priorityClass: Only an operator sets this")
    assert post(bob, options={**TYPE, "queue": "mine"}).status_code == 202


def test_a_name_at_sagemaker_is_had_once_in_an_account_and_region(bob: Api) -> None:
    first = post(bob, options={**TYPE, "endpointName": "chat"}).json()["uid"]
    again = post(bob, name="other", options={**TYPE, "endpointName": "chat"})
    assert error_of(again)["message"].startswith("endpointName: Another endpoint of this AWS account and region has this name")
    assert bob.post(f"endpoints/{first}/update", {"arguments": {"max-model-len": 1024}}).status_code == 202
    made = post(bob, name="sage-chat", place="sage", options={"InstanceType": "ml.g5.2xlarge"}).json()["uid"]
    theirs = Endpoint.objects.get(uid=made).external_name
    assert error_of(post(bob, name="third", options={**TYPE, "endpointName": theirs}))["field"] == "options"
    AwsPlace.objects.filter(cluster__name="hyper").update(region="eu-west-1")
    assert post(bob, name="elsewhere", options={**TYPE, "endpointName": theirs}).status_code == 202
