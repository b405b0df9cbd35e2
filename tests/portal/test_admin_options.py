"""Options of places in AWS as fields: each can be typed, arrives where it belongs, and is refused at its own place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django import forms
from django.test import Client

from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind
from endpoints import services
from endpoints.models import Endpoint
from endpoints.options.case import value_at
from endpoints.options.fields import GROUPS, fields_of, kind_of_field, schema_of
from endpoints.options.hyperpod import FILLED, OWN
from endpoints.options.schema import options_schema
from endpoints.options_form import OptionsField
from endpoints.targets.hyperpod.merge import merged
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact
from tests.cast import Cast, make_cluster
from tests.portal.conftest import signed_in
from tests.portal.test_admin_forms import ADD, deploy_form
from tests.portal.world import World, make_world

KINDS = sorted(GROUPS)
FIELDS = [(kind, field) for kind in KINDS for field in fields_of(kind)]
OPTIONS = "/admin/endpoints/endpoint/options/"


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.fixture
def hyperpod(world: World) -> Cluster:
    place = make_cluster("hyper", kind=ClusterKind.HYPERPOD)
    account = AwsAccount.objects.create(name="main")
    AwsPlace.objects.create(cluster=place, account=account, region="us-west-2", status="InService")
    return place


def leaves(schema: dict[str, Any], path: str = "") -> list[str]:
    if not schema.get("properties"):
        return [path]
    return [leaf for name, part in schema["properties"].items() for leaf in leaves(part, f"{path}.{name}" if path else name)]


def sample(kind: str, field: Any) -> tuple[str, Any]:
    """What one may type into a field, and what it means."""
    how, schema = kind_of_field(kind, field), schema_of(kind, field.path)
    if how == "choice":
        first = (field.choices or schema["enum"])[0]
        return first, first
    if how == "json":
        value: Any = [{"name": "a.b"}] if schema["type"] == "array" else {"nvidia.com/gpu": 1}
        return json.dumps(value), value
    if how == "list":
        return "one, two", ["one", "two"]
    least = max(schema.get("minimum", 1), 1)
    return {"switch": ("false", False), "integer": (str(least), least), "number": ("0.5", 0.5), "text": ("a b", "a b")}[how]


def read(kind: str, typed: dict[str, str], rest: str = "") -> dict[str, Any]:
    field = OptionsField()
    data = {"options__kind": kind, "options": rest, **{f"options__{path}": text for path, text in typed.items()}}
    return field.clean(field.widget.value_from_datadict(data, {}, "options"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_schema_can_be_set_or_is_the_portals(kind: str) -> None:
    ways = {field.path for field in fields_of(kind)} | set(FILLED.get(kind, ()))
    missing = [leaf for leaf in leaves(options_schema(kind)) if not any(f"{leaf}.".startswith(f"{way}.") for way in ways)]
    assert missing == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_one_of_the_schema_with_words_of_its_own(kind: str) -> None:
    paths = [field.path for field in fields_of(kind)]
    assert len(paths) == len(set(paths))
    for field in fields_of(kind):
        assert schema_of(kind, field.path) or field.path in OWN, field.path
        assert str(field.help).endswith((".", "?")), field.path


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=[f"{kind}-{field.path}" for kind, field in FIELDS])
def test_what_is_typed_into_a_field_arrives_and_is_shown_again(kind: str, field: Any) -> None:
    text, value = sample(kind, field)
    options = read(kind, {field.path: text})
    assert value_at(options, field.path) == value
    assert value_at(merged({"worker": {"image": "x"}}, options), field.path) == value
    shown = OptionsField()
    shown.take_kind(kind)
    html = shown.widget.render("options", options, {"id": "id_options"})
    assert f'name="options__{field.path}"' in html
    again = shown.widget.get_context("options", options, {})
    assert [one["text"] for group in again["groups"] for one in group["fields"] if one["path"] == field.path] == [text]
    assert again["rest"] == ""


def test_what_has_no_field_stays_json_and_both_are_one() -> None:
    rest = '{"InferenceComponent": {}, "KmsKeyId": "key"}'
    options = read("SageMaker", {"InstanceType": "ml.g5.2xlarge"}, rest)
    assert options == {"InferenceComponent": {}, "KmsKeyId": "key", "InstanceType": "ml.g5.2xlarge"}
    field = OptionsField()
    field.take_kind("SageMaker")
    context = field.widget.get_context("options", options, {})
    assert json.loads(context["rest"]) == {"InferenceComponent": {}}


@pytest.mark.parametrize(("typed", "rest", "words"), [
    ({"KmsKeyId": "a"}, '{"KmsKeyId": "b"}', "KmsKeyId: This stands in the JSON below too."),
    ({"Tags": "[{"}, "", "Tags: This is not JSON."), ({}, "[1]", "one JSON object"), ({}, "{", "not JSON"),
    ({"DataCaptureConfig.KmsKeyId": "a"}, '{"DataCaptureConfig": 1}', "stands in the JSON below too"),
])
def test_what_can_not_be_read_is_said(typed: dict[str, str], rest: str, words: str) -> None:
    with pytest.raises(forms.ValidationError, match=re.escape(words)):
        read("SageMaker", typed, rest)


def test_unchanged_options_are_no_change() -> None:
    field = OptionsField()
    options = {"instanceTypes": ["ml.p5.48xlarge"], "metrics": {"enabled": False}, "tags": [{"name": "a", "value": "b"}]}
    field.take_kind("InferenceEndpointConfig")
    context = field.widget.get_context("options", options, {})
    typed = {one["path"]: one["text"] for group in context["groups"] for one in group["fields"] if one["text"]}
    data = {"options__kind": "InferenceEndpointConfig", **{f"options__{path}": text for path, text in typed.items()}}
    assert not field.has_changed(options, field.widget.value_from_datadict(data, {}, "options"))
    data["options__metrics.enabled"] = "true"
    assert field.has_changed(options, field.widget.value_from_datadict(data, {}, "options"))


def test_the_add_page_deploys_with_options(world: World, operator: Client, hyperpod: Cluster) -> None:
    Artifact.objects.filter(pk=world.profile.artifact_id).update(kind=ArtifactKind.S3, location="s3://models/chat")
    form = deploy_form(world, cluster=hyperpod.pk, options__kind="InferenceEndpointConfig")
    form |= {"options__instanceType": "ml.g5.8xlarge", "options__metrics.enabled": "false", "options": "",
             "options__tags": '[{"name": "team", "value": "chat"}]'}
    answer = operator.post(ADD, form)
    assert answer.status_code == 302, re.findall(r'class="errorlist[^>]*>(.*?)</ul>', answer.content.decode(), re.S)
    row = Endpoint.objects.get(name="new-chat")
    assert row.wanted is not None
    assert row.wanted.spec["options"] == {"instanceType": "ml.g5.8xlarge", "metrics": {"enabled": False},
                                          "tags": [{"name": "team", "value": "chat"}]}


def test_a_refused_option_is_told_at_its_field_and_at_the_top(world: World, operator: Client, hyperpod: Cluster) -> None:
    """Also without a script: the fields of the chosen place stand there when the page comes back."""
    page = operator.post(ADD, deploy_form(world, cluster=hyperpod.pk)).content.decode()
    assert "instanceType: Say where it runs" in page
    assert 'name="options__instanceType"' in page
    form = deploy_form(world, cluster=hyperpod.pk, options__kind="InferenceEndpointConfig", options__instanceType="g5.xlarge")
    page = operator.post(ADD, {**form, "options__metrics.metricsScrapeIntervalSeconds": "often"}).content.decode()
    assert page.count("This must be a whole number.") == 2
    assert page.count("This does not have the right form") == 2
    assert re.search(r'value="often"[^>]*aria-invalid="true"|aria-invalid="true"[^>]*value="often"', page)
    form |= {"options__instanceType": "ml.g5.8xlarge", "options__kvCacheSpec.enableL2Cache": "true"}
    page = operator.post(ADD, form).content.decode()
    assert page.count("The L2 cache needs one of: redis, tieredstorage.") == 2
    assert not Endpoint.objects.filter(name="new-chat").exists()


def test_what_operators_set_is_refused_to_members_at_its_field(world: World, staff: Any, hyperpod: Cluster) -> None:
    Artifact.objects.filter(pk=world.profile.artifact_id).update(kind=ArtifactKind.S3, location="s3://models/chat")
    member = signed_in(staff("dora", world.cast.alpha, "add_endpoint", "view_endpoint", "deploy_endpoint", "view_workspace",
                             "view_cluster", "view_profile", role="developer"))
    form = deploy_form(world, cluster=hyperpod.pk, options__kind="InferenceEndpointConfig",
                       options__instanceType="ml.g5.8xlarge")
    page = member.post(ADD, {**form, "options__kubernetes.serviceAccountName": "models-reader"}).content.decode()
    assert page.count("Only an operator sets this") == 2
    given = re.search(r'<input[^>]*name="options__kubernetes.serviceAccountName"[^>]*>', page)
    assert given is not None
    assert 'value="models-reader"' in given[0]
    described = re.search(r'aria-describedby="([^"]+)"', given[0])
    assert described is not None
    assert all(f'id="{name}"' in page for name in described[1].split())
    assert not Endpoint.objects.filter(name="new-chat").exists()
    assert member.post(ADD, form).status_code == 302


@pytest.mark.parametrize(("kind", "artifact", "shown"), [
    (ClusterKind.HYPERPOD, ArtifactKind.S3, "options__worker.requestLimits.maxQueueSize"),
    (ClusterKind.HYPERPOD, ArtifactKind.JUMPSTART, "options__server.instanceType"),
    (ClusterKind.SAGEMAKER, ArtifactKind.S3, "options__InstanceType"), (ClusterKind.HOSTS, ArtifactKind.S3, ""),
])
def test_the_fields_follow_place_and_profile(world: World, operator: Client, kind: str, artifact: str, shown: str) -> None:
    place = make_cluster("somewhere", kind=kind)
    Artifact.objects.filter(pk=world.profile.artifact_id).update(kind=artifact)
    html = operator.get(OPTIONS, {"cluster": place.pk, "profile": world.profile.pk}).content.decode()
    assert (f'name="{shown}"' in html) == bool(shown)
    assert html.count('name="options__kind"') == 1


@pytest.mark.parametrize("query", [{}, {"cluster": "x", "profile": "-1"}, {"cluster": "9" * 30, "profile": "²"}])
def test_nonsense_in_the_address_has_no_fields(world: World, operator: Client, query: dict[str, str]) -> None:
    assert 'data-kind=""' in operator.get(OPTIONS, query).content.decode()


def test_a_neighbours_place_has_no_fields(world: World, staff: Any) -> None:
    client = signed_in(staff("dora", world.cast.alpha, "add_endpoint", role="developer"))
    Cluster.objects.filter(pk=world.their_place.pk).update(kind=ClusterKind.SAGEMAKER)
    answer = client.get(OPTIONS, {"cluster": world.their_place.pk, "profile": world.profile.pk}).content.decode()
    assert 'data-kind=""' in answer
    looker = signed_in(staff("lena", world.cast.alpha, "view_endpoint"))
    assert looker.get(OPTIONS).status_code == 403


@pytest.fixture
def on_hyperpod(world: World, hyperpod: Cluster) -> Endpoint:
    Artifact.objects.filter(pk=world.profile.artifact_id).update(kind=ArtifactKind.S3, location="s3://models/chat")
    world.profile.refresh_from_db()
    return services.create(
        world.cast.actor("operator"), world.cast.alpha, name="hyper-chat", cluster=hyperpod, profile=world.profile,
        deploy=False, options={"instanceType": "ml.g5.8xlarge", "metrics": {"enabled": True}})


def test_the_change_page_shows_and_changes_options(operator: Client, on_hyperpod: Endpoint) -> None:
    address = f"/admin/endpoints/endpoint/{on_hyperpod.pk}/change/"
    page = operator.get(address).content.decode()
    assert 'value="ml.g5.8xlarge"' in page
    assert on_hyperpod.wanted is not None
    form = {"profile": on_hyperpod.wanted.profile_id, "replicas": on_hyperpod.replicas, "arguments": "{}", "note": "",
            "read_generation": on_hyperpod.generation, "options__kind": "InferenceEndpointConfig",
            "options__instanceType": "ml.g5.8xlarge", "options__metrics.enabled": "true"}
    operator.post(address, form)
    on_hyperpod.refresh_from_db()
    assert on_hyperpod.wanted.number == 1
    answer = operator.post(address, {**form, "options__loadBalancer.healthCheckPath": "/health"})
    assert answer.status_code == 302
    on_hyperpod.refresh_from_db()
    assert on_hyperpod.wanted.number == 2
    assert on_hyperpod.wanted.spec["options"] == {"instanceType": "ml.g5.8xlarge", "metrics": {"enabled": True},
                                                  "loadBalancer": {"healthCheckPath": "/health"}}


def test_the_action_update_has_them_too(world: World, operator: Client, on_hyperpod: Endpoint) -> None:
    page = operator.get(f"/admin/endpoints/endpoint/{on_hyperpod.pk}/update/").content.decode()
    assert 'value="ml.g5.8xlarge"' in page
    assert 'name="options__kind"' not in operator.get(f"/admin/endpoints/endpoint/{world.ours.pk}/update/").content.decode()


def test_other_places_have_no_options_on_their_page(world: World, operator: Client) -> None:
    assert 'name="options__kind"' not in operator.get(f"/admin/endpoints/endpoint/{world.ours.pk}/change/").content.decode()


def autoscale_form(row: Endpoint, page: str, **values: Any) -> dict[str, Any]:
    token = re.search(r'name="confirm_token" value="([^"]+)"', page)
    assert token is not None
    return {"confirm_token": token[1], "generation": row.generation, "min_replicas": "1", "max_replicas": "4",
            "polling_seconds": "30", "cooldown_seconds": "300", "stabilisation_up_seconds": "0",
            "stabilisation_down_seconds": "300", **values}


def test_the_triggers_are_those_of_the_place(world: World, operator: Client, on_hyperpod: Endpoint) -> None:
    address = f"/admin/endpoints/endpoint/{on_hyperpod.pk}/autoscale/"
    page = operator.get(address).content.decode()
    assert 'name="triggers__0__aws-cloudwatch__targetValue"' in page
    assert 'name="initial_cooldown_seconds"' in page
    assert "triggers__0__redis__listName" not in page
    assert "triggers__0__authentication" not in page
    form = autoscale_form(on_hyperpod, page, preview_word="-", initial_cooldown_seconds="60") | {
        "triggers__0__type": "prometheus", "triggers__0__prometheus__query": "sum(model_concurrent_requests)",
        "triggers__0__prometheus__targetValue": "5"}
    answer = operator.post(address, form)
    on_hyperpod.refresh_from_db()
    assert on_hyperpod.autoscale, re.findall(r"notice[^>]*>(.*?)<", answer.content.decode())
    assert on_hyperpod.autoscale["initial_cooldown_seconds"] == 60
    assert on_hyperpod.autoscale["triggers"][0]["metadata"] == {"query": "sum(model_concurrent_requests)", "targetValue": "5"}


def test_sagemaker_tracks_targets_and_has_no_times_of_its_own(world: World, operator: Client, on_hyperpod: Endpoint) -> None:
    Cluster.objects.filter(pk=on_hyperpod.cluster_id).update(kind=ClusterKind.SAGEMAKER)
    page = operator.get(f"/admin/endpoints/endpoint/{on_hyperpod.pk}/autoscale/").content.decode()
    assert 'name="triggers__0__sagemaker__target"' in page
    assert re.search(r'type="hidden" name="polling_seconds"', page)
    assert 'name="initial_cooldown_seconds"' not in page
    assert "triggers__0__metric_type" not in page
