"""What the operator's status means: each row of facts.md 1.11, and what pods add to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from endpoints.judge import RowView, judge
from endpoints.states import Cause, Status, Wish
from endpoints.targets.base import Lack, Observation
from endpoints.targets.hyperpod.seen import Config, OperatorPod, Service
from endpoints.targets.hyperpod.status import observation, replicas_of

Object = dict[str, Any]
FAILED_WORDS = {"type": "DeploymentComplete", "status": "False", "reason": "Failed", "message": "no such bucket"}


def config(status: Object | None = None, *, generation: int = 1, annotations: Object | None = None, **spec: Any) -> Config:
    metadata = {"name": "chat", "namespace": "ns", "generation": generation,
                "annotations": {"inference-portal/revision": "1", **(annotations or {})}}
    made = {"metadata": metadata, "spec": {"replicas": 1, **spec}, "status": status or {}}
    return msgspec.convert(made, Config, strict=False)


def complete(**more: Any) -> Object:
    return {"state": "DeploymentComplete", "observedGeneration": 1, **more}


def failed(**more: Any) -> Object:
    return {"state": "DeploymentFailed", "observedGeneration": 1, "conditions": [FAILED_WORDS], **more}


def registered(state: str) -> Object:
    return {"endpoints": {"sagemaker": {"state": state}}}


def pod(name: str = "chat-1-a", *, ready: bool = True, revision: str = "1", state: Object | None = None, made: str = "00",
        phase: str = "Running", **status: Any) -> OperatorPod:
    env = [{"name": "PORTAL_REVISION", "value": revision}] if revision else []
    running = {"running": {}} if state is None else state
    conditions = [{"type": "Ready", "status": str(ready)}]
    return msgspec.convert({
        "metadata": {"name": name, "namespace": "ns", "labels": {"app": "chat"},
                     "creationTimestamp": f"2026-11-21T10:00:{made}Z"},
        "spec": {"nodeName": "hyperpod-i-1", "containers": [{"name": "sidecar"}, {"name": "chat", "env": env}]},
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": [
            {"name": "sidecar", "ready": True, "state": {"running": {}}},
            {"name": "chat", "ready": ready, "started": ready, "state": running}], **status},
    }, OperatorPod, strict=False)


CRASHES = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
NAMED = {"endpointName": "chat"}
ROW = RowView(wish=Wish.RUNNING, status=Status.CREATING, replicas=1, wanted=1)
SERVES = replace(ROW, status=Status.INSERVICE, serving=1, settled=True)

# name, the operator's object, its pods, the row before, status, cause, a word of the message
TABLE: list[tuple[str, Config, list[OperatorPod], RowView, str, str, str]] = [
    ("no status yet", config(), [], ROW, "CREATING", "Loading", "not seen"),
    ("a status of an older generation", config(failed(), generation=2), [pod(ready=False)], ROW, "CREATING", "Loading", ""),
    ("an older status while what was there serves", config(complete(), generation=2), [pod()],
     replace(ROW, status=Status.UPDATING, serving=1), "UPDATING", "Loading", "not seen"),
    ("pending", config({"state": "DeploymentPending", "observedGeneration": 1}), [], ROW, "CREATING", "Loading", "Pending"),
    ("in progress, its pod loads", config({"state": "DeploymentInProgress", "observedGeneration": 1}), [pod(ready=False)], ROW,
     "CREATING", "Loading", "loads the model"),
    ("Ready is False for a while", config({"state": "DeploymentInProgress", "observedGeneration": 1, "conditions": [
        {"type": "Ready", "status": "False", "message": "not yet"}]}), [pod(ready=False)], ROW, "CREATING", "Loading", "loads"),
    ("given up before there was a pod", config(failed()), [], ROW, "FAILED", "OperatorFailed", "no such bucket"),
    ("given up by the overall state alone", config({
        "state": "DeploymentInProgress", "observedGeneration": 1, "deploymentStatus": {
            "deploymentObjectOverallState": "DeploymentFailed", "reason": "TimedOut", "message": "3600 s"}}),
     [pod(ready=False)], ROW, "FAILED", "OperatorFailed", "TimedOut: 3600 s"),
    ("given up while a pod crashes: the pod is nearer", config(failed()), [pod(ready=False, state=CRASHES)], ROW, "FAILED",
     "CrashLoop", "back-off"),
    ("complete, its pod ready", config(complete()), [pod()], ROW, "INSERVICE", "", ""),
    ("complete, SageMaker registers it", config(complete(**registered("CreationInProgress")), **NAMED), [pod()], ROW,
     "CREATING", "Loading", "registers"),
    ("complete, SageMaker updates it", config(complete(**registered("UpdateInProgress")), **NAMED), [pod()],
     replace(ROW, status=Status.UPDATING, serving=1), "UPDATING", "Loading", "registers"),
    ("complete, SageMaker would not have it", config(complete(**registered("CreationFailed")), **NAMED), [pod()], SERVES,
     "DEGRADED", "OperatorFailed", "CreationFailed"),
    ("complete, SageMaker kept the old one", config(complete(**registered("UpdateFailed")), **NAMED), [pod()], SERVES,
     "DEGRADED", "OperatorFailed", "UpdateFailed"),
    ("a registration that nobody wants does not count", config(complete(**registered("CreationFailed"))), [pod()], ROW,
     "INSERVICE", "", ""),
    ("a status that names no generation is believed", config({"state": "DeploymentComplete"}, generation=3), [pod()], ROW,
     "INSERVICE", "", ""),
    ("the newest generation that is named counts", config({**complete(), "conditions": [
        {"type": "DeploymentComplete", "status": "True", "observedGeneration": 2}]}, generation=2), [pod()], ROW,
     "INSERVICE", "", ""),
    ("complete and registered", config(complete(**registered("CreationCompleted")), **NAMED), [pod()], ROW, "INSERVICE", "",
     ""),
    ("complete, none available", config(complete()), [], ROW, "CREATING", "Loading", "no pod"),
    ("complete, none available, too late", config(complete()), [], replace(ROW, late=True), "STALLED", "DeadlineExceeded", ""),
    ("it served and one is away", config(complete(), replicas=2), [pod(), pod("chat-1-b", ready=False)],
     replace(SERVES, replicas=2), "DEGRADED", "Loading", "1 of 2"),
    ("failed, and yet every pod serves", config(failed()), [pod()], SERVES, "DEGRADED", "OperatorFailed", "no such bucket"),
    ("scaled to zero", config(complete(), replicas=0, annotations={"inference-portal/autoscaled": "yes"}), [],
     replace(SERVES, replicas=3), "INSERVICE", "", "Scaled to zero"),
    ("prefill and decode apart: the pods of both count", config(complete(), pdSpec={
        "prefillSpec": {}, "decodingSpec": {"replicas": 2}}), [pod(), pod("chat-1-b"), pod("chat-1-c")], ROW,
     "INSERVICE", "", ""),
    ("prefill and decode apart: one is missing", config(complete(), pdSpec={"prefillSpec": {}, "decodingSpec": {}}),
     [pod()], ROW, "CREATING", "", "1 of 2"),
    ("the autoscaler has just changed the object", config(complete(), generation=2, replicas=1, annotations={
        "inference-portal/autoscaled": "yes"}), [pod()], replace(SERVES, replicas=3), "INSERVICE", "", ""),
    ("the autoscaler's number counts", config(complete(), replicas=1, annotations={"inference-portal/autoscaled": "yes"}),
     [pod()], replace(SERVES, replicas=3), "INSERVICE", "", ""),
]


@pytest.mark.parametrize(("found", "pods", "row", "status", "cause", "word"), [each[1:] for each in TABLE],
                         ids=[each[0] for each in TABLE])
def test_the_operators_status_means(
    found: Config, pods: list[OperatorPod], row: RowView, status: str, cause: str, word: str,
) -> None:
    verdict = judge(row, observation(found, pods))
    assert (verdict.status, verdict.cause) == (status, cause)
    assert word in verdict.message


def going(state: str = "", **row: Any) -> tuple[Observation, RowView]:
    found = config({"state": state, "observedGeneration": 1, "conditions": [{
        "type": "DeletionComplete", "status": "False", "reason": "Failed", "message": "the load balancer is in use"}]})
    metadata = msgspec.structs.replace(found.metadata, deletion_timestamp="2026-11-21T10:00:00Z")
    seen = observation(msgspec.structs.replace(found, metadata=metadata), [pod(ready=False)])
    return seen, replace(ROW, wish=Wish.DELETED, status=Status.DELETING, **row)


def test_what_is_being_deleted_is_on_its_way() -> None:
    seen, row = going("DeletionInProgress")
    assert judge(row, seen).status == Status.DELETING


def test_a_failed_deletion_tells_the_operators_own_message_and_stalls_in_time() -> None:
    seen, row = going("DeletionFailed", late=True)
    verdict = judge(row, seen)
    assert (verdict.status, verdict.cause) == (Status.STALLED, Cause.OPERATOR)
    assert "the load balancer is in use" in verdict.message


def test_pods_are_told_apart_by_their_revision_and_numbered_by_their_age() -> None:
    pods = [pod("chat-2-x", revision="2", made="09"), pod("chat-1-y", made="01"), pod("chat-0-z", revision="", made="05")]
    assert [(each.key, each.index, each.revision) for each in replicas_of(pods, "7")] == [
        ("chat-1-y", 0, 1), ("chat-0-z", 1, 7), ("chat-2-x", 2, 2)]


def test_an_update_is_not_done_while_an_old_pod_serves() -> None:
    found = config(complete(), annotations={"inference-portal/revision": "2"})
    seen = observation(found, [pod(), pod("chat-2-x", revision="2")])
    assert judge(replace(ROW, wanted=2, serving=1, status=Status.UPDATING), seen).status == Status.UPDATING


def test_a_new_revision_that_the_operator_gives_up_gives_way_to_the_one_before() -> None:
    found = config(failed(), annotations={"inference-portal/revision": "2"})
    seen = observation(found, [pod(), pod("chat-2-x", revision="2", ready=False)])
    verdict = judge(replace(ROW, wanted=2, serving=1, status=Status.UPDATING), seen)
    assert (verdict.status, verdict.cause, verdict.failed) == (Status.DEGRADED, Cause.UPDATE_FAILED, True)
    assert "no such bucket" in verdict.message


def test_a_container_that_prepares_the_pod_is_the_cause_when_it_fails() -> None:
    init = [{"name": "prefetch-chat-inf", "ready": False, "restartCount": 4, "state": CRASHES,
             "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "401 for Qwen/Qwen3"}}}]
    waits = pod(ready=False, state={"waiting": {"reason": "PodInitializing"}}, initContainerStatuses=init)
    replica = replicas_of([waits])[0]
    assert (replica.broken, replica.cause) == (True, Cause.CRASH_LOOP)
    assert "401 for Qwen/Qwen3" in replica.message


def test_outside_words_are_cleaned() -> None:
    words = {**FAILED_WORDS, "message": "\x1b[31mred\x00" + "x" * 5000}
    message = observation(config(failed(conditions=[words])), []).replicas[0].message
    assert "\x1b" not in message
    assert len(message) <= 500


def test_lack_is_only_told_of_what_is_lacking() -> None:
    assert observation(config(complete()), [pod()]).lack == Lack.NOTHING


@pytest.mark.parametrize(("ports", "port"), [
    ([{"name": "http", "port": 8000}], 8000), ([{"port": 9000}, {"name": "http", "port": 80}], 80),
    ([{"name": "https", "port": 8443}, {"port": 443}], 0), ([], 0),
])
def test_only_a_port_for_plain_calls_is_called_by_the_api_servers_proxy(ports: list[Object], port: int) -> None:
    assert msgspec.convert({"spec": {"selector": {"app": "chat"}, "ports": ports}}, Service).port == port
