"""From evidence to the cause: every rule with an example of what a real place says, and how they are ranked."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.agent import causes
from clusters.units import GIB
from endpoints.explaining import (
    Asked,
    Condition,
    Evidence,
    Happening,
    Machine,
    Replica,
    Trouble,
    explanation,
    rank,
)
from endpoints.explaining.rules import RULES
from endpoints.explaining.scheduling import blocked_by
from endpoints.states import Cause
from endpoints.targets.sagemaker.causes import cause_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ASKED = Asked(gpus=2, cpu_millis=4000, memory_bytes=16 * GIB, image="vllm/vllm-openai:v0.20.2", model="org/model",
              release="vllm-0.20.2", start_seconds=600)
NO_NODE = "0/3 nodes are available: {} no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is " \
          "not helpful for scheduling."


def seen(*replicas: Replica, wanted: int = 1, **values: Any) -> Evidence:
    return Evidence(wanted=wanted, looked_at=NOW, replicas=replicas, asked=ASKED, **values)


def pod(**values: Any) -> Replica:
    return Replica(**{"name": "m-0", "index": 0, "phase": "Pending", "node": "gpu-a", **values})


def unplaced(text: str) -> Evidence:
    return seen(pod(node="", unplaced=NO_NODE.format(text)))


def waits(reason: str, message: str = "") -> Evidence:
    return seen(pod(waiting=reason, message=message))


def ended(code: int, reason: str = "Error", log: str = "", **values: Any) -> Evidence:
    return seen(pod(phase="Running", waiting="CrashLoopBackOff", message="back-off 5m0s restarting failed container",
                    exit_code=code, ended=reason, restarts=4, previous_log=log, **values))


def event(reason: str, message: str, what: str = "Pod/m-0", **values: Any) -> Evidence:
    return seen(pod(**values), events=(Happening(what, reason, message, last=NOW),))


def create_failed(message: str) -> Evidence:
    said = f"create Pod m-0 in StatefulSet m failed error: {message}"
    return seen(events=(Happening("StatefulSet/m", "FailedCreate", said),))


def status(what: str, word: str, state: str, reason: str = "", message: str = "") -> Evidence:
    return seen(conditions=(Condition(what, word, state, reason, message),))


def trouble(cause: Cause, message: str = "what was said") -> Evidence:
    return seen(troubles=(Trouble(cause, message),))


EXAMPLES: dict[str, Evidence] = {
    "unreachable": trouble(Cause.UNREACHABLE), "credential": trouble(Cause.AUTH), "tls": trouble(Cause.TLS),
    "forbidden": trouble(Cause.FORBIDDEN), "kind_missing": trouble(Cause.NO_KIND), "name_taken": trouble(Cause.NAME_TAKEN),
    "conflict": trouble(Cause.CONFLICT), "contested": trouble(Cause.CONTESTED), "invalid": trouble(Cause.INVALID),
    "refused": trouble(Cause.REFUSED), "quota_of_wish": trouble(Cause.QUOTA), "no_room": trouble(Cause.NO_ROOM),
    "weights_missing": trouble(Cause.NOT_LOADED), "fault_of_ours": trouble(Cause.ERROR),
    "policy": trouble(Cause.POLICY),
    "quota_of_account": trouble(Cause.QUOTA, "The account-level service limit 'ml.p5.48xlarge for endpoint usage' is 0 "
                                             "Instances, with current utilization of 0 Instances."),
    "namespace_ending": create_failed('pods "m-0" is forbidden: unable to create new content in namespace ws because it is '
                                      'being terminated'),
    "quota": create_failed('pods "m-0" is forbidden: exceeded quota: q, requested: requests.nvidia.com/gpu=1, '
                           'used: requests.nvidia.com/gpu=2, limited: requests.nvidia.com/gpu=2'),
    "quota_needs_limits": create_failed('pods "m-0" is forbidden: failed quota: q: must specify limits.cpu for: vllm'),
    "pod_security": create_failed('pods "m-0" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation '
                                  '!= false (container "vllm" must set securityContext.allowPrivilegeEscalation=false)'),
    "limit_range": create_failed('pods "m-0" is forbidden: maximum memory usage per Container is 8Gi, but limit is 16Gi'),
    "webhook": create_failed('admission webhook "policy.example.com" denied the request: images must come from inside'),
    "webhook_away": create_failed('Internal error occurred: failed calling webhook "policy.example.com": no endpoints'),
    "class_missing": create_failed('pods "m-0" is forbidden: no PriorityClass with name high was found'),
    "runtime_missing": create_failed('pods "m-0" is forbidden: pod rejected: RuntimeClass "nvidia" not found'),
    "account_missing": create_failed('pods "m-" is forbidden: error looking up service account ws/m: serviceaccount "m" not '
                                     'found'),
    "create_failed": create_failed("something new"),
    "scaled_object": status("ScaledObject/m", "Ready", "False", "ScaledObjectCheckFailed", "error getting prometheus metric"),
    "scaler_failed": event("KEDAScalerFailed", "connection error to kafka", "ScaledObject/m", ready=True),
    "route_listener": status("HTTPRoute/m", "Accepted", "False", "NotAllowedByListeners", "No listeners match"),
    "route_refused": status("HTTPRoute/m", "ResolvedRefs", "False", "BackendNotFound", "Service m not found"),
    "gateway_down": status("Gateway/g", "Programmed", "False", "AddressNotAssigned", "No addresses"),
    "copy_failed": status("Dataset/d", "Phase", "FAILED", "", "repository not found"),
    "claim_provision": event("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found', "PersistentVolumeClaim/w"),
    "claim_pending": status("PersistentVolumeClaim/w", "Phase", "Pending"),
    "claim_lost": status("PersistentVolumeClaim/w", "Phase", "Lost"),
    "no_gpu": unplaced("3 Insufficient nvidia.com/gpu."), "no_cpu": unplaced("3 Insufficient cpu."),
    "no_memory": unplaced("3 Insufficient memory."), "no_disk_room": unplaced("3 Insufficient ephemeral-storage."),
    "tainted": unplaced("3 node(s) had untolerated taint(s)."),
    "all_tainted": unplaced("1 node(s) had untolerated taint {nvidia.com/gpu: present}, 2 Insufficient nvidia.com/gpu."),
    "no_gpu_ever": replace(unplaced("3 Insufficient nvidia.com/gpu."), machines=(Machine("a", 1), Machine("b"))),
    "tainted_by_system": unplaced("3 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }."),
    "nodes_ill": unplaced("3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."),
    "selector": unplaced("3 node(s) didn't match Pod's node affinity/selector."),
    "selector_of_none": replace(unplaced("3 node(s) didn't match Pod's node affinity/selector."),
                                machines=(Machine("a", chosen=False),)),
    "cordoned": unplaced("3 node(s) were unschedulable."),
    "claim_unbound": seen(pod(node="", unplaced="0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. "
                                                "preemption: 0/3 nodes are available: 3 Preemption is not helpful.")),
    "claim_missing": unplaced('persistentvolumeclaim "models" not found.'),
    "volume_elsewhere": unplaced("3 node(s) had volume node affinity conflict."),
    "volumes_full": unplaced("3 node(s) exceed max volume count."), "pods_full": unplaced("3 Too many pods."),
    "spread": unplaced("3 node(s) didn't match pod topology spread constraints."),
    "no_nodes": seen(pod(node="", unplaced="no nodes available to schedule pods")),
    "unschedulable": unplaced("3 node(s) are purple."),
    "gated_pod": seen(pod(node="", unplaced="Scheduling is blocked due to non-empty scheduling gates")),
    "secret_missing": waits("CreateContainerConfigError", 'secret "m-tokens" not found'),
    "key_missing": waits("CreateContainerConfigError", "couldn't find key HF_TOKEN in Secret ws/m-tokens"),
    "runs_as_root": waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
    "device_plugin": ended(128, "StartError", ended_because="nvidia-container-cli: initialization error: nvml error"),
    "wrong_processor": ended(255, "Error", ended_because="exec /usr/bin/python3: exec format error"),
    "no_program": waits("RunContainerError", 'exec: "vllm": executable file not found in $PATH: unknown'),
    "config_error": waits("CreateContainerError", "context deadline exceeded"),
    "mount_failed": event("FailedMount", "MountVolume.SetUp failed for volume \"w\": mount failed: exit status 32"),
    "attached_elsewhere": event("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s)'),
    "attach_failed": event("FailedAttachVolume", "AttachVolume.Attach failed for volume: rpc error"),
    "sandbox": event("FailedCreatePodSandBox", "plugin type=\"calico\" failed (add): no IP addresses available"),
    "out_of_memory": ended(137, "OOMKilled", "INFO Loading weights took 3 seconds"),
    "evicted_disk": seen(pod(phase="Failed", ended="Evicted",
                             ended_because="The node was low on resource: ephemeral-storage.")),
    "evicted": seen(pod(phase="Failed", ended="Evicted", ended_because="The node was low on resource: memory.")),
    "preempted": event("Preempted", "Preempted by pod 1234 on node gpu-a"),
    "admission": seen(pod(phase="Failed", ended="OutOfcpu", ended_because="Pod was rejected: Node didn't have enough cpu")),
    "startup_killed": event("Killing", "Container vllm failed startup probe, will be restarted", restarts=2),
    "liveness_killed": event("Killing", "Container vllm failed liveness probe, will be restarted", restarts=2),
    "node_lost": event("NodeNotReady", "Node is not ready", phase="Running"),
    "host_lost": seen(pod(name="replica 0", phase="LOST", node="host-1")),
    "bad_options": ended(2), "bad_instruction": ended(132), "crashed_hard": ended(139), "killed": ended(137),
    "ended_well": ended(0, "Completed"), "ended": ended(3, log="bye"),
    "crash_loop": seen(pod(phase="CRASHLOOP", restarts=5)),
    "probe": event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", phase="Unknowable"),
    "host_disk": status("Host/host-1", "DiskPressure", "True", "", "Less than 2 GiB of disk are free."),
    "agent_killed": waits("engine:killed", "The engine was killed."),
    "agent_too_slow": waits("engine:too_slow", "It was not ready in 600 s."),
    "agent_cannot_start": waits("engine:cannot_start", "The release is not installed."),
    "agent_said": waits("engine:of_the_future", "The engine ran out of luck."),
    "loading": seen(pod(phase="Running",
                        log="Starting to load model x\nLoading safetensors checkpoint shards:  50% Completed")),
    "starting": waits("ContainerCreating"), "back_off": seen(pod(phase="BACKOFF")), "pending": seen(pod()),
    "image_limit": waits("ErrImagePull", "toomanyrequests: You have reached your pull rate limit."),
    "image_unauthorised": waits("ErrImagePull", "failed to authorize: 401 Unauthorized: authentication required"),
    "image_missing": event("Failed", 'Failed to pull image "x": rpc error: code = NotFound desc = manifest unknown'),
    "image_tls": waits("ErrImagePull", "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
    "image_host": waits("ErrImagePull", "dial tcp: lookup registry.example.com: no such host"),
    "image_platform": waits("ErrImagePull", "no match for platform in manifest"),
    "image_disk": waits("ErrImagePull", "write /var/lib/containerd/io.containerd: no space left on device"),
    "image_name": waits("InvalidImageName", "couldn't parse image name"),
    "image_never": waits("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
    "image": waits("ImagePullBackOff", "Back-off pulling image"), "image_waiting": waits("ImagePullBackOff"),
    "log_no_device_simulated": ended(1, log="RuntimeError: Failed to infer device type", simulated=True),
}
LOGS = {
    "context_needs": "ValueError: To serve at least one request with the model's max seq len (131072), (40.00 GiB KV cache is "
                     "needed, which is larger than the available KV cache memory (8.51 GiB). Based on the available memory, "
                     "the estimated maximum model length is 27840. Try increasing `gpu_memory_utilization`",
    "context_too_long": "ValueError: the estimated maximum model length is 27840.",
    "context_unmeasured": "ValueError: 4 GiB is larger than the available KV cache memory",
    "context_unknown": "ValueError: User-specified max_model_len (2048) is greater than the derived max_model_len "
                       "(n_positions=1024 or model_max_length=1024 in model's config.json).",
    "no_cache_memory": "ValueError: No available memory for the cache blocks.",
    "gpu_in_use_by": "ValueError: Free memory on device cuda:0 (2.1/79.2 GiB) on startup is less than desired GPU memory",
    "gpu_in_use": "ValueError: Free memory on device is low",
    "gpu_memory_sum": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
                      "23.64 GiB of which 1.12 GiB is free.",
    "gpu_memory": "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
    "memory": "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: not enough memory",
    "gated": "OSError: You are trying to access a gated repo.\n401 Client Error: Unauthorized for url",
    "hub_limit": "huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url",
    "hub_offline": "requests.ConnectionError: Failed to resolve 'huggingface.co' (Temporary failure in name resolution)",
    "model_missing": "OSError: org/none is not a local folder and is not a valid model identifier listed on the hub",
    "no_weights": "RuntimeError: Cannot find any model weights with `/models/x`",
    "incomplete": "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
    "tokenizer": "OSError: Can't load tokenizer for 'org/model'.",
    "remote_code": "ValueError: The repository org/model contains custom code which must be executed",
    "not_supported": "ValueError: Model architectures ['NewForCausalLM'] are not supported for now.",
    "no_device": "RuntimeError: No CUDA GPUs are available",
    "driver_old": "The NVIDIA driver on your system is too old (found version 11040).",
    "capability": "RuntimeError: CUDA error: no kernel image is available for execution on the device",
    "quantisation_capability": "ValueError: The quantization method awq is not supported for the current GPU. Minimum "
                               "capability: 75. Current capability: 70.",
    "bfloat16": "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla V100-SXM2 "
                "GPU has compute capability 7.0. You can use float16 instead",
    "too_few_gpus": "RuntimeError: World size (8) is larger than the number of available GPUs (2) in this node.",
    "heads": "ValueError: Total number of attention heads (28) must be divisible by tensor parallel size (8).",
    "gpu_fault": "RuntimeError: CUDA error: uncorrectable ECC error encountered",
    "nccl": "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, unhandled system error",
    "device_flag": "vllm serve: error: unrecognized arguments: --device=cpu",
    "unknown_argument": "vllm serve: error: unrecognized arguments: --max-model-lenn 5",
    "bad_argument": "vllm serve: error: argument --dtype: invalid choice: 'x' (choose from auto, half)",
    "quantisation_other": "ValueError: Quantization method specified in the model config (gptq) does not match the "
                          "quantization method specified in the `quantization` argument (awq).",
    "quantisation_none": "ValueError: Cannot find the config file for awq",
    "quantisation_unknown": "ValueError: Unknown quantization method: awqq. Must be one of [...]",
    "bad_environment": "ValueError: VLLM_PORT 'tcp://10.0.0.1:80' appears to be a URI.",
    "port_in_use": "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
    "disk_full": "OSError: [Errno 28] No space left on device",
    "broken_release": "ModuleNotFoundError: No module named 'flashinfer'",
    "engine_timeout": "TimeoutError: Timed out waiting for engine core processes to start.",
    "error": "AssertionError: the sky is green",
}
SAGEMAKER = {
    "quota": (Cause.QUOTA, "The account-level service limit 'ml.g5.2xlarge for endpoint usage' is 0 Instances."),
    "no_room": (Cause.NO_ROOM, "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."),
    "forbidden": (Cause.FORBIDDEN, "AccessDenied: not authorized to perform: s3:GetObject"),
    "model_missing": (Cause.MODEL_MISSING, "Could not find model data at s3://models/small/."),
    "gated": (Cause.GATED, "401 Client Error. You are trying to access a gated repo."),
    "image": (Cause.IMAGE, "The image does not exist in the ECR repository."),
    "disk": (Cause.DISK_FULL, "No space left on device"),
    "network": (Cause.NETWORK, "The subnet subnet-1 has no free addresses."),
    "memory": (Cause.MEMORY, "The model container ran out of memory."),
    "probe": (Cause.PROBE, "The primary container did not pass the ping health check."),
    "error": (Cause.ERROR, "Request to service failed."),
    "moving": (Cause.NONE, ""),
}
EXAMPLES |= {f"sagemaker_{name}": status("Endpoint/chat", "EndpointStatus", "Failed" if cause else "Creating", cause, said)
             for name, (cause, said) in SAGEMAKER.items()}
IEC = "InferenceEndpointConfig/chat"
EXAMPLES |= {
    "hyperpod_weights_forbidden": status(IEC, "State", "False", "DeploymentFailed", "AccessDenied: s3:ListBucket on models"),
    "hyperpod_weights_missing": event("Operator", "NoSuchBucket: the bucket models does not exist", IEC),
    "hyperpod_endpoint_taken": status(IEC, "SageMakerEndpoint", "False", "CreationFailed",
                                      "Cannot create already existing endpoint chat"),
    "hyperpod_aws_limit": status(IEC, "DeploymentComplete", "False", "Failed", "TooManyLoadBalancers: the limit is 50"),
    "hyperpod_deadline": status(IEC, "Deployment", "False", "DeploymentFailed", "Deployment exceeded its progress deadline"),
    "hyperpod_not_registered": status(IEC, "SageMakerEndpoint", "False", "UpdateFailed", "SageMaker kept the old one"),
    "hyperpod_not_deleted": status(IEC, "State", "False", "DeletionFailed", "the load balancer is in use"),
    "hyperpod_gave_up": status(IEC, "State", "False", "DeploymentFailed", "the volume could not be made"),
    "hyperpod_silent": status(IEC, "State", "False", "DeploymentFailed"),
    "hyperpod_working": status(IEC, "DeploymentComplete", "False", "InProgress", "being made"),
    "hyperpod_licence": status(IEC, "State", "False", "DeploymentFailed", "the model wants its EULA accepted"),
    "sagemaker_silent": status("Endpoint/chat", "EndpointStatus", "Failed"),
    "hyperpod_certificate": status(IEC, "Certificate", "False", "Expired"),
    "hyperpod_dns": status("JumpStartModel/chat", "DNS", "False", "Error", "no such hosted zone"),
    "hyperpod_entrance": status(IEC, "Entrance", "False", "Closed", "alb.example.org does not take connections (network)"),
    "hyperpod_metrics": status(IEC, "Metrics", "False", "Error", "no collector"),
    "hyperpod_said": event("Operator", "Reconciler error for chat", IEC),
    "hyperpod_failed": seen(troubles=(Trouble(Cause.OPERATOR, "the volume could not be made"),)),
}
EXAMPLES |= {f"log_{name}": ended(1, log=f"INFO 01-02 begin\n{text}\n") for name, text in LOGS.items()}


@pytest.mark.parametrize(("cause", "said"), SAGEMAKER.values(), ids=SAGEMAKER)
def test_the_words_of_sagemaker_are_sorted_by_their_cause(cause: Cause, said: str) -> None:
    assert cause_of(said) == cause


def test_every_rule_has_an_example_and_every_log_rule_an_advice() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(EXAMPLES) == sorted(names)
    assert {rule.name for rule in causes.RULES} <= {name.removeprefix("log_") for name in names}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_explained_by_its_rule_with_figures_and_a_next_step(name: str) -> None:
    found = explanation(EXAMPLES[name])
    assert found.first.rule == name, [(one.rule, one.weight) for one in rank(EXAMPLES[name])]
    for text in (found.sentence, found.next_step):
        assert not re.search(r"\?|%\(|None", text), text
        assert text[0].isupper() or text[0].isdigit()
        assert len(text) > 15
    assert re.match(r"(?!Read the log)[A-Z][a-z]+", found.next_step), found.next_step
    assert found.first.shown_by


def test_no_two_rules_say_the_same_words() -> None:
    said = [str(rule.sentence) for rule in RULES if not rule.name.startswith(("image_waiting", "log_context_u"))]
    assert len(said) == len(set(said))


@pytest.mark.parametrize(("message", "parts"), [
    ("0/4 nodes are available: 1 node(s) had untolerated taint {a.b/c: x, y}, 1 Insufficient cpu, 3 Insufficient "
     "nvidia.com/gpu. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.",
     [("gpu", 3), ("taint", 1), ("cpu", 1)]),
    ("0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node affinity/selector. "
     "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
     [("selector", 2), ("taint", 1)]),
    ("0/5 nodes are available: 5 Insufficient nvidia.com/gpu.", [("gpu", 5)]),
    ("nonsense, with {unbalanced", [("other", 0)]),
    ("", [("other", 0)]),
])
def test_a_schedulers_message_is_taken_apart(message: str, parts: list[tuple[str, int]]) -> None:
    assert [(part.what, part.figures["nodes"]) for part in blocked_by(message)] == parts


@pytest.mark.parametrize(("machines", "rule"), [
    ((), "no_gpu"), ((Machine("a", 1), Machine("b", 8, "dedicated=x:NoSchedule")), "all_tainted"),
    ((Machine("a", 8), Machine("b", 8, "dedicated=x:NoSchedule")), "no_gpu"),
    ((Machine("a", 8), Machine("b", 8, "dedicated=x:NoSchedule", chosen=False)), "no_gpu"),
])
def test_the_inventory_says_what_the_scheduler_does_not(machines: tuple[Machine, ...], rule: str) -> None:
    """Newer schedulers don't name the taint, and a node without GPUs always has too few."""
    evidence = unplaced("1 node(s) had untolerated taint(s), 2 Insufficient nvidia.com/gpu.")
    found = explanation(replace(evidence, machines=machines))
    assert found.first.rule == rule
    assert ("dedicated=x" in found.sentence) == (rule == "all_tainted")


