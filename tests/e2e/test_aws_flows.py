"""AWS from the account to the last object: a whole portal, called over HTTP only, between the simulators.

HyperPod as document 000 walks through it, SageMaker by the same door; at the end nothing secret has come out anywhere.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.aws import EXECUTION_ROLE
from tests.simulators.aws.sagemaker.hyperpod import HyperPod
from tests.simulators.aws.server import HOME, REGION, AwsSimulator
from tests.simulators.kubernetes.server import Simulator
from tests.simulators.openai_backend import OpenAIBackend

from .callers import Caller, eventually
from .portal_run import PortalRun, portal
from .test_up import START_SECONDS, UP, pid_of

pytestmark = pytest.mark.slow
PATIENCE = 120.0
HUB_TOKEN = "hf_endToEndOnlyNeverARealToken000"
HELLO: Any = [{"role": "user", "content": "Hello"}]
# Document 000, section 1, literally.
FORM: dict[str, Any] = {
    "deployment_target": "hyperpod", "hyperpod_cluster_id": "cluster-xxx",
    "hyperpod_config": {"replicas": 1, "namespace": "default"}, "model_name": "meta-llama/Llama-3-8B",
    "instance_type": "ml.g5.xlarge", "engine": "vllm", "extra_params": {"s3_model_path": "s3://bucket/model"},
    "job_id": "N/A(Not finetuned)",
}
NAME = "llama-3-8b-vllm-hp"
ON_SAGEMAKER = {"deployment_target": "sagemaker", "instance_type": "ml.g5.2xlarge", "engine": "vllm",
                "model_name": "org/assistant", "extra_params": {"s3_model_path": "s3://bucket/assistant"}}
PAGES = ("clusters/cluster/", "clusters/awsaccount/", "clusters/node/", "endpoints/endpoint/", "endpoints/event/",
         "endpoints/revision/", "models_catalog/artifact/", "tenancy/auditentry/")


@dataclass
class World:
    """A portal, its operator, a program with a key, and what they were told."""

    run: PortalRun
    sim: AwsSimulator
    heard: list[bytes] = field(default_factory=list)
    operator: Caller = field(init=False)
    program: Caller = field(init=False)
    account: dict[str, Any] = field(default_factory=dict)

    def begin(self) -> None:
        """Sign in, make a key, add an AWS account whose role the portal assumes."""
        self.run.wait_for(UP, START_SECONDS)
        self.run.manage("load_catalogue")
        access = self.run.access()
        self.operator = Caller(self.run, self.heard)
        self.operator.sign_in(access["PORTAL_USER"], access["PORTAL_PASSWORD"])
        scopes = ["inference", "read", "deploy", "manage"]
        made = self.operator.post("workspaces/demo/keys", {"name": "e2e", "scopes": scopes})
        self.program = Caller(self.run, self.heard, made["key"])
        role = self.sim.identities.add_role("inference-portal", external_id="told-by-the-portal")
        self.account = self.operator.post("aws-accounts", {
            "name": "prod", "region": REGION, "sign_in": "role", "role_arn": role.arn, "external_id": role.external_id,
            "access_key_id": self.sim.keys.access_key_id, "secret_access_key": self.sim.keys.secret_access_key})
        found = self.operator.post(f"aws-accounts/{self.account['uid']}/check")
        assert (found["reach"], found["missing"]) == ("OK", []), found

    def hub(self, call: str, data: Any = None) -> Any:
        return self.program.post(f"/v1/{call}", data)

    def deploy(self, form: dict[str, Any]) -> str:
        answer = self.hub("deploy_endpoint", form)["response"]
        assert answer["result"] is True, answer
        name: str = answer["endpoint_name"]
        return name

    def status(self, name: str) -> str:
        found: str = self.hub("get_endpoint_status", {"endpoint_name": name})["response"]["status"]
        return found

    def endpoint(self, name: str) -> Any:
        """As the portal's own API shows it; None once it is gone."""
        found = self.program.get(f"endpoints?q={name}")["items"]
        return next((each for each in found if each["name"] == name), None)

    def until(self, name: str, **wanted: Any) -> Any:
        """The endpoint, once it is as wanted."""
        def as_wanted() -> Any:
            found = self.endpoint(name)
            return found if found and all(found[key] == value for key, value in wanted.items()) else None

        return eventually(as_wanted, PATIENCE, lambda: (wanted, self.endpoint(name)))

    def serves(self, name: str, status: str = "INSERVICE") -> None:
        eventually(lambda: self.status(name) == status, PATIENCE, lambda: self.endpoint(name))

    def ask(self, name: str, engine: OpenAIBackend) -> None:
        """One answer and one stream by the real client, which the engine has seen."""
        ready = eventually(lambda: next((each for each in self.program.openai.models.list()
                                         if each.id == name and each.model_dump()["ready"]), None), PATIENCE)
        before = len(engine.requests)
        whole = self.program.openai.chat.completions.create(model=ready.id, messages=HELLO)
        assert whole.choices[0].message.content == "word0 word1 word2 word3 word4"
        chunks = self.program.openai.chat.completions.create(model=ready.id, messages=HELLO, stream=True)
        text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
        assert text == "word0 word1 word2 word3 word4 "
        assert [seen.path for seen in engine.requests[before:]] == ["/v1/chat/completions"] * 2

    def delete(self, name: str) -> None:
        assert self.hub("delete_endpoint", {"endpoint_name": name})["response"] == {"result": True}
        self.serves(name, "NOTFOUND")

    def end(self) -> None:
        for each in (self.operator, self.program):
            each.close()


