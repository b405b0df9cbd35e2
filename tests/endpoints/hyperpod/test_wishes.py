"""What HyperPod does beyond a plain deployment: autoscaling, JumpStart, routing by its load balancer, plans and drift."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clusters.drivers.kube import kube_for
from clusters.drivers.reach import why_unreachable
from clusters.models import AwsPlace, Cluster, Node
from endpoints import services
from endpoints.models import Backend, Endpoint, Event
from endpoints.services.specs import namespace_of, spec_of
from endpoints.states import Cause, DriftPolicy, Status
from endpoints.targets import target_for
from endpoints.targets.base import TargetError, engine_key
from endpoints.targets.hyperpod import balancer
from models_catalog.choices import ArtifactKind
from models_catalog.models import EulaAcceptance
from tests.aws import make_aws_account
from tests.cast import GIB, Cast
from tests.endpoints.kubernetes.cluster_play import gone, in_service, is_ready, until
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.certificates import Authority
from tests.simulators.kubernetes.controllers.operators.hyperpod_parts import CERTIFICATES
from tests.simulators.kubernetes.server import Simulator

from .hyperpod_play import (
    IEC,
    JUMPSTART,
    OPTIONS,
    TYPE,
    VERSION,
    config,
    left_over,
    make_hyperpod_profile,
    make_place,
    new_endpoint,
    pods,
)

pytestmark = pytest.mark.django_db(transaction=True)
SCALING = {"min_replicas": 1, "max_replicas": 4, "triggers": [
    {"type": "aws-cloudwatch", "metric_type": "AverageValue", "metadata": {
        "namespace": "AWS/SageMaker", "metricName": "Invocations", "targetValue": "10"}}]}
ROUTED = {"intelligentRoutingSpec": {"enabled": True, "routingStrategy": "prefixaware"}}


def again(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.select_related("wanted", "serving", "workspace", "cluster").get(pk=endpoint.pk)


def set_metric(sim: Simulator, endpoint: Endpoint, value: float) -> None:
    keda = sim.controllers.operators["keda"]
    sim.call(keda.set_metric, namespace_of(endpoint), f"keda-{endpoint.external_name}", value)


def test_the_operators_autoscaler_owns_the_replicas_and_gives_them_back(
    cast: Cast, place: Cluster, pod_sim: Simulator,
) -> None:
    endpoint = in_service(new_endpoint(cast, place, "scaled", autoscale=SCALING))
    set_metric(pod_sim, endpoint, 25)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 3)
    assert endpoint.autoscaled_replicas == 3
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 2)
    assert (endpoint.ready_replicas, config(pod_sim, endpoint)["spec"]["replicas"]) == (3, 3)
    services.set_autoscale(cast.actor("alice"), endpoint, {})
    services.scale(cast.actor("alice"), again(endpoint), 2)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 2)
    assert "autoScalingSpec" not in config(pod_sim, endpoint)["spec"]
    assert pod_sim.client().list("keda.sh/v1alpha1", "scaledobjects", namespace_of(endpoint)) == []


def test_an_endpoint_that_is_scaled_to_zero_is_in_service(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    scaling = {**SCALING, "min_replicas": 0, "cooldown_seconds": 5}
    endpoint = in_service(new_endpoint(cast, place, "sleeps", autoscale=scaling))
    set_metric(pod_sim, endpoint, 0)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.autoscaled_replicas == 0)
    assert (endpoint.ready_replicas, pods(pod_sim, endpoint)) == (0, [])
    set_metric(pod_sim, endpoint, 5)
    assert until(endpoint, lambda row: row.status == Status.INSERVICE and row.ready_replicas == 1)


def test_a_jumpstart_model_lives_and_goes(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    profile = make_hyperpod_profile("js-model", ArtifactKind.JUMPSTART, "meta-textgeneration-llama-3-8b")
    options = {"server": {"instanceType": TYPE}}
    endpoint = services.create(cast.actor("alice"), cast.alpha, name="jump", cluster=place, profile=profile, options=options)
    endpoint = in_service(endpoint)
    made = config(pod_sim, endpoint, plural=JUMPSTART)
    assert made["spec"]["model"] == {"modelId": "meta-textgeneration-llama-3-8b", "acceptEula": False,
                                     "modelHubName": "SageMakerPublicHub"}
    assert not EulaAcceptance.objects.exists(), "nobody has accepted a licence"
    assert Backend.objects.get(endpoint=endpoint).url.endswith(f"http:{endpoint.external_name}:8080/proxy")
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)
    assert left_over(pod_sim, endpoint) == []


def test_prefill_and_decode_apart_are_one_endpoint(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    gpus = {"limits": {"nvidia.com/gpu": "1"}}
    split = {"pdSpec": {"prefillSpec": {"resources": gpus}, "decodingSpec": {"replicas": 2, "resources": gpus}}}
    endpoint = in_service(new_endpoint(cast, place, "split", options=split))
    assert (endpoint.ready_replicas, len(pods(pod_sim, endpoint))) == (3, 3)
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)
    assert left_over(pod_sim, endpoint) == []


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A load balancer with a certificate of its own: its port, and the CA that vouches for it."""
    authority = Authority()
    pair = authority.server("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, text in (("cert.pem", pair.certificate), ("key.pem", pair.key)):
        (tmp_path / name).write_text(text)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            while True:
                try:
                    plain, _address = listener.accept()
                    with plain, context.wrap_socket(plain, server_side=True):
                        pass
                except ssl.SSLError:
                    continue  # a client that does not trust it
                except ConnectionError:
                    continue
                except OSError:
                    return  # the test has ended
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], authority.pem
        listener.shutdown(socket.SHUT_RDWR)