def test_what_is_over_does_not_count() -> None:
    """A pod that was placed, pulled and crashed has old events of each stage."""
    crashed = ended(1, log=LOGS["no_cache_memory"])
    old = tuple(Happening("Pod/m-0", reason, text) for reason, text in (
        ("FailedScheduling", NO_NODE.format("3 Insufficient nvidia.com/gpu.")), ("Failed", "pull: 429 Too Many"),
        ("FailedMount", "timed out")))
    assert [one.rule for one in rank(replace(crashed, events=old)) if one.weight > 50] == ["log_no_cache_memory"]
    ready = seen(pod(phase="Running", ready=True), events=old)
    assert explanation(ready).first.rule == "all_ready"


def test_refused_pods_no_longer_count_once_all_pods_are_there() -> None:
    refused = EXAMPLES["quota"]
    assert explanation(replace(refused, replicas=(pod(),))).first.rule == "pending"


def test_the_place_comes_before_its_replicas_and_both_logs_make_it_surer() -> None:
    both = ended(1, log=LOGS["gated"])
    away = replace(both, troubles=(Trouble(Cause.UNREACHABLE, "connection refused"),))
    assert [one.rule for one in rank(away)][:2] == ["unreachable", "log_gated"]
    assert explanation(away).others[0].rule == "log_gated"