@contextmanager
def world(folder: Path, sim: AwsSimulator) -> Iterator[World]:
    """Ends with a look into everything that was written or said: no secret is in it."""
    with portal(folder, "up", PORTAL_AWS_ENDPOINT=sim.url, PORTAL_GATEWAY_REFRESH_SECONDS="0.3") as run:
        made = World(run, sim)
        made.begin()
        try:
            yield made
            for page in PAGES:
                made.operator.page(f"/admin/{page}")
            made.operator.page("/admin/")
        finally:
            made.end()
            if os.environ.get("SHOW_OUTPUT"):
                print(run.output)
        assert run.stop() == 0
    assert leaks(made) == []


def leaks(made: World) -> list[str]:
    """Where a secret stands in plain text: in a file of the portal (database, queue, logs), its output or its answers."""
    secrets = {
        "the secret access key": made.sim.keys.secret_access_key, "the token of the hub": HUB_TOKEN,
        **{f"the secret of session {key}": keys.secret_access_key for key, keys in made.sim.identities._keys.items()},
        **{f"the token of session {key}": keys.session_token for key, keys in made.sim.identities._keys.items()
           if keys.session_token},
        **{f"a bearer of EKS {name}": token for name, eks in made.sim.eks.clusters[HOME].items() for token in eks.tokens},
    }
    assert sum("session" in name for name in secrets) >= 3, "the role was assumed"
    files = [path for path in made.run.data_dir.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"portal.sqlite3", "web.log", "worker.log", "beat.log"}
    said = {"output": made.run.output.encode(), "answers": b"\n".join(made.heard),
            **{str(path.relative_to(made.run.data_dir)): path.read_bytes() for path in files}}
    assert len(made.heard) > 100
    return [f"{name} in {where}" for name, secret in secrets.items() for where, text in said.items()
            if secret.encode() in text]


@pytest.fixture
def engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as running:
        yield running


@pytest.fixture
def kube(engine: OpenAIBackend) -> Iterator[Simulator]:
    with Simulator([], engine_url=engine.url, speed=5.0) as running:
        yield running