def test_a_server_is_reached_only_when_its_ca_vouches_for_it(answering: tuple[int, str]) -> None:
    port, ca = answering
    assert why_unreachable("localhost", ca, port) == ""
    assert "tls" in why_unreachable("localhost", Authority().pem, port)
    assert "tls" in why_unreachable("localhost", "", port)
    assert "tls" in why_unreachable("localhost", "no PEM at all", port)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "network" in why_unreachable("localhost", ca, free.getsockname()[1])
    assert "may not call" in why_unreachable("169.254.169.254", ca, 443)
    assert "dns" in why_unreachable("nowhere.invalid", ca, 443)


def test_calls_enter_by_the_load_balancer_only_when_it_can_be_reached(
    cast: Cast, aws_sim: AwsSimulator, pod_sim: Simulator, answering: tuple[int, str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operator's certificate names the load balancer and says where in S3 its CA lies; no URL is offered untried."""
    port, ca = answering
    account = make_aws_account(aws_sim)
    place = make_place(pod_sim, "balanced", account, region=account.region)
    operator = pod_sim.controllers.operators["hyperpod"]
    was, operator.balancer = operator.balancer, "localhost"
    endpoint = new_endpoint(cast, place, "balanced", options={**ROUTED, "entrance": "load-balancer"})
    name, store = f"{namespace_of(endpoint)}/{endpoint.external_name}", aws_sim.client("s3", region=account.region)
    store.create_bucket(Bucket=CERTIFICATES)

    def look_anew(at: int) -> None:
        """A load balancer listens on 443, this one elsewhere; what was kept of looks before is forgotten."""
        monkeypatch.setattr(balancer, "why_unreachable", partial(why_unreachable, port=at))
        monkeypatch.setattr(balancer, "_reached", type(balancer._reached)())

    try:
        row = until(endpoint, lambda row: "CA of its load balancer" in row.message)
        store.put_object(Bucket=CERTIFICATES, Key=f"certs/{name}/ca.pem", Body=ca.encode())
        look_anew(1)
        row = until(row, lambda row: "can't be reached from the portal" in row.message)
        assert (row.cause, services.explain(row).first.rule) == (Cause.ROUTE, "hyperpod_entrance")
        assert not Backend.objects.filter(endpoint=row).exists()
        look_anew(port)
        row = in_service(row)
    finally:
        operator.balancer = was
    backend = Backend.objects.get(endpoint=row)
    assert (backend.url, backend.ca, backend.secret("token")) == ("https://localhost", ca, engine_key(row.uid))
    services.delete(cast.actor("alice"), row)
    gone(row)
    assert pod_sim.client().list("networking.k8s.io/v1", "ingresses", "hyperpod-inference-system") == []


def test_a_routed_endpoint_has_a_name_that_its_router_can_bear(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, place, "routed-with-a-very-long-name-indeed", options=ROUTED))
    mine = f"inference-portal/endpoint={endpoint.uid}"
    name = pod_sim.client().list(VERSION, IEC, namespace_of(endpoint), labelSelector=mine)[0]["metadata"]["name"]
    assert name.endswith(endpoint.external_name[-11:])
    assert len(f"{name}-{namespace_of(endpoint)}-router") <= 63
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)


