"""How engine options are grouped for people, and why some can't be set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .permitted import PERMITTED

# The first option of each group, in the order of PERMITTED.
_STARTS: Mapping[str, str | Promise] = {
    "dtype": _("What is served"), "enforce-eager": _("How it computes"), "tensor-parallel-size": _("Over several GPUs"),
    "gpu-memory-utilization": _("Memory"), "max-num-seqs": _("Scheduling"), "spec-method": _("Guesses ahead"),
    "limit-mm-per-prompt": _("Pictures and sound"), "enable-lora": _("Adapters"), "enable-auto-tool-choice": _("Answers"),
}


def grouped(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The permitted ones of these names by group, in the order of PERMITTED; empty groups are left out."""
    wanted = set(names)
    groups: list[tuple[str, list[str]]] = []
    for name in PERMITTED:
        if name in _STARTS:
            groups.append((str(_STARTS[name]), []))
        if name in wanted:
            groups[-1][1].append(name)
    return [group for group in groups if group[1]]


# What the portal sets itself or leaves out, and what takes its place.
NOT_SET_HERE: Mapping[str, str | Promise] = {
    "model": _("The profile's artifact says which model is served."),
    "revision": _("The artifact says which revision is served."),
    "tokenizer-revision": _("The tokenizer comes from the artifact's revision."),
    "code-revision": _("Models don't bring code of their own."),
    "served-model-name": _("The endpoint's model name for callers is used."),
    "host": _("The portal chooses where the engine listens."), "port": _("The portal chooses where the engine listens."),
    "api-key": _("The portal makes the engine's key and keeps it secret."),
    "download-dir": _("Weights lie in the host's or the cluster's cache."),
    "trust-remote-code": _("It would run code that comes with a model. Ask for a release that knows the architecture."),
    "lora-modules": _("It names files; adapters are not served yet."),
    "nnodes": _("The profile's number of nodes says it."), "node-rank": _("The cluster numbers the nodes of a replica."),
    "master-addr": _("The cluster numbers the nodes of a replica."),
}

# Options of older guides that engines of today don't have, and what to do instead.
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