def test_document_000_from_the_account_to_the_last_object(
    tmp_path: Path, aws_sim: AwsSimulator, kube: Simulator, engine: OpenAIBackend,
) -> None:
    cluster = aws_sim.add_hyperpod("cluster-xxx", kube=kube, groups={"gpu": ("ml.g5.xlarge", 4)}, status="Creating",
                                   eks_name="my-cluster-eks")
    with world(tmp_path, aws_sim) as made:
        take_in(made, cluster)
        deploy_while_the_worker_dies(made, kube)
        made.ask(NAME, engine)
        uid = made.until(NAME, ready_replicas=1)["uid"]
        the_record_is_listed(made)
        made.program.post(f"endpoints/{uid}/scale", {"replicas": 2})
        made.until(NAME, status="INSERVICE", ready_replicas=2)
        fifteen_minutes_pass(made, engine)
        of_the_hub(made, kube)
        for page in (f"/admin/endpoints/endpoint/?q={NAME}", "/admin/clusters/node/"):
            made.operator.page(page)
        made.delete(NAME)
        assert left_in(kube, uid) == []
    assert all(seen.header("authorization") is None or "k8s-aws" not in str(seen.header("authorization"))
               for seen in engine.requests)


def take_in(made: World, cluster: HyperPod) -> None:
    """Found, imported, refused while AWS still makes it, then looked at until it is ready."""
    where = f"aws-accounts/{made.account['uid']}/hyperpod-clusters"
    [found] = made.operator.get(where)["items"]
    assert (found["name"], found["status"], found["can_import"]) == ("cluster-xxx", "Creating", True)
    place = made.operator.post(where, {"cluster": "cluster-xxx"})
    refused = made.hub("deploy_endpoint", FORM)["response"]
    assert (refused["result"], "still making" in refused["endpoint_name"]) == (False, True), refused
    cluster.status = "InService"

    def is_ready() -> bool:
        look = made.operator.client.post(f"/api/v1/places/{place['uid']}/refresh", json={})
        assert look.status_code in (200, 409), look.text  # 409: the worker is looking
        row = made.operator.get(f"places/{place['uid']}")
        return (row["aws"]["status"], row["aws"]["deployable"], row["kubernetes"]["reach"]) == ("InService", True, "OK")

    eventually(is_ready, PATIENCE, lambda: made.operator.get(f"places/{place['uid']}"))
    assert made.hub("get_cluster", {"cluster_id": "cluster-xxx"})["body"]["cluster_status"] == "ACTIVE"
    nodes = made.hub("list_cluster_nodes", {"cluster_id": "cluster-xxx"})["nodes"]
    assert [(node["instance_type"], node["instance_status"]) for node in nodes] == [("ml.g5.xlarge", "Running")] * 4


def deploy_while_the_worker_dies(made: World, kube: Simulator) -> None:
    """Its pods wait until the worker, killed while it is CREATING, has come back."""
    waiting = kube.pods_fail(as_="pending")
    assert made.deploy(FORM) == NAME
    assert made.status(NAME) == "CREATING"
    eventually(lambda: configs(kube), PATIENCE, lambda: made.endpoint(NAME))
    first = pid_of(made.run, "worker")
    os.kill(first, signal.SIGKILL)
    made.run.wait_for(r"worker\s+ended\s+exit -9", START_SECONDS)
    eventually(lambda: pid_of(made.run, "worker") != first, START_SECONDS)
    assert made.status(NAME) == "CREATING"
    waiting.remove()
    made.serves(NAME)
    [config] = configs(kube)
    assert (config["spec"]["instanceType"], config["spec"]["replicas"]) == ("ml.g5.xlarge", 1)
    assert config["spec"]["modelSourceConfig"]["s3Storage"] == {"bucketName": "bucket", "region": REGION}


def the_record_is_listed(made: World) -> None:
    """Document 000, section 7."""
    [row] = made.hub("list_endpoints")["endpoints"]
    place = made.hub("get_cluster", {"cluster_id": "cluster-xxx"})["body"]
    assert {key: row[key] for key in ("endpoint_name", "endpoint_status", "deployment_target", "hyperpod_cluster_id",
                                      "instance_type", "instance_count", "model_s3_path", "model_name")} == {
        "endpoint_name": NAME, "endpoint_status": "INSERVICE", "deployment_target": "hyperpod",
        "hyperpod_cluster_id": place["cluster_id"], "instance_type": "ml.g5.xlarge", "instance_count": 1,
        "model_s3_path": "s3://bucket/model", "model_name": "meta-llama/Llama-3-8B"}
    assert json.loads(row["extra_config"])["eks_cluster_name"] == "my-cluster-eks"