def test_what_only_repeats_that_something_is_wrong_is_left_out() -> None:
    crashed = ended(1, log=LOGS["gated"])
    assert [one.rule for one in rank(crashed)] == ["log_gated"]
    loading = pod(name="m-1", index=1, phase="Running")
    assert [one.rule for one in rank(replace(crashed, replicas=(*crashed.replicas, loading), wanted=2))] == ["log_gated"]


def test_several_replicas_with_one_trouble_are_one_finding() -> None:
    found = rank(seen(*(pod(name=f"m-{i}", index=i, waiting="ErrImagePull", message="manifest unknown") for i in range(9)),
                      wanted=9))
    assert found[0].rule == "image_missing"
    assert len(found[0].shown_by) == 5


@pytest.mark.parametrize(("evidence", "rule"), [
    (seen(wanted=0), "not_wanted"), (seen(pod(ready=True, phase="Running")), "all_ready"), (seen(), "nothing_made"),
    (seen(pod(ready=True, phase="Running"), wanted=2), "unknown"),
])
def test_there_is_always_an_answer(evidence: Evidence, rule: str) -> None:
    found = explanation(evidence)
    assert (found.first.rule, bool(found.sentence), bool(found.next_step)) == (rule, True, True)


def test_hostile_text_does_not_take_long_or_break() -> None:
    nasty = "{" * 5000 + "1 node(s) had untolerated taint {" * 300 + "CUDA out of memory. Tried to allocate " + "9" * 9000
    found = explanation(seen(pod(node="", unplaced=f"0/9 nodes are available: {nasty}", waiting="%(x)s%n", message=nasty,
                                 exit_code=1, previous_log=nasty)))
    assert found.first.rule
