"""What becomes of each endpoint of the demo, and how the simulated cluster makes it so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CPU_SCALING = {"min_replicas": 1, "max_replicas": 4, "triggers": [{"type": "cpu", "metadata": {"value": "70"},
                                                                 "metric_type": "Utilization"}]}
BAD_FLAG = "vllm serve: error: unrecognized arguments: --device=cpu"
GATED = ("huggingface_hub.errors.GatedRepoError: 401 Client Error. Cannot access gated repo for url "
         "https://huggingface.co/org/model/resolve/main/config.json.")
CACHE = ("ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed, "
         "which is larger than the available KV cache memory (9.55 GiB).")


@dataclass(frozen=True)
class Fate:
    """`fails` is a failure rule of the simulator for pods `<pods>`; `then` is what is done once it serves."""

    name: str
    place: str = "gpu"
    profile: str = "gpu"
    replicas: int = 1
    fails: str = ""
    pods: str = "*"
    log: str = ""
    then: str = ""
    autoscale: dict[str, Any] = field(default_factory=dict)


SERVING = [Fate(f"chat-{number}", place=("gpu", "cpu")[number % 2], profile=("gpu", "cpu")[number % 2],
                replicas=1 + number % 3 // 2) for number in range(14)]
FATES: list[Fate] = [
    *SERVING,
    Fate("search", autoscale=CPU_SCALING), Fate("assistant", autoscale=CPU_SCALING), Fate("batch", replicas=3),
    Fate("loading", fails="slow:2h"), Fate("pulling", fails="pending"),
    Fate("waking", place="cpu", profile="cpu", fails="slow:90s"),
    Fate("wrong-image", fails="ImagePullBackOff"), Fate("no-secret", fails="CreateContainerConfigError"),
    Fate("bad-flag", place="cpu", profile="cpu", fails="crash:2", log=BAD_FLAG),
    Fate("gated", fails="crash:1", log=GATED), Fate("long-context", fails="crash:1", log=CACHE),
    Fate("out-of-memory", place="cpu", profile="cpu", fails="oom"), Fate("never-ready", fails="notready"),
    Fate("no-volume", fails="pvc"), Fate("no-gpu", fails="unschedulable"), Fate("too-big", profile="huge"),
    Fate("half-ready", replicas=2, fails="notready", pods="*-1"),
    Fate("updating", replicas=2, then="update slowly"), Fate("bad-update", replicas=2, then="update badly"),
    Fate("edited", then="edit"), Fate("contested", place="cpu", profile="cpu", then="edit again and again"),
    Fate("stopped", place="cpu", profile="cpu", then="stop"), Fate("resting", then="stop"),
    Fate("stopping", then="stop slowly"), Fate("deleting", then="delete slowly"),
    Fate("undeployed", place="cpu", profile="cpu", then="never deploy"),
]
assert len(FATES) == 40