def fifteen_minutes_pass(made: World, engine: OpenAIBackend) -> None:
    """The bearers of EKS are over; gateway and keeper make new ones and no caller notices."""
    tokens = made.sim.eks.clusters[HOME]["my-cluster-eks"].tokens
    before = len(tokens)
    made.sim.identities.expire_tokens()
    made.ask(NAME, engine)
    assert before < len(tokens) <= before + 3
    made.until(NAME, status="INSERVICE", ready_replicas=2)


def of_the_hub(made: World, kube: Simulator) -> None:
    """The same model from Hugging Face, with a token that only the cluster's Secret gets."""
    name = made.deploy({**FORM, "extra_params": {"endpoint_name": "gated"}})
    spec = made.program.get(f"endpoints/{made.endpoint(name)['uid']}/revisions")["items"][0]["spec"]
    assert spec["artifact"]["kind"] == "huggingface", spec
    model = made.endpoint(name)["model"]
    artifacts = made.program.get(f"models/{model}")["artifacts"]
    uid = next(each["uid"] for each in artifacts if each["kind"] == "huggingface")
    made.program.call("PUT", f"models/{model}/artifacts/{uid}/token", {"token": HUB_TOKEN})
    made.program.post(f"endpoints/{made.endpoint(name)['uid']}/update", {"arguments": {"max-model-len": 2048}})

    def is_given() -> bool:
        texts = [json.dumps(each) for each in configs(kube)]
        return any("tokenSecretRef" in text for text in texts)

    eventually(is_given, PATIENCE, lambda: configs(kube))
    made.until(name, status="INSERVICE", serving_revision=2)
    made.delete(name)


def configs(kube: Simulator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kube.client().list("inference.sagemaker.aws.amazon.com/v1", "inferenceendpointconfigs")
    return found


def left_in(kube: Simulator, uid: str) -> list[str]:
    """What carries the endpoint's label, and every object and pod of the operator."""
    label, client = f"inference-portal/endpoint={uid}", kube.client()
    kinds = [("v1", "services"), ("v1", "secrets"), ("v1", "serviceaccounts"), ("networking.k8s.io/v1", "networkpolicies")]
    labelled = [f"{plural} {each['metadata']['name']}" for version, plural in kinds
                for each in client.list(version, plural, labelSelector=label)]
    pods = [each["metadata"]["name"] for each in client.list("v1", "pods", labelSelector="deploying-service")]
    return labelled + pods + [each["metadata"]["name"] for each in configs(kube)]


def test_sagemaker_from_the_place_to_the_last_object(tmp_path: Path, aws_sim: AwsSimulator, engine: OpenAIBackend) -> None:
    with world(tmp_path, aws_sim) as made:
        made.operator.post("places", {"name": "sagemaker", "kind": "sagemaker", "aws": {
            "account": "prod", "region": REGION, "execution_role": EXECUTION_ROLE}})
        name = made.deploy(ON_SAGEMAKER)
        [remote] = eventually(lambda: list(aws_sim.here().endpoints.values()), PATIENCE, lambda: made.endpoint(name))
        aws_sim.runtime.upstreams[remote.name] = engine.url
        aws_sim.runtime.frame_bytes = 7
        made.serves(name)
        made.ask(name, engine)
        uid = made.endpoint(name)["uid"]
        made.program.post(f"endpoints/{uid}/update", {"arguments": {"max-model-len": 2048}})
        made.until(name, status="INSERVICE", serving_revision=2)
        made.ask(name, engine)
        made.program.post(f"endpoints/{uid}/rollback", {"revision": 1})
        made.until(name, status="INSERVICE", serving_revision=1)
        made.ask(name, engine)
        assert "Updating" in remote.statuses, remote.statuses
        made.delete(name)
        here = aws_sim.here()
        assert [*here.endpoints, *here.configs, *here.models, *here.components] == []
        assert aws_sim.world.misuses == []
