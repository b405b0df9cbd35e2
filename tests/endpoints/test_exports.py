"""Endpoints as YAML for others, and back: nothing is lost without a word, and no secret is written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.core.management import call_command

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.exports import Form, export
from endpoints.services.imports import import_yaml
from endpoints.services.specs import spec_of
from endpoints.vllmclusters import ModelFacts, read
from models_catalog.models import Profile
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, PortalError, TooLarge
from tests.cast import GIB, Cast, make_cluster, make_profile
from tests.endpoints.test_vllmcluster_read import SAMPLES

pytestmark = pytest.mark.django_db

QUEUE = {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus:9090", "signal": "waiting", "threshold": "5"}}


@pytest.fixture
def endpoint(cast: Cast) -> Endpoint:
    """A GPU endpoint with everything that can be exported."""
    cluster = make_cluster("hosts")
    profile = make_profile("big", gpus=2, memory_bytes=32 * GIB, cpu_millis=4500, placement={
        "node_selector": {"zone": "a"}, "tolerations": [{"key": "gpu", "operator": "Exists"}], "priority_class": "high"})
    profile.artifact.kind, profile.artifact.location, profile.artifact.revision = "huggingface", "acme/big", "a" * 40
    profile.artifact.put_secret("token", "hf_very_secret")
    profile.artifact.save()
    profile.release.image = "vllm/vllm-openai:v0.32.0"
    profile.release.save()
    made = services.create(
        cast.actor("alice"), cast.alpha, name="big", public_name="acme-big", cluster=cluster, profile=profile, replicas=2,
        arguments={"tensor-parallel-size": 2, "max-model-len": 4096, "gpu-memory-utilization": 0.85, "seed": 7},
        environment={"NCCL_DEBUG": "WARN"})
    Cluster.objects.update(kind=ClusterKind.KUBERNETES)
    made.refresh_from_db()
    services.set_autoscale(cast.actor("alice"), made, {"min_replicas": 1, "max_replicas": 3, "triggers": [QUEUE]})
    Cluster.objects.update(kind=ClusterKind.HOSTS)
    return Endpoint.objects.get()


def test_a_vllmcluster_says_all_that_it_has_fields_for_and_names_the_rest(endpoint: Endpoint) -> None:
    text = export(endpoint, Form.VLLMCLUSTER)
    made = yaml.safe_load(text)
    assert made["metadata"] == {"name": "big"}
    assert made["spec"] == {
        "model": {"modelPath": "acme/big", "revision": "a" * 40, "maxModelLength": 4096},
        "vllm": {"tensorParallelSize": 2, "pipelineParallelSize": 1, "servePort": 8000, "gpuMemoryUtilization": "0.85"},
        "replicas": 2,
        "resources": {
            "resources": {"requests": {"cpu": "4500m", "memory": str(32 * GIB), "nvidia.com/gpu": "2"},
                          "limits": {"memory": str(32 * GIB), "nvidia.com/gpu": "2"}},
            "nodeSelector": {"zone": "a"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
        "autoScaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 3, "triggers": [QUEUE]},
    }
    comments = [line for line in text.splitlines() if line.startswith("#")]
    for words in ("seed", "NCCL_DEBUG", "priority class", "signal", "token"):
        assert any(words in line for line in comments), words


def test_what_was_exported_is_read_again_as_the_same_wish(endpoint: Endpoint) -> None:
    wished = read(yaml.safe_load(export(endpoint, Form.VLLMCLUSTER)), ModelFacts(weights_bytes=1))
    spec = spec_of(endpoint).wanted
    assert (wished.location, wished.revision, wished.replicas) == ("acme/big", "a" * 40, 2)
    assert (wished.needs.cpu_millis, wished.needs.memory_bytes, wished.needs.gpus) == (4500, 32 * GIB, 2)
    assert {**wished.arguments, "seed": 7} == {**spec.arguments, "shutdown-timeout": 30}
    assert wished.placement == {"node_selector": {"zone": "a"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
    assert wished.autoscale == {"min_replicas": 1, "max_replicas": 3, "triggers": [QUEUE]}


def test_plain_manifests_are_whole_and_hold_no_secret(endpoint: Endpoint) -> None:
    text = export(endpoint, Form.MANIFESTS)
    made = list(yaml.safe_load_all(text))
    kinds = {one["kind"] for one in made}
    assert {"StatefulSet", "Service", "ServiceAccount", "NetworkPolicy", "ScaledObject", "Secret"} <= kinds
    assert all(one["metadata"]["namespace"] for one in made)


def test_helm_values_start_the_same_engine(endpoint: Endpoint) -> None:
    [model] = yaml.safe_load(export(endpoint, Form.HELM))["servingEngineSpec"]["modelSpec"]
    assert (model["repository"], model["tag"], model["modelURL"]) == ("vllm/vllm-openai", "v0.32.0", "acme/big")
    assert model["vllmConfig"]["extraArgs"][:4] == ["--served-model-name", "acme-big", "--revision", "a" * 40]
    assert "--tensor-parallel-size" in model["vllmConfig"]["extraArgs"]
    assert model["env"] == [{"name": "NCCL_DEBUG", "value": "WARN"}]
    assert model["keda"]["triggers"][0]["metadata"]["query"] == 'sum(vllm:num_requests_waiting{model_name="acme-big"})'
    assert model["nodeSelectorTerms"] == [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]


@pytest.mark.parametrize("form", Form)
def test_no_form_holds_the_hubs_token(endpoint: Endpoint, form: str) -> None:
    text = export(endpoint, form)
    assert "hf_very_secret" not in text
    assert "aGZfdmVyeV9zZWNyZXQ" not in text  # the same in base64


def test_a_digest_stays_a_digest(endpoint: Endpoint) -> None:
    endpoint.wanted.spec["image"] = "registry.example/vllm@sha256:" + "0" * 64
    endpoint.wanted.save()
    [model] = yaml.safe_load(export(endpoint, Form.HELM))["servingEngineSpec"]["modelSpec"]
    assert f"{model['repository']}:{model['tag']}" == endpoint.wanted.spec["image"]


def test_what_has_no_such_form_is_said(cast: Cast, endpoint: Endpoint) -> None:
    with pytest.raises(Invalid, match="vllmcluster, manifests, helm"):
        export(endpoint, "terraform")
    endpoint.wanted.spec["artifact"] = {"kind": "path", "location": "/models/x", "revision": ""}
    endpoint.wanted.save()
    for form in Form:
        with pytest.raises(Conflict, match="/models/x"):
            export(endpoint, form)


# The way in


@pytest.fixture
def place(cast: Cast) -> Cluster:
    call_command("load_catalogue", verbosity=0)
    return make_cluster("kube", kind=ClusterKind.KUBERNETES)


def yaml_of(name: str) -> str:
    return (SAMPLES / f"vllmcluster-{name}.yaml").read_text()


@pytest.mark.parametrize("name", ["basic", "advanced"])
def test_a_sample_that_somebody_hands_in_becomes_their_endpoint(cast: Cast, place: Cluster, name: str) -> None:
    made = import_yaml(cast.actor("alice"), cast.alpha, place, yaml_of(name))
    assert (made.created_by, made.origin, made.workspace) == (cast.alice, {}, cast.alpha)
    assert made.name in ("my-vllm-cluster", "advanced-vllm-cluster")
    assert made.notes
    assert made.wanted.profile.model.workspace == cast.alpha
    assert bool(made.autoscale) == (name == "advanced")


def test_the_same_again_is_a_conflict_and_leaves_nothing(cast: Cast, place: Cluster) -> None:
    import_yaml(cast.actor("alice"), cast.alpha, place, yaml_of("basic"))
    before = Profile.objects.get(model__workspace=cast.alpha)
    with pytest.raises(Conflict):
        import_yaml(cast.actor("alice"), cast.alpha, place, yaml_of("basic").replace('memory: "8Gi"', 'memory: "9Gi"'))
    assert Profile.objects.get(model__workspace=cast.alpha).memory_bytes == before.memory_bytes
    assert import_yaml(cast.actor("alice"), cast.alpha, place, yaml_of("basic"), name="other").name == "other"


@pytest.mark.parametrize(("text", "error", "words"), [
    ("", Invalid, "no object"), ("- a", Invalid, "no object"), ("a: *b", Invalid, "aliases"), ("a: {b: [", Invalid, "not YAML"),
    ("a: 1\n---\nb: 2", Invalid, "Only one"), ("kind: Pod", Invalid, "no VLLMCluster"),
    ("a: !!python/object:os.x {}", Invalid, "tags"),
    (b"\xff\xfe", Invalid, "UTF-8"), ("a" * 70_000, TooLarge, "64 KB"),
])
def test_what_is_no_vllmcluster_is_refused(
    cast: Cast, place: Cluster, text: Any, error: type[PortalError], words: str,
) -> None:
    with pytest.raises(error, match=words):
        import_yaml(cast.actor("alice"), cast.alpha, place, text)
    assert not Endpoint.objects.exists()


def test_only_who_may_manage_the_workspaces_models_may_hand_one_in(cast: Cast, place: Cluster) -> None:
    for name in ("bob", "vera"):
        with pytest.raises(NotAllowed):
            import_yaml(cast.actor(name), cast.alpha, place, yaml_of("basic"))
