"""The deploy page: what it chooses by itself, what it refuses and where it says so, and that it makes one endpoint."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind
from endpoints.models import Endpoint, Revision
from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile
from portal.tenancy.models import AuditEntry
from portal.web.deploy.draft import Draft
from portal.web.deploy.wish import wish_of
from portal.web.visit import Visit
from tests.cast import GIB, Cast, make_cluster, make_host, make_model, make_profile, set_limit
from tests.kube import make_kubernetes_place
from tests.portal.world import make_endpoint
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
PAGE = "/w/alpha/deploy/"
ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com/vllm@sha256:" + "0" * 64
FORM = {"model": "tiny-chat", "place": "gpu-east", "size": "1", "name": "docs-chat"}


@pytest.fixture
def shelf(cast: Cast) -> CatalogModel:
    """A model for GPUs and CPUs; a place with two GPUs and one without."""
    model = make_model("tiny-chat")
    make_profile("tiny-chat-cpu", model)
    make_profile("tiny-chat-gpu", model, gpus=1, arguments={"max-model-len": 8192}, environment={"VLLM_LOGGING_LEVEL": "INFO"})
    make_host(make_cluster("gpu-east"), "gpu-1", gpus=2)
    make_host(make_cluster("rack-7"), "cpu-1")
    return model


def text_of(answer: Any) -> str:
    """The words of a page, without its marks."""
    plain = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", html.unescape(plain))


def error_at(answer: Any, field: str) -> str:
    """What stands below a field."""
    found = re.search(rf'id="error-{field}"[^>]*>(.*?)</p>', answer.content.decode(), re.DOTALL)
    assert found is not None, field
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip()


def token_of(client: Client, address: str = PAGE) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get(address).content.decode())
    assert found is not None
    return found[1]


def plan_of(client: Client, address: str = PAGE, **values: Any) -> Any:
    return client.post(address, {**FORM, **values}, headers={"HX-Request": "true"})


def word_of(answer: Any) -> str:
    found = re.search(r'name="plan" value="([^"]*)"', answer.content.decode())
    assert found is not None
    return found[1]


def deploy(client: Client, address: str = PAGE, **values: Any) -> Any:
    return client.post(address, {**FORM, "act": "deploy", **values})


@pytest.mark.parametrize(("query", "place", "profile", "size"), [
    ("model=tiny-chat", "gpu-east", "tiny-chat-gpu", "1"),
    ("model=tiny-chat&place=rack-7", "rack-7", "tiny-chat-cpu", "1"),
    ("model=tiny-chat&place=gpu-east&profile=tiny-chat-cpu&size=2", "gpu-east", "tiny-chat-cpu", "2"),
    ("model=tiny-chat&size=3", "gpu-east", "tiny-chat-gpu", "other"),
])
def test_the_address_chooses_and_the_rest_has_defaults(
    client_of: ClientOf, shelf: CatalogModel, query: str, place: str, profile: str, size: str,
) -> None:
    draft = client_of("bob").get(f"{PAGE}?{query}").context["draft"]
    assert (draft.place.cluster.name, draft.profile.slug, draft.data["size"]) == (place, profile, size)
    assert (draft.data["name"], draft.told) == ("tiny-chat", {})


def test_pages_and_plans_ask_the_database_little(
    client_of: ClientOf, shelf: CatalogModel, cast: Cast, django_assert_max_num_queries: Any,
) -> None:
    set_limit(cast.alpha, gpus=8)
    profile = Profile.objects.get(slug="tiny-chat-cpu")
    ours = make_endpoint(cast, cast.alpha, Cluster.objects.get(name="rack-7"), profile, "ours")
    for number in range(6):
        make_host(make_cluster(f"more-{number}"), f"more-{number}", gpus=1)
        make_endpoint(cast, cast.alpha, Cluster.objects.get(name=f"more-{number}"), profile, f"there-{number}")
    bob = client_of("bob")
    for address in (PAGE, f"{PAGE}?model=tiny-chat", f"/w/alpha/endpoints/{ours.uid}/edit/",
                    f"/w/alpha/endpoints/{ours.uid}/plan/?replicas=2"):
        with django_assert_max_num_queries(25):
            assert bob.get(address).status_code == 200
    for values in ({}, {"name": "tiny-chat", "proposed": "tiny-chat"}, {"shape": "other|gpu-east|tiny-chat-cpu"}):
        with django_assert_max_num_queries(24):  # the plan of a place, asked for on top
            assert plan_of(bob, **values).status_code == 200
    with django_assert_max_num_queries(24):
        assert plan_of(bob, f"/w/alpha/endpoints/{ours.uid}/edit/", place="rack-7", size="2").status_code == 200


def test_the_plan_says_what_is_made_what_it_takes_and_when(client_of: ClientOf, shelf: CatalogModel, cast: Cast) -> None:
    set_limit(cast.alpha, gpus=3, endpoints=10)
    said = text_of(plan_of(client_of("bob"), size="2"))
    for words in ("Fits in gpu-east", "replica 0", "replica 1", "GPUs · Alpha 0 + 2 of 3", "Endpoints · Alpha 0 + 1 of 10",
                  "not priced", "It stays within every limit", "Deploy Tiny-Chat", "may call it as “docs-chat”"):
        assert words in said, words


def test_a_start_that_was_measured_is_said_to_be_so(client_of: ClientOf, shelf: CatalogModel, cast: Cast) -> None:
    profile, place = Profile.objects.get(slug="tiny-chat-gpu"), Cluster.objects.get(name="gpu-east")
    row = make_endpoint(cast, cast.beta, place, profile, "theirs")
    first = Revision.objects.get(endpoint=row)
    Revision.objects.filter(pk=first.pk).update(served_at=first.created_at + timedelta(seconds=40))
    said = text_of(plan_of(client_of("bob")))
    assert "about 40 s, as the last ones did" in said
    assert "theirs" not in said


@pytest.mark.parametrize(("values", "field", "words", "status"), [
    ({"name": "docs chat"}, "name", "lower-case", 422),
    ({"name": "taken"}, "name", "already", 409),
    ({"public_name": "taken"}, "public_name", "already", 409),
    ({"model": "nothing"}, "model", "no such model", 422),
    ({"model": ""}, "model", "Choose a model", 422),
    ({"place": "nowhere"}, "place", "no such place", 422),
    ({"place": "closed"}, "place", "nothing new", 422),
    ({"profile": "no-such"}, "profile", "no such profile", 422),
    ({"size": "4"}, "size", "room for 2", 422),
    ({"size": "other", "replicas": "9"}, "replicas", "room for 2", 422),
    ({"size": "other", "replicas": ""}, "replicas", "how many", 422),
    ({"environment": "nothing"}, "environment", "NAME=value", 422),
    ({"environment": "LD_PRELOAD=/tmp/x"}, "environment", "not permitted", 422),
    ({"arguments": '{"max-model-lenn": 1}'}, "arguments", "Did you mean", 422),
    ({"arguments": "{"}, "arguments", "not JSON", 422),
    ({"devices": "0, x"}, "devices", "whole numbers", 422),
    ({"affinity": "magic"}, "affinity", "valid choice", 422),
])
def test_a_refusal_stands_at_its_field_and_what_was_typed_stays(
    client_of: ClientOf, shelf: CatalogModel, cast: Cast, values: dict[str, str], field: str, words: str, status: int,
) -> None:
    make_cluster("closed", paused=True)
    make_endpoint(cast, cast.alpha, Cluster.objects.get(name="rack-7"), Profile.objects.get(slug="tiny-chat-cpu"), "taken")
    shape = {} if {"model", "place"} & values.keys() else {"shape": "tiny-chat|gpu-east|tiny-chat-gpu"}
    answer = deploy(client_of("bob"), note="the note", **shape, **values)
    assert answer.status_code == status, text_of(answer)[:600]
    if field != "affinity" or "error-affinity" in answer.content.decode():
        assert words.lower() in error_at(answer, field).lower()
    assert Endpoint.objects.count() == 1
    assert 'value="the note"' in answer.content.decode() or "place" in values or "model" in values


def test_an_error_is_told_in_the_piece_too_without_a_bad_status(client_of: ClientOf, shelf: CatalogModel) -> None:
    answer = plan_of(client_of("bob"), name="docs chat", shape="tiny-chat|gpu-east|tiny-chat-gpu")
    assert answer.status_code == 200
    assert "lower-case" in error_at(answer, "name").lower()
    assert word_of(answer) == ""


def test_sending_a_form_twice_makes_one_endpoint(client_of: ClientOf, shelf: CatalogModel) -> None:
    bob = client_of("bob")
    token = token_of(bob, f"{PAGE}?model=tiny-chat")
    first, second = deploy(bob, token=token), deploy(bob, token=token)
    made = Endpoint.objects.get()
    assert {first["Location"], second["Location"]} == {f"/w/alpha/endpoints/{made.uid}/"}
    assert made.wanted is not None
    assert (made.name, str(made.created_by), made.wanted.spec["arguments"]) == ("docs-chat", "bob", {"max-model-len": 8192})
    assert deploy(bob).status_code == 409, "another form with the same name"


def test_a_token_of_ones_own_making_is_no_uid(client_of: ClientOf, shelf: CatalogModel) -> None:
    wanted = "01a200a4-da19-7b2a-beea-f8e64f294322"
    deploy(client_of("bob"), token=wanted.replace("-", ""))
    assert str(Endpoint.objects.get().uid) != wanted


def test_a_limit_is_seen_before_the_button_and_holds_after_it(client_of: ClientOf, shelf: CatalogModel, cast: Cast) -> None:
    set_limit(cast.alpha, gpus=1)
    bob = client_of("bob")
    assert "limit is reached" in text_of(plan_of(bob, size="2"))
    opened = bob.get(f"{PAGE}?model=tiny-chat")
    assert [bool(size.why_not) for size in opened.context["sizes"]] == [False, True, True]
    answer = deploy(bob, size="2")
    assert (answer.status_code, Endpoint.objects.count()) == (409, 0)
    assert "does not fit now" in text_of(answer)


def test_another_profile_takes_its_own_arguments_and_keeps_what_was_changed(client_of: ClientOf, shelf: CatalogModel) -> None:
    answer = plan_of(client_of("bob"), place="rack-7", shape="tiny-chat|gpu-east|tiny-chat-gpu",
                     arguments__seed="7", **{"arguments__max-model-len": "8192", "environment": "VLLM_LOGGING_LEVEL=DEBUG"})
    draft = answer.context["draft"]
    assert {key: value for key, value in draft.data.items() if key.startswith("arguments__")} == {"arguments__seed": "7"}
    assert draft.data["environment"] == "VLLM_LOGGING_LEVEL=DEBUG"


def test_arguments_and_variables_are_changes_to_the_profiles(client_of: ClientOf, shelf: CatalogModel) -> None:
    deploy(client_of("bob"), shape="tiny-chat|gpu-east|tiny-chat-gpu", arguments__seed="7", environment="",
           affinity="session", devices="1", note="why")
    made = Endpoint.objects.select_related("wanted").get()
    assert made.wanted is not None
    assert (made.wanted.spec["arguments"], made.wanted.spec["environment"], made.wanted.note) == ({"seed": 7}, {}, "why")
    assert (made.affinity, made.wanted.spec["resources"]["devices"]) == ("session", [1])


def test_a_free_name_is_proposed(client_of: ClientOf, shelf: CatalogModel, cast: Cast) -> None:
    make_endpoint(cast, cast.alpha, Cluster.objects.get(name="rack-7"), Profile.objects.get(slug="tiny-chat-cpu"), "tiny-chat")
    bob = client_of("bob")
    assert bob.get(f"{PAGE}?model=tiny-chat").context["draft"].data["name"] == "tiny-chat-2"
    mine = plan_of(bob, name="mine", proposed="tiny-chat-2").context["draft"]
    kept = plan_of(bob, name="tiny-chat-2", proposed="tiny-chat-2").context["draft"]
    assert (mine.data["name"], mine.renamed, kept.data["name"]) == ("mine", False, "tiny-chat-2")


def test_a_neighbours_place_and_profile_are_unknown(client_of: ClientOf, shelf: CatalogModel, cast: Cast) -> None:
    make_host(make_cluster("beta-only", workspace=cast.beta), "beta-host")
    theirs = make_model("beta-model", workspace=cast.beta)
    make_profile("beta-profile", theirs)
    bob = client_of("bob")
    page = bob.get(f"{PAGE}?model=tiny-chat").content
    assert b"beta-only" not in page
    assert b"beta-model" not in page
    for values in ({"place": "beta-only"}, {"model": "beta-model"}, {"profile": "beta-profile"}):
        answer = deploy(bob, **values)
        assert answer.status_code == 422
        assert "There is no such" in text_of(answer)
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_viewer_is_told_which_role_is_needed(client_of: ClientOf, shelf: CatalogModel, method: str) -> None:
    answer = getattr(client_of("vera"), method)(PAGE)
    assert answer.status_code == 403
    assert "role developer" in text_of(answer)


def test_operators_choose_the_workspace_first(client_of: ClientOf, shelf: CatalogModel) -> None:
    answer = client_of("operator").get("/w/-/deploy/?model=tiny-chat")
    assert "In which workspace?" in text_of(answer)
    assert 'href="/w/beta/deploy/?model=tiny-chat"' in answer.content.decode()


def test_what_is_missing_is_said_with_the_next_act(client_of: ClientOf, cast: Cast) -> None:
    assert "no place to deploy to" in text_of(client_of("bob").get(PAGE))
    make_host(make_cluster("rack-7"))
    assert "nothing on the shelf" in text_of(client_of("bob").get(PAGE))
    assert "Fill the shelf" in text_of(client_of("operator").get(PAGE))


def test_a_cluster_is_deployed_to_by_the_plan_that_was_seen(
    client_of: ClientOf, shelf: CatalogModel, kube_sim: Simulator,
) -> None:
    make_kubernetes_place(kube_sim)
    EngineRelease.objects.update(image="registry.example/vllm@sha256:" + "1" * 64)
    Artifact.objects.update(kind="huggingface", location="acme/tiny-chat")
    bob, values = client_of("bob"), {"place": "kube", "token": token_of(client_of("bob"), f"{PAGE}?model=tiny-chat")}
    blind = deploy(bob, **values)
    assert (blind.status_code, Endpoint.objects.count()) == (409, 0)
    assert "Look at the plan, then deploy" in text_of(blind)
    seen = plan_of(bob, **values)
    assert "StatefulSet/docs-chat-" in text_of(seen)
    other = deploy(bob, **{**values, "plan": word_of(seen), "size": "2"})
    assert (other.status_code, Endpoint.objects.count()) == (409, 0), "another plan than the one that was seen"
    assert deploy(bob, **{**values, "plan": word_of(plan_of(bob, **values))}).status_code == 302
    assert Endpoint.objects.get().cluster.name == "kube"


def sagemaker() -> Cluster:
    place = make_cluster("aws", kind=ClusterKind.SAGEMAKER)
    AwsPlace.objects.create(cluster=place, account=AwsAccount.objects.create(name="main"), region="us-west-2",
                            execution_role="arn:aws:iam::123456789012:role/run", status="InService")
    EngineRelease.objects.update(image=ECR)
    Artifact.objects.update(kind="huggingface", location="acme/tiny-chat")
    return place


def test_places_in_aws_offer_machines_with_their_price(client_of: ClientOf, shelf: CatalogModel) -> None:
    sagemaker()
    answer = client_of("bob").get(f"{PAGE}?model=tiny-chat&place=aws&size=2")
    names = [one.name for one in answer.context["instances"]]
    assert names[0] == answer.context["draft"].data["instance"] != ""
    assert "USD/hour" in text_of(answer)
    assert answer.context["draft"].options_kind == "SageMaker"
    assert "Options of the place" in text_of(answer)


def test_a_place_that_can_not_be_asked_says_so(client_of: ClientOf, shelf: CatalogModel) -> None:
    sagemaker()
    answer = plan_of(client_of("bob"), place="aws")
    assert answer.status_code == 200
    assert "can't be asked" in text_of(answer)
    assert word_of(answer) == ""


# An endpoint that is there.


@pytest.fixture
def ours(shelf: CatalogModel, cast: Cast) -> Endpoint:
    place, profile = Cluster.objects.get(name="gpu-east"), Profile.objects.get(slug="tiny-chat-gpu")
    return make_endpoint(cast, cast.alpha, place, profile, "ours")


def edit_of(row: Endpoint) -> str:
    return f"/w/alpha/endpoints/{row.uid}/edit/"


def fields_of(client: Client, row: Endpoint) -> dict[str, str]:
    """What a browser would send of the page as it was opened."""
    return {key: value for key, value in client.get(edit_of(row)).context["draft"].data.items() if value} | {
        "shape": "tiny-chat|gpu-east|tiny-chat-gpu"}


@pytest.mark.parametrize(("values", "revision", "generation"), [
    ({"size": "2"}, 1, 2), ({"affinity": "prefix"}, 1, 2), ({"arguments__seed": "7"}, 2, 2),
    ({"arguments__seed": "7", "size": "2", "affinity": "session", "note": "more"}, 2, 4),
    ({"profile": "tiny-chat-cpu"}, 2, 2), ({"environment": "VLLM_LOGGING_LEVEL=DEBUG"}, 2, 2), ({"devices": "1"}, 2, 2),
])
def test_what_differs_becomes_a_wish(
    client_of: ClientOf, ours: Endpoint, values: dict[str, str], revision: int, generation: int,
) -> None:
    bob = client_of("bob")
    answer = bob.post(edit_of(ours), {**fields_of(bob, ours), "act": "deploy", **values})
    assert answer.status_code == 302, text_of(answer)[:500]
    row = Endpoint.objects.select_related("wanted").get()
    assert row.wanted is not None
    assert (row.wanted.number, row.generation) == (revision, generation)


def test_nothing_changed_asks_for_no_plan_and_changes_nothing(client_of: ClientOf, ours: Endpoint) -> None:
    bob = client_of("bob")
    fields = fields_of(bob, ours)
    assert "Nothing is changed yet" in text_of(plan_of(bob, edit_of(ours), **fields))
    answer = bob.post(edit_of(ours), {**fields, "act": "deploy"})
    assert (answer.status_code, AuditEntry.objects.filter(verb="update").count()) == (409, 0)


def test_somebody_elses_change_meanwhile_is_not_lost(client_of: ClientOf, ours: Endpoint) -> None:
    bob = client_of("bob")
    fields = fields_of(bob, ours)
    Endpoint.objects.filter(pk=ours.pk).update(generation=5)
    answer = bob.post(edit_of(ours), {**fields, "act": "deploy", "size": "2"})
    assert answer.status_code == 409
    assert Endpoint.objects.get().replicas == 1


def test_the_plan_of_an_endpoint_shows_and_does_it(client_of: ClientOf, ours: Endpoint) -> None:
    bob, address = client_of("bob"), f"/w/alpha/endpoints/{ours.uid}/plan/?replicas=2"
    opened = bob.get(address)
    assert "replica 1" in text_of(opened)
    assert bob.post(address, {"plan": word_of(opened)}).status_code == 302
    assert Endpoint.objects.get().replicas == 2
    Endpoint.objects.filter(pk=ours.pk).update(replicas=1)
    again = bob.post(f"{address[:-1]}3", {"plan": word_of(opened)})
    assert (again.status_code, Endpoint.objects.get().replicas) == (409, 1), "a plan of something else"


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?replicas=2", 403), ("?revision=1", 403), ("?replicas=x", 200)])
def test_a_viewer_sees_the_next_step_only(client_of: ClientOf, ours: Endpoint, query: str, status: int) -> None:
    assert client_of("vera").get(f"/w/alpha/endpoints/{ours.uid}/plan/{query}").status_code == status


def test_memory_is_a_sum(client_of: ClientOf, shelf: CatalogModel) -> None:
    shape = {"heads": 32, "kv_heads": 8, "kv_bytes_per_token": 131_072}
    CatalogModel.objects.update(shape=shape, weights_bytes=16 * GIB, context_tokens=8192)
    said = text_of(plan_of(client_of("bob")))
    assert "Weights on each GPU: 16.0 GiB" in said
    CatalogModel.objects.update(weights_bytes=300 * GIB)
    opened = client_of("bob").get(f"{PAGE}?model=tiny-chat&profile=tiny-chat-gpu")
    assert "does not fit" in text_of(opened)


AWS_SIGNAL = "SageMakerVariantInvocationsPerInstance"


@pytest.mark.parametrize(("kind", "values", "wish"), [
    (ClusterKind.HOSTS, {"scaling": ""}, {"autoscale": {}, "options": {}}),
    (ClusterKind.KUBERNETES, {"scaling": "on", "min_replicas": "1", "max_replicas": "3", "signal": "waiting", "threshold": "5"},
     {"autoscale": {"min_replicas": 1, "max_replicas": 3, "triggers": [
         {"type": "prometheus", "metadata": {"signal": "waiting", "threshold": "5"}}]}}),
    (ClusterKind.KUBERNETES, {"scaling": "on", "max_replicas": "3", "signal": "http", "threshold": "8"},
     {"autoscale": {"max_replicas": 3, "triggers": [{"type": "http", "metadata": {"concurrency": "8"}}]}}),
    (ClusterKind.SAGEMAKER, {"scaling": "on", "max_replicas": "2", "signal": AWS_SIGNAL, "threshold": "60",
                             "instance": "ml.g6.xlarge"},
     {"options": {"InstanceType": "ml.g6.xlarge"}, "autoscale": {"max_replicas": 2, "triggers": [
         {"type": "sagemaker", "metadata": {"metric": AWS_SIGNAL, "target": "60"}}]}}),
    (ClusterKind.SAGEMAKER, {"instance": "ml.g6.xlarge", "options__InstanceType": "ml.g5.2xlarge"},
     {"options": {"InstanceType": "ml.g5.2xlarge"}}),
])
def test_what_only_some_places_know_becomes_their_wish(
    client_of: ClientOf, shelf: CatalogModel, kind: str, values: dict[str, str], wish: dict[str, Any],
) -> None:
    name = {ClusterKind.HOSTS: "gpu-east", ClusterKind.SAGEMAKER: "aws", ClusterKind.KUBERNETES: "kube"}[ClusterKind(kind)]
    if kind == ClusterKind.SAGEMAKER:
        sagemaker()
    elif kind == ClusterKind.KUBERNETES:
        make_cluster("kube", kind=kind)
        EngineRelease.objects.update(image=ECR)
        Artifact.objects.update(kind="huggingface", location="acme/tiny-chat")
    options_kind = {"options__kind": "SageMaker"} if kind == ClusterKind.SAGEMAKER else {}
    draft = Draft(visit_of(plan_of(client_of("bob"), place="nowhere"), name, {**values, **options_kind}))
    assert draft.told == {}
    found = wish_of(draft)
    assert {key: found[key] for key in wish} == wish


def visit_of(answer: Any, place: str, values: dict[str, str]) -> Visit:
    """A visit as the page's own, whose form was filled in on a page that was drawn for this place."""
    visit: Visit = answer.context["visit"]
    profile = "tiny-chat-gpu"
    visit.request.POST = QueryDict("", mutable=True)  # type: ignore[assignment]
    visit.request.POST.update({**FORM, "place": place, "shape": f"tiny-chat|{place}|{profile}", "profile": profile, **values})
    return visit
