"""Failures as HyperPod and SageMaker show them, every clue of the moment at once: the likeliest cause comes first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.units import GIB
from endpoints.explaining import Asked, Condition, Evidence, Happening, Replica, Trouble, explanation
from endpoints.states import Cause
from endpoints.targets.hyperpod.evidence import conditions_in
from endpoints.targets.sagemaker.causes import cause_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ASKED = Asked(gpus=1, cpu_millis=4000, memory_bytes=16 * GIB, image="vllm/vllm-openai:v0.20.2", model="org/model",
              release="vllm-0.20.2", start_seconds=600)
KIND = "InferenceEndpointConfig"
OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of " \
                "23.64 GiB of which 1.12 GiB is free."
BAD_FLAG = "api_server.py: error: unrecognized arguments: --max-modl-len 8192"
EXPIRED = {"tlsCertificate": {"certificateHealth": "Expired"}}
GATED = "OSError: You are trying to access a gated repo.\n401 Client Error: Unauthorized for url"
INIT_DENIED = "An error occurred (AccessDenied) when calling the GetObject operation: Access Denied"


def hyperpod(status: dict[str, Any], *replicas: Replica, events: tuple[Happening, ...] = (), **values: Any) -> Evidence:
    """`status` as the operator writes it."""
    conditions = tuple(conditions_in(KIND, {"kind": KIND, "metadata": {"name": "m"}, "status": status}))
    return Evidence(wanted=1, looked_at=NOW, replicas=replicas, conditions=conditions, events=events, asked=ASKED, **values)


def working(message: str = "Deployment is being made") -> dict[str, Any]:
    """While it comes up. Its own condition is False, which is no failure."""
    return {"state": "DeploymentInProgress", "conditions": [
        {"type": "DeploymentComplete", "status": "False", "reason": "InProgress", "message": message}],
        "deploymentStatus": {"deploymentObjectOverallState": "DeploymentInProgress", "message": message}}


def failed(message: str = "progress deadline exceeded", **more: Any) -> dict[str, Any]:
    return {"state": "DeploymentFailed", "conditions": [
        {"type": "DeploymentComplete", "status": "False", "reason": "Failed", "message": message}],
        "deploymentStatus": {"deploymentObjectOverallState": "DeploymentFailed", "message": message}, **more}


def complete(**more: Any) -> dict[str, Any]:
    return {"state": "DeploymentComplete", "conditions": [
        {"type": "DeploymentComplete", "status": "True", "reason": "Success", "message": "made"}], **more}


def pod(**values: Any) -> Replica:
    return Replica(**{"name": "m-0", "index": 0, "phase": "Pending", "node": "gpu-a", **values})


def crashed(log: str, **values: Any) -> Replica:
    return pod(phase="Running", waiting="CrashLoopBackOff", message="back-off 5m0s restarting failed container", exit_code=1,
               ended="Error", restarts=4, previous_log=log, **values)


NO_GPU = pod(node="", unplaced="0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to deallocate, "
                               "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")
READY = pod(phase="Running", ready=True)
LOADING = pod(phase="Running", log="Starting to load model x\nLoading safetensors checkpoint shards:  50% Completed")
PULLING = pod(waiting="ImagePullBackOff", message="Back-off pulling image")
UNPULLED = Happening("Pod/m-0", "Failed", 'Failed to pull image "x": code = NotFound desc = manifest unknown', last=NOW)


def told(text: str) -> tuple[Happening, ...]:
    """A line of the operator's log."""
    return (Happening(f"{KIND}/m", "Operator", text, last=NOW),)


def registered(state: str) -> dict[str, Any]:
    return {"endpoints": {"sagemaker": {"state": state}}}


