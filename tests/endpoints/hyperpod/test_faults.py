"""What goes wrong between the portal, the cluster and the operator, and which way out each takes (reliability.md F13-F22)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.functions import Now

from clusters.drivers import kube
from clusters.models import Cluster
from endpoints import services
from endpoints.models import Backend, Endpoint
from endpoints.services.specs import namespace_of
from endpoints.states import Cause, Status
from portal.tenancy.errors import Invalid
from tests.cast import Cast
from tests.endpoints.kubernetes.cluster_play import changes, gone, in_service, until
from tests.simulators.kubernetes.server import Simulator

from .hyperpod_play import IEC, TYPE, VERSION, config, left_over, make_place, new_endpoint, pods

pytestmark = pytest.mark.django_db(transaction=True)
ROUTED = {"intelligentRoutingSpec": {"enabled": True}}
SCALING = {"min_replicas": 1, "max_replicas": 4, "triggers": [{"type": "aws-cloudwatch", "metadata": {
    "namespace": "AWS/SageMaker", "metricName": "Invocations", "targetValue": "10"}}]}


@pytest.fixture
def operator(pod_sim: Simulator) -> Iterator[Any]:
    """The played operator, as it was before when the test ends."""
    found = pod_sim.controllers.operators["hyperpod"]
    yield found
    found.fail_endpoint, found.registers, found.undeletable, found.asleep = False, True, "", False
    found.failing.clear()
    pod_sim.call(found.wake)


def sweep(place: Cluster) -> None:
    Endpoint.objects.filter(cluster=place).update(next_look_at=Now())
    services.look_at_cluster(place.pk)


@pytest.mark.parametrize("fault", [
    pytest.param({"status": 401}, id="F13 the credential is refused"),
    pytest.param({"status": 503}, id="F19 the server is away"),
    pytest.param({"status": 429, "retry_after": 7}, id="F19 the server is busy"),
    pytest.param({"reset": True}, id="F19 connections are reset"),
])
def test_a_cluster_that_can_not_be_asked_says_nothing_about_its_endpoints(
    cast: Cast, place: Cluster, pod_sim: Simulator, fault: dict[str, Any],
) -> None:
    endpoint = in_service(new_endpoint(cast, place, "serving"))
    pod_sim.fault(**fault)
    for _ in range(3):
        sweep(place)
        services.reconcile(endpoint.pk)
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.attempts) == (Status.INSERVICE, 0)
    assert endpoint.last_error
    for each in list(pod_sim.app.faults):
        each.remove()
    kube.forget(place)
    sweep(place)
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.last_error) == (Status.INSERVICE, "")


def test_a_cluster_without_the_operator_is_the_places_fault(cast: Cast) -> None:
    with Simulator(nodes=[], crds=None, operators=(), speed=10.0) as sim:
        endpoint = new_endpoint(cast, make_place(sim, "bare"))
        services.reconcile(endpoint.pk)
        endpoint.refresh_from_db()
        assert (endpoint.status, endpoint.attempts) == (Status.PENDING, 0)
        assert "inference operator is not installed" in endpoint.last_error
        sweep(endpoint.cluster)
        endpoint.refresh_from_db()
        assert endpoint.status == Status.PENDING
        services.delete(cast.actor("alice"), endpoint)
        gone(endpoint)


def test_an_endpoint_that_serves_is_looked_at_too(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    """Trap 10: a crash after INSERVICE is noticed, and so is its end."""
    endpoint = in_service(new_endpoint(cast, place, "watched"))
    name = pods(pod_sim, endpoint)[0]["metadata"]["name"]
    ill = pod_sim.pods_fail(name=f"{endpoint.external_name}-*", as_="notready")
    pod_sim.client().delete("v1", "pods", namespace_of(endpoint), name)
    endpoint = until(endpoint, lambda row: row.status != Status.INSERVICE)
    assert not Backend.objects.filter(endpoint=endpoint).exists()
    ill.remove()
    for pod in pods(pod_sim, endpoint):
        pod_sim.client().delete("v1", "pods", namespace_of(endpoint), pod["metadata"]["name"])
    assert in_service(endpoint)


@pytest.mark.parametrize(("as_", "cause"), [
    ("ImagePullBackOff", Cause.IMAGE), ("crash:137", Cause.MEMORY), ("unschedulable", Cause.UNSCHEDULABLE)])
def test_what_is_wrong_with_a_pod_stands_in_the_row(
    cast: Cast, place: Cluster, pod_sim: Simulator, as_: str, cause: Cause,
) -> None:
    endpoint = new_endpoint(cast, place, f"ill-{cause.lower()}")
    rule = pod_sim.pods_fail(name=f"{endpoint.external_name}-*", as_=as_)
    row = until(endpoint, lambda row: row.cause == cause)
    rule.remove()
    for pod in pods(pod_sim, row):
        pod_sim.client().delete("v1", "pods", namespace_of(row), pod["metadata"]["name"])
    services.retry(cast.actor("alice"), row)
    assert in_service(row)


def test_a_person_who_asks_again_gets_new_pods_for_broken_ones(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    endpoint = new_endpoint(cast, place, "again")
    rule = pod_sim.pods_fail(name=f"{endpoint.external_name}-*", as_="crash:1")
    row = until(endpoint, Status.FAILED)
    rule.remove()
    services.retry(cast.actor("alice"), row)
    assert in_service(row).ready_replicas == 1


def test_what_the_operator_gives_up_fails_with_its_own_words(
    cast: Cast, place: Cluster, pod_sim: Simulator, operator: Any,
) -> None:
    endpoint = new_endpoint(cast, place, "hopeless")
    operator.failing[endpoint.external_name] = "AccessDenied: not authorized to read s3://models/small"
    slow = pod_sim.pods_fail(name=f"{endpoint.external_name}-*", as_="notready")
    row = until(endpoint, Status.FAILED)
    assert "AccessDenied" in row.message
    found = services.explain(row)
    assert (found.first.rule, "AccessDenied" in found.sentence) == ("hyperpod_weights_forbidden", True)
    slow.remove()
    operator.failing.clear()
    for pod in pods(pod_sim, row):
        pod_sim.client().delete("v1", "pods", namespace_of(row), pod["metadata"]["name"])
    assert in_service(row)


def test_another_try_makes_an_object_anew_that_the_operator_gave_up(
    cast: Cast, place: Cluster, pod_sim: Simulator, operator: Any,
) -> None:
    """Nothing of the object has changed, so an operator has no reason to look at it again."""
    endpoint = new_endpoint(cast, place, "given-up")
    operator.failing[endpoint.external_name] = "AccessDenied: not authorized to read s3://models/small"
    ill = pod_sim.pods_fail(name=f"{endpoint.external_name}-*", as_="notready")
    row = until(endpoint, Status.FAILED)
    uid = config(pod_sim, row)["metadata"]["uid"]
    pod_sim.call(operator.sleep)
    operator.failing.clear()
    services.retry(cast.actor("alice"), row)
    services.reconcile(row.pk)
    assert config(pod_sim, row)["metadata"].get("deletionTimestamp")
    ill.remove()  # not before: with a pod that is ready nothing has to be made anew
    operator.asleep = False
    pod_sim.call(operator.wake)
    row = in_service(row)
    assert config(pod_sim, row)["metadata"]["uid"] != uid


def test_pods_that_serve_without_their_sagemaker_endpoint_are_degraded(
    cast: Cast, place: Cluster, pod_sim: Simulator, operator: Any,
) -> None:
    operator.fail_endpoint = True
    endpoint = until(new_endpoint(cast, place, "unregistered", options={"endpointName": "unregistered"}), Status.DEGRADED)
    assert (endpoint.cause, endpoint.ready_replicas) == (Cause.OPERATOR, 1)
    assert Backend.objects.filter(endpoint=endpoint).exists(), "its pods take calls"
    operator.fail_endpoint = False
    pod_sim.call(operator.wake)
    assert in_service(endpoint).message == ""


def test_a_registration_that_takes_its_time_is_waited_for(
    cast: Cast, place: Cluster, pod_sim: Simulator, operator: Any,
) -> None:
    operator.registers = False
    options = {"endpointName": "patience", "entrance": "sagemaker"}
    endpoint = until(new_endpoint(cast, place, "patience", options=options), lambda row: "patience" in row.message)
    assert endpoint.status == Status.CREATING
    assert not Backend.objects.filter(endpoint=endpoint).exists()
    operator.registers = True
    pod_sim.call(operator.wake)
    endpoint = in_service(endpoint)
    account = place.aws.account.uid.hex
    assert Backend.objects.get(endpoint=endpoint).url == f"sagemaker://{account}/us-west-2/patience"


def test_an_operator_that_sleeps_leaves_the_old_status_out_of_account(
    cast: Cast, place: Cluster, pod_sim: Simulator, operator: Any,
) -> None:
    endpoint = in_service(new_endpoint(cast, place, "sleeper"))
    pod_sim.call(operator.sleep)
    services.scale(cast.actor("alice"), endpoint, 2)
    endpoint = until(endpoint, lambda row: row.status == Status.UPDATING)
    assert endpoint.ready_replicas == 1
    operator.asleep = False
    pod_sim.call(operator.wake)
    assert until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 2)


def test_an_object_that_the_operator_can_not_delete_stays_and_says_why(
    cast: Cast, place: Cluster, pod_sim: Simulator, operator: Any,
) -> None:
    endpoint = in_service(new_endpoint(cast, place, "sticky"))
    operator.undeletable = "the SageMaker endpoint is being updated"
    services.delete(cast.actor("alice"), endpoint)
    row = until(endpoint, lambda row: "being updated" in row.message)
    assert row.status in (Status.DELETING, Status.STALLED)
    assert Endpoint.objects.filter(pk=row.pk).exists()
    operator.undeletable = ""
    pod_sim.call(operator.wake)
    gone(row)
    assert left_over(pod_sim, endpoint) == []


def test_an_object_that_somebody_deletes_comes_again(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    """F15. And an endpoint that is young is not failed by a miss (trap 3)."""
    endpoint = in_service(new_endpoint(cast, place, "deleted"))
    uid = config(pod_sim, endpoint)["metadata"]["uid"]
    pod_sim.client().delete(VERSION, IEC, namespace_of(endpoint), endpoint.external_name)

    def is_there_again(row: Endpoint) -> bool:
        assert row.status != Status.FAILED, row.message
        there = {each["metadata"]["uid"] for each in pod_sim.client().list(VERSION, IEC, namespace_of(row))
                 if each["metadata"]["name"] == row.external_name}
        return row.status == Status.INSERVICE and bool(there - {uid})

    assert until(endpoint, is_there_again)


def test_an_object_of_somebody_else_is_neither_adopted_nor_overwritten(
    cast: Cast, place: Cluster, pod_sim: Simulator,
) -> None:
    in_service(new_endpoint(cast, place, "first"))  # its namespace is there now
    endpoint = new_endpoint(cast, place, "taken")
    theirs = {"apiVersion": "inference.sagemaker.aws.amazon.com/v1", "kind": "InferenceEndpointConfig",
              "metadata": {"name": endpoint.external_name, "namespace": namespace_of(endpoint)}, "spec": {
                  "modelName": "theirs", "modelSourceConfig": {"modelSourceType": "huggingface"}, "worker": {
                      "image": "x", "modelInvocationPort": {"containerPort": 1}, "modelVolumeMount": {"name": "m"},
                      "resources": {}}}}
    pod_sim.client().create(IEC, theirs)
    row = until(endpoint, Status.FAILED)
    assert row.cause == Cause.NAME_TAKEN
    assert config(pod_sim, row)["spec"]["modelName"] == "theirs"
    services.delete(cast.actor("alice"), row)
    gone(row)
    assert config(pod_sim, row)["spec"]["modelName"] == "theirs"
    pod_sim.client().delete("inference.sagemaker.aws.amazon.com/v1", IEC, namespace_of(endpoint), endpoint.external_name)


def test_what_the_operators_webhook_denies_ends_the_attempt(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    endpoint = new_endpoint(cast, place, "denied")
    message = 'admission webhook "vinferenceendpointconfig.kb.io" denied the request: instance type not in the cluster'
    fault = pod_sim.fault("PATCH", f"*/{IEC}/*", status=403, message=message)
    row = until(endpoint, Status.FAILED)
    assert (row.cause, fault.hits) == (Cause.POLICY, 1)
    assert "instance type not in the cluster" in row.message
    sweep(place)
    assert fault.hits == 1


def test_a_wish_beside_the_replicas_that_meets_somebody_else_is_not_forgotten(
    cast: Cast, place: Cluster, pod_sim: Simulator,
) -> None:
    """Every pod is there all the while, which says nothing about the autoscaling that was wished."""
    endpoint = in_service(new_endpoint(cast, place, "beside"))
    fault = pod_sim.fault("PATCH", f"*/{IEC}/*", status=409, message="conflict with \"kubectl\"")
    services.set_autoscale(cast.actor("alice"), endpoint, SCALING)
    row = until(endpoint, lambda row: row.cause == Cause.CONFLICT)
    assert (row.status, row.is_settled, row.ready_replicas) == (Status.UPDATING, False, 1)
    Endpoint.objects.filter(pk=row.pk).update(deadline_at=Now())
    row = until(row, Status.DEGRADED)
    sweep(place)
    row.refresh_from_db()
    assert (row.status, row.cause, row.is_settled) == (Status.DEGRADED, Cause.CONFLICT, False)
    fault.remove()
    assert until(row, lambda row: row.status == Status.INSERVICE and row.is_settled)
    assert "autoScalingSpec" in config(pod_sim, row)["spec"]


def test_a_wish_beside_the_replicas_that_is_refused_stays_refused(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, place, "refused"))
    message = 'admission webhook "vinferenceendpointconfig.kb.io" denied the request: no autoscaling here'
    fault = pod_sim.fault("PATCH", f"*/{IEC}/*", status=403, message=message)
    services.set_autoscale(cast.actor("alice"), endpoint, SCALING)
    row = until(endpoint, lambda row: row.cause == Cause.POLICY)
    asked = fault.hits
    for _ in range(3):
        sweep(place)
    row.refresh_from_db()
    assert (row.status, row.cause, fault.hits) == (Status.DEGRADED, Cause.POLICY, asked)
    assert services.find_drift(place) == 0
    assert fault.hits == asked, "nobody has changed anything"
    assert Backend.objects.filter(endpoint=row).exists(), "it serves all the same"
    pods_seen = pods(pod_sim, row)
    ill = pod_sim.pods_fail(name=f"{row.external_name}-*", as_="notready")
    pod_sim.client().delete("v1", "pods", namespace_of(row), pods_seen[0]["metadata"]["name"])
    for _ in range(100):
        sweep(place)
        if not Backend.objects.filter(endpoint=row).exists():
            break
        time.sleep(0.05)
    assert not Backend.objects.filter(endpoint=row).exists(), "what went away is known, refused or not"
    ill.remove()
    fault.remove()
    for pod in pods(pod_sim, row):
        pod_sim.client().delete("v1", "pods", namespace_of(row), pod["metadata"]["name"])
    services.retry(cast.actor("alice"), Endpoint.objects.get(pk=row.pk))
    assert in_service(row)
    assert "autoScalingSpec" in config(pod_sim, row)["spec"]


def test_routing_is_not_added_to_an_endpoint_that_is_there(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    """The wish refuses it while it runs; what slips through, such as an older revision, is refused before it is sent."""
    endpoint = in_service(new_endpoint(cast, place, "unrouted"))
    options = {"instanceType": TYPE, **ROUTED}
    with pytest.raises(Invalid, match="can't be added"):
        services.update(cast.actor("alice"), endpoint, options=options)
    spec = {**endpoint.wanted.spec, "options": options}
    type(endpoint.wanted).objects.filter(pk=endpoint.wanted.pk).update(spec=spec)
    before = len(pod_sim.requests)
    services.retry(cast.actor("alice"), Endpoint.objects.get(pk=endpoint.pk))
    row = until(endpoint, lambda row: row.cause == Cause.REFUSED)
    assert "Stop the endpoint" in row.message
    assert not [each for each in changes(pod_sim, before) if IEC in each]
    services.delete(cast.actor("alice"), row)
    gone(row)
    assert left_over(pod_sim, row) == []


def test_one_look_costs_a_list_a_kind_however_many_endpoints_there_are(
    cast: Cast, place: Cluster, pod_sim: Simulator,
) -> None:
    for number in range(3):
        in_service(new_endpoint(cast, place, f"many-{number}"))
    sweep(place)
    before = len(pod_sim.requests)
    sweep(place)
    asked = [each for each in pod_sim.requests[before:] if not each.path.startswith(("/api?", "/apis?"))]
    assert [each.path.rpartition("/")[2].partition("?")[0] for each in asked] == [IEC, "jumpstartmodels", "services", "pods"]
