"""How engine options are grouped for people, and why some can't be set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .permitted import PERMITTED
from .permitted_sglang import SGLANG

# The first option of each group, in the order of PERMITTED and of SGLANG.
_STARTS: Mapping[str, str | Promise] = {
    "dtype": _("What is served"), "enforce-eager": _("How it computes"), "tensor-parallel-size": _("Over several GPUs"),
    "gpu-memory-utilization": _("Memory"), "max-num-seqs": _("Scheduling"), "spec-method": _("Guesses ahead"),
    "limit-mm-per-prompt": _("Pictures and sound"), "enable-lora": _("Adapters"), "enable-auto-tool-choice": _("Answers"),
}
_SGLANG_STARTS: Mapping[str, str | Promise] = {
    "dtype": _("What is served"), "attention-backend": _("How it computes"), "tensor-parallel-size": _("Over several GPUs"),
    "mem-fraction-static": _("Memory"), "max-running-requests": _("Scheduling"),
    "speculative-algorithm": _("Guesses ahead"), "mm-attention-backend": _("Pictures and sound"),
    "enable-lora": _("Adapters"), "tool-call-parser": _("Answers"),
}


def grouped(names: Iterable[str], engine: str = "vllm") -> list[tuple[str, list[str]]]:
    """The permitted ones of these names by group, in the order in which they are permitted; no empty groups."""
    wanted = set(names)
    permits, starts = (SGLANG, _SGLANG_STARTS) if engine == "sglang" else (PERMITTED, _STARTS)
    groups: list[tuple[str, list[str]]] = []
    for name in permits:
        if name in starts:
            groups.append((str(starts[name]), []))
        if name in wanted:
            groups[-1][1].append(name)
    return [group for group in groups if group[1]]


# What the portal sets itself or leaves out, and what takes its place.
NOT_SET_HERE: Mapping[str, str | Promise] = {
    "model": _("The profile's artifact says which model is served."),
    "model-path": _("The profile's artifact says which model is served."),
    "tokenizer-path": _("The tokenizer comes from the artifact's revision."),
    "revision": _("The artifact says which revision is served."),
    "tokenizer-revision": _("The tokenizer comes from the artifact's revision."),
    "code-revision": _("Models don't bring code of their own."),
    "served-model-name": _("The endpoint's model name for callers is used."),
    "host": _("The portal chooses where the engine listens."), "port": _("The portal chooses where the engine listens."),
    "api-key": _("The portal makes the engine's key and keeps it secret."),
    "download-dir": _("Weights lie in the host's or the cluster's cache."),
    "trust-remote-code": _("It would run code that comes with a model. Ask for a release that knows the architecture."),
    "lora-modules": _("It names files; adapters are not served yet."),
    "lora-paths": _("It names files; adapters are not served yet."),
    "speculative-draft-model-path": _("It names a second model, which the portal would not know of."),
    "enable-custom-logit-processor": _("It would run code that comes with a request."),
    "enable-metrics": _("The portal sets it itself, to see how the engine does."),
    "nnodes": _("The profile's number of nodes says it."), "node-rank": _("The cluster numbers the nodes of a replica."),
    "master-addr": _("The cluster numbers the nodes of a replica."),
}

# Options of older guides that vLLM of today doesn't have, and what to do instead.
GONE: Mapping[str, str | Promise] = {
    "device": _("The engine release decides what it runs on: choose a profile with a CPU release to serve on CPUs."),
    "swap-space": _("It has no successor; use “cpu-offload-gb” or “kv-offloading-size” where memory is short."),
    "task": _("Write “runner” (and “convert”) instead."),
    "disable-log-requests": _("Requests are not logged unless somebody asks for it."),
    "num-scheduler-steps": _("Steps are planned ahead by “async-scheduling” now."),
    "max-seq-len-to-capture": _("Write “max-cudagraph-capture-size” instead."),
    "enable-reasoning": _("“reasoning-parser” alone switches it on."),
    "guided-decoding-backend": _("Write “structured-outputs-config” with a backend instead."),
    "use-v2-block-manager": _("There is only one block manager now."),
    "worker-use-ray": _("Write “distributed-executor-backend”, where it is permitted."),
}


def gone(engine: str, refused: Iterable[str]) -> Mapping[str, str | Promise]:
    """Those of GONE that are gone from this release too; an older one may still have some."""
    return {name: why for name, why in GONE.items() if engine != "sglang" and name not in refused}