# Plans.

def inventory(place: Cluster, free: int = 8) -> None:
    Node.objects.create(cluster=place, name="hyperpod-i-1", ready=True, cpu_millis=192_000, memory_bytes=2048 * GIB, gpus=8,
                        gpus_requested=8 - free, labels={"node.kubernetes.io/instance-type": TYPE})


def checks(endpoint: Endpoint) -> dict[str, bool | None]:
    return {each.name: each.ok for each in services.plan(again(endpoint)).plan.checks}


def test_a_plan_names_the_objects_and_what_was_applied_needs_nothing_more(cast: Cast, place: Cluster) -> None:
    profile = make_hyperpod_profile()
    planned = services.plan_creation(cast.actor("alice"), cast.alpha, name="planned", cluster=place, profile=profile,
                                     options=OPTIONS)
    verbs = {step.what.partition("/")[0]: step.verb for step in planned.plan.steps}
    assert verbs["InferenceEndpointConfig"] == verbs["Service"] == verbs["NetworkPolicy"] == "create"
    endpoint = in_service(new_endpoint(cast, place, "planned"))
    assert {step.verb for step in services.plan(again(endpoint)).plan.steps} == {"keep"}
    change = services.plan_change(cast.actor("alice"), again(endpoint), replicas=3)
    changed = [step for step in change.plan.steps if step.verb != "keep"]
    assert [(field.path, field.before, field.after) for step in changed for field in step.fields] == [("spec.replicas", 1, 3)]


def test_the_checks_say_what_would_stop_it(cast: Cast, place: Cluster) -> None:
    inventory(place)
    endpoint = in_service(new_endpoint(cast, place, "checked"))
    assert not [name for name, ok in checks(endpoint).items() if ok is False]
    AwsPlace.objects.filter(cluster=place).update(status="Updating")
    assert checks(endpoint)["aws"] is False
    AwsPlace.objects.filter(cluster=place).update(status="InService", instance_groups=[
        {"InstanceGroupName": "g", "InstanceType": "ml.g6.12xlarge", "CurrentCount": 1}])
    Node.objects.filter(cluster=place).update(labels={"node.kubernetes.io/instance-type": "ml.g6.12xlarge"})
    found = checks(endpoint)
    assert found["instances"] is False
    Node.objects.filter(cluster=place).update(labels={"node.kubernetes.io/instance-type": TYPE}, gpus_requested=8)
    services.scale(cast.actor("alice"), again(endpoint), 2)
    assert checks(endpoint)["room"] is False


def test_the_cache_that_the_cluster_lacks_is_a_red_line(cast: Cast, place: Cluster) -> None:
    cached = {"kvCacheSpec": {"enableL2Cache": True, "l2CacheSpec": {"l2CacheBackend": "tieredstorage"}}}
    endpoint = new_endpoint(cast, place, "cached", options=cached)
    assert checks(endpoint)["cache"] is True
    AwsPlace.objects.filter(cluster=place).update(features={})
    assert checks(endpoint)["cache"] is False


def test_a_plan_refuses_routing_for_an_object_that_is_there(cast: Cast, place: Cluster) -> None:
    endpoint = in_service(new_endpoint(cast, place, "planned-route"))
    spec = spec_of(again(endpoint))
    routed = replace(spec, wanted=replace(spec.wanted, options={**OPTIONS, **ROUTED}))
    with pytest.raises(TargetError, match="Stop the endpoint") as refused:
        target_for(place).plan(routed)
    assert refused.value.permanent


