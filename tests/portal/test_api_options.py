"""Options of places in AWS through the JSON API: kept in the revision, refused at their path, held while an endpoint runs."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import AwsAccount, AwsPlace
from clusters.states import ClusterKind
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
    asynchronous = {"InstanceType": "ml.g5.2xlarge", "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://x/y"}}}
    refused = post(bob, place="sage", options={"InstanceType": "ml.g5.2xlarge"}, autoscale={**scaling, "min_replicas": 0})
    assert (refused.status_code, error_of(refused)["field"]) == (422, "autoscale")
    made = post(bob, place="sage", options=asynchronous, autoscale={**scaling, "min_replicas": 0})
    assert made.status_code == 202, made.content
    later = bob.post(f"endpoints/{made.json()['uid']}/update", {"options": {"InstanceType": "ml.g5.2xlarge"}})
    assert (later.status_code, error_of(later)["field"]) == (422, "autoscale")
    assert error_of(post(bob, options=TYPE, name="other", autoscale=scaling))["field"] == "autoscale"