HYPERPOD: dict[str, tuple[Evidence, str]] = {
    "still at work": (hyperpod(working(), LOADING), "loading"),
    "nothing made yet": (hyperpod(working()), "hyperpod_working"),
    "image pull": (hyperpod(failed(), PULLING, events=(UNPULLED,)), "image_missing"),
    "image pull while the operator still waits": (hyperpod(working(), PULLING, events=(UNPULLED,)), "image_missing"),
    "no GPU": (hyperpod(failed(), NO_GPU), "no_gpu"),
    "S3 denied in the operator's status": (
        hyperpod(failed("AccessDenied: not authorized to perform s3:GetObject")), "hyperpod_weights_forbidden"),
    "S3 denied in its log only": (hyperpod(failed(""), LOADING, events=told(f"failed: {INIT_DENIED}")),
                                  "hyperpod_weights_forbidden"),
    "no such bucket": (hyperpod(failed("NoSuchBucket: the specified bucket does not exist")), "hyperpod_weights_missing"),
    "gated model": (hyperpod(failed(), crashed(GATED)), "log_gated"),
    "CUDA out of memory": (hyperpod(failed(), crashed(OUT_OF_MEMORY)), "log_gpu_memory_sum"),
    "bad argument": (hyperpod(failed(), crashed(BAD_FLAG)), "log_unknown_argument"),
    "probe": (hyperpod(failed(), pod(phase="Running", restarts=2), events=(
        Happening("Pod/m-0", "Killing", "Container vllm failed startup probe, restarted", last=NOW),)), "startup_killed"),
    "AWS limit": (hyperpod(failed("ResourceLimitExceeded: The account-level service limit is reached")), "hyperpod_aws_limit"),
    "deadline": (hyperpod(failed(), pod(phase="Running")), "hyperpod_deadline"),
    "given up for a reason of its own": (hyperpod(failed("instance group is being patched")), "hyperpod_gave_up"),
    "given up, told by a condition only": (hyperpod({"state": "DeploymentFailed", "conditions": [
        {"type": "DeploymentComplete", "status": "False", "message": "no such instance group"}]}), "hyperpod_gave_up"),
    "given up without a word": (hyperpod({"state": "DeploymentFailed"}), "hyperpod_silent"),
    "EULA": (hyperpod(failed("Model requires acceptance of the EULA: set acceptEula")), "hyperpod_licence"),
    "registration failed": (hyperpod(complete(**registered("CreationFailed")), READY), "hyperpod_not_registered"),
    "registration: name taken": (hyperpod(
        complete(**registered("CreationFailed")), READY,
        events=told("ValidationException: Cannot create already existing endpoint")), "hyperpod_endpoint_taken"),
    "certificate": (hyperpod(complete(**EXPIRED), READY), "hyperpod_certificate"),
    "DNS": (hyperpod(complete(dnsStatus={"dnsHealth": "Error", "message": "no such zone"}), READY), "hyperpod_dns"),
    "webhook": (hyperpod({}, troubles=(Trouble(Cause.POLICY, 'admission webhook "v.kb.io" denied the request'),)), "policy"),
    "queue": (hyperpod(working(), pod(
        node="", unplaced="Scheduling is blocked due to non-empty scheduling gates")), "gated_pod"),
}


@pytest.mark.parametrize("name", HYPERPOD)
def test_the_cause_on_hyperpod_comes_first(name: str) -> None:
    evidence, rule = HYPERPOD[name]
    found = explanation(evidence)
    assert found.first.rule == rule, [(one.rule, one.weight) for one in (found.first, *found.others)]
    assert not found.sentence.endswith(": ")


def sagemaker(reason: str, log: str = "", status: str = "Failed", troubles: tuple[Trouble, ...] = ()) -> Evidence:
    shown = Condition("Endpoint/m", "EndpointStatus", status, cause_of(reason), reason, NOW)
    return Evidence(wanted=1, looked_at=NOW, replicas=(Replica("m", 0, status, message=reason, log=log),), conditions=(shown,),
                    asked=ASKED, troubles=troubles)


PING = "The primary container for production variant AllTraffic did not pass the ping health check."
SAGEMAKER: dict[str, tuple[Evidence, str]] = {
    "quota": (sagemaker("ResourceLimitExceeded: The account-level service limit 'ml.g5.2xlarge for endpoint usage' is 0"),
              "sagemaker_quota"),
    "capacity": (sagemaker("Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."),
                 "sagemaker_no_room"),
    "image": (sagemaker("The image '1.dkr.ecr.us-west-2.amazonaws.com/x:1' does not exist."), "sagemaker_image"),
    "S3 denied": (sagemaker("Access denied to model data. Ensure that the role has s3:GetObject"), "sagemaker_forbidden"),
    "weights missing": (sagemaker("Could not find model data at s3://models/x/"), "sagemaker_model_missing"),
    "licence": (sagemaker("The model requires AcceptEula to be true"), "sagemaker_gated"),
    "CUDA out of memory, as the log says": (sagemaker(PING, OUT_OF_MEMORY), "log_gpu_memory_sum"),
    "bad argument, as the log says": (sagemaker(PING, BAD_FLAG), "log_unknown_argument"),
    "gated model, as the log says": (sagemaker(PING, GATED), "log_gated"),
    "probe": (sagemaker(PING), "sagemaker_probe"),
    "network": (sagemaker("Security group sg-1 does not exist"), "sagemaker_network"),
    "unknown words": (sagemaker("Something new."), "sagemaker_error"),
    "no words": (sagemaker(""), "sagemaker_silent"),
    "at work": (sagemaker("", status="Creating"), "sagemaker_moving"),
}


@pytest.mark.parametrize("name", SAGEMAKER)
def test_the_cause_at_sagemaker_comes_first(name: str) -> None:
    evidence, rule = SAGEMAKER[name]
    found = explanation(evidence)
    assert found.first.rule == rule, [(one.rule, one.weight) for one in (found.first, *found.others)]
    assert not found.sentence.endswith(": ")


def test_an_expired_certificate_does_not_hide_why_no_pod_runs() -> None:
    assert explanation(hyperpod(failed(**EXPIRED), NO_GPU)).first.rule == "no_gpu"


def test_what_is_at_work_is_no_second_cause() -> None:
    found = explanation(hyperpod(failed("NoSuchBucket: gone"), LOADING))
    assert {one.rule for one in (found.first, *found.others)} == {"hyperpod_weights_missing"}
