"""An endpoint's life on HyperPod: the real services, target and driver over HTTPS; only the operator is played."""

from __future__ import annotations

import pytest
import yaml

from clusters.models import Cluster, KubernetesAccess
from endpoints import services
from endpoints.models import Backend, Revision
from endpoints.services.exports import export
from endpoints.services.specs import namespace_of
from endpoints.states import Status
from models_catalog.models import ModelCopy
from models_catalog.services.copies import source_of
from models_catalog.states import CopyMethod, CopyState
from tests.aws import make_hyperpod_place
from tests.cast import Cast
from tests.endpoints.kubernetes.cluster_play import gone, in_service, until
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator

from .hyperpod_play import CAPABILITIES, TYPE, config, left_over, new_endpoint, pods

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_endpoint_lives_on_hyperpod_from_its_first_wish_to_its_end(cast: Cast, place: Cluster, pod_sim: Simulator) -> None:
    alice = cast.actor("alice")
    endpoint = in_service(new_endpoint(cast, place, "life", replicas=2))
    assert (endpoint.ready_replicas, endpoint.serving, endpoint.seen_by) == (2, endpoint.wanted, "hyperpod")
    assert Backend.objects.get(endpoint=endpoint).url == (
        f"{pod_sim.url}/api/v1/namespaces/{namespace_of(endpoint)}/services/http:{endpoint.external_name}:8000/proxy")
    services.update(alice, endpoint, arguments={"max-model-len": 128})
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 2)
    assert "128" in config(pod_sim, endpoint)["spec"]["worker"]["args"]
    services.roll_back(alice, endpoint, 1)
    endpoint = until(endpoint, lambda row: row.status == Status.INSERVICE and row.serving.number == 1)
    services.stop(alice, endpoint)
    endpoint = until(endpoint, Status.STOPPED)
    assert left_over(pod_sim, endpoint) == []
    services.start(alice, endpoint)
    endpoint = in_service(endpoint)
    assert len(pods(pod_sim, endpoint)) == 2
    services.delete(alice, endpoint)
    gone(endpoint)
    assert left_over(pod_sim, endpoint) == []


def test_an_endpoint_is_deployed_and_called_by_a_sign_in_to_aws(cast: Cast, aws_sim: AwsSimulator, pod_sim: Simulator) -> None:
    """The whole way: presigned tokens of STS for every call, and an address that says whose bearer the gateway makes."""
    place = make_hyperpod_place(aws_sim, pod_sim)
    KubernetesAccess.objects.filter(cluster=place).update(capabilities=CAPABILITIES)
    endpoint = in_service(new_endpoint(cast, place, "signed-in"))
    backend = Backend.objects.get(endpoint=endpoint)
    assert backend.url.startswith(f"eks+https://{place.uid.hex}@{pod_sim.url.removeprefix('https://')}/api/v1/namespaces/")
    assert (backend.secret("token"), backend.ca) == ("", pod_sim.ca_pem)
    services.delete(cast.actor("alice"), endpoint)
    gone(endpoint)


def test_an_export_is_what_the_operator_reads_without_secrets(cast: Cast, place: Cluster) -> None:
    endpoint = new_endpoint(cast, place, "exported", options={"queue": "inference"})
    kinds = {each["kind"]: each for each in yaml.safe_load_all(export(endpoint, "manifests"))}
    made = kinds["InferenceEndpointConfig"]
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "inference"
    assert made["spec"]["instanceType"] == TYPE


def test_a_copy_that_comes_later_restarts_nothing_that_reads_from_s3(cast: Cast, place: Cluster) -> None:
    endpoint = in_service(new_endpoint(cast, place, "reads-s3"))
    assert endpoint.wanted is not None
    artifact = endpoint.wanted.profile.artifact
    ModelCopy.objects.create(
        artifact=artifact, cluster=place, workspace=cast.alpha, method=CopyMethod.JOB, source=source_of(artifact), name="copy",
        namespace="ip-alpha", claim="copy", size_bytes=1, state=CopyState.READY)
    services.reconcile(endpoint.pk)
    assert "weights" not in Revision.objects.get(pk=endpoint.wanted_id).spec