# Drift.

def edit(sim: Simulator, endpoint: Endpoint, body: dict[str, Any]) -> None:
    """As a person with kubectl does."""
    path = f"/apis/{VERSION}/namespaces/{namespace_of(endpoint)}/{IEC}/{endpoint.external_name}"
    sim.client().call("PATCH", path, body, content_type="application/merge-patch+json", fieldManager="kubectl-edit")


def drift_of(endpoint: Endpoint) -> list[tuple[str, Any, str]]:
    services.find_drift(endpoint.cluster)
    return [(change["path"], change["before"], change["manager"]) for change in again(endpoint).drift]


def test_what_others_change_is_found_and_put_back(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, place, "drifts"))
    assert drift_of(endpoint) == [], "the operator's own writing is no drift"
    edit(pod_sim, endpoint, {"spec": {"maxDeployTimeInSeconds": 60}})
    assert drift_of(endpoint) == [("spec.maxDeployTimeInSeconds", 60, "kubectl-edit")]
    live = config(pod_sim, endpoint)
    assert live["spec"]["maxDeployTimeInSeconds"] == 3600
    assert live["metadata"]["annotations"]["inference-portal/generation"], "its marks are still there"
    assert drift_of(endpoint) == []
    assert any("kubectl-edit" in event.message for event in Event.objects.filter(endpoint=endpoint, kind="drift"))


def test_an_accepted_change_is_the_new_truth(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    endpoint = in_service(new_endpoint(cast, place, "accepts"))
    Endpoint.objects.filter(pk=endpoint.pk).update(drift_policy=DriftPolicy.REPORT)
    edit(pod_sim, endpoint, {"spec": {"maxDeployTimeInSeconds": 60}})
    drift_of(endpoint)
    services.accept(cast.actor("alice"), again(endpoint))
    services.reconcile(endpoint.pk)
    assert config(pod_sim, endpoint)["spec"]["maxDeployTimeInSeconds"] == 60
    assert drift_of(endpoint) == []


# What people see.

def test_logs_and_evidence_are_those_of_the_engine_and_not_of_its_sidecar(
    cast: Cast, place: Cluster, pod_sim: Simulator,
) -> None:
    endpoint = in_service(new_endpoint(cast, place, "speaks"))
    pod = pods(pod_sim, endpoint)[0]["metadata"]["name"]
    assert kube_for(place).read_log(namespace_of(endpoint), pod, endpoint.external_name) == services.logs(again(endpoint))
    seen = services.evidence(again(endpoint))
    assert [(each.container, each.revision, each.ready) for each in seen.replicas] == [(endpoint.external_name, 1, True)]
    told = {each.type: each.status for each in seen.conditions}
    assert (told["State"], told["DeploymentComplete"], told["Metrics"]) == ("True", "True", "True")


def test_the_operators_own_words_about_the_object_are_evidence(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    endpoint = new_endpoint(cast, place, "told-of")
    slow = pod_sim.pods_fail(name=f"{endpoint.external_name}-*", as_="notready")
    client, system = pod_sim.client(), "hyperpod-inference-system"
    client.apply("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system}})
    name = "hyperpod-inference-controller-manager-0"
    client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": system}, "spec": {
        "containers": [{"name": "manager", "image": "operator:3.2"}]}})
    endpoint = until(endpoint, lambda row: len(pods(pod_sim, row)) == 1 and is_ready(client.get("v1", "pods", system, name)))
    line = f"ERROR Reconciler error {endpoint.external_name}: AccessDenied reading s3://models"
    pod_sim.call(pod_sim.controllers.logs.write, system, name, f"INFO about another one\n{line}\n")
    seen = services.evidence(endpoint)
    assert [each.message for each in seen.events if each.reason == "Operator"] == [line]
    assert services.explain(endpoint).first.rule == "hyperpod_weights_forbidden"
    slow.remove()
    client.delete("v1", "pods", system, name)
