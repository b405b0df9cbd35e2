"""What the last lines of an engine mean: one entry for each rule of clusters.agent.causes, by its name."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from endpoints.states import Cause

from ..clues import Source
from ..findings import Rule, rule


def _log(name: str, cause: Cause, sentence: Promise, next_step: Promise, weight: int = 86) -> Rule:
    return rule(f"log_{name}", cause, weight, Source.LOG, name, sentence, next_step)


MEMORY = (
    _log("context_needs", Cause.MEMORY,
         _("The context does not fit in the memory: %(asked)s tokens need %(needs)s GiB of cache and %(has)s GiB are left."),
         _("Set max-model-len to %(n)s or less, or use more or larger GPUs.")),
    _log("context_too_long", Cause.MEMORY, _("The context is too long for the memory that is left for the cache."),
         _("Set max-model-len to %(n)s or less, or use more or larger GPUs.")),
    _log("context_unmeasured", Cause.MEMORY, _("The context is too long for the memory that is left for the cache."),
         _("Set a smaller max-model-len, or use more or larger GPUs.")),
    _log("no_cache_memory", Cause.MEMORY, _("The weights leave no memory for the cache."),
         _("Use more GPUs for a replica, a quantised model, or a higher gpu-memory-utilization.")),
    _log("gpu_in_use_by", Cause.MEMORY,
         _("Another process holds memory of the GPU: %(free)s of %(all)s GiB are free."),
         _("Free the GPU, or lower gpu-memory-utilization below what is free.")),
    _log("gpu_in_use", Cause.MEMORY, _("Another process holds memory of the GPU."),
         _("Free the GPU, or lower gpu-memory-utilization.")),
    _log("gpu_memory_sum", Cause.MEMORY,
         _("The GPU ran out of memory: %(asked)s more were needed and %(free)s of %(all)s were free."),
         _("Use more GPUs for a replica, a smaller max-model-len, or a quantised model.")),
    _log("gpu_memory", Cause.MEMORY, _("The GPU ran out of memory."),
         _("Use more GPUs for a replica, a smaller max-model-len, or a quantised model.")),
    _log("memory", Cause.MEMORY, _("The memory of the machine is not enough for the engine, which has %(memory)s GiB."),
         _("Give the profile more than %(memory)s GiB of memory, or set a smaller cache."), 87),
)

MODEL = (
    _log("gated", Cause.GATED, _("The hub does not let the portal read the model %(model)s."),
         _("Accept the model's licence at the hub and give the artifact a token that may read it.")),
    _log("hub_limit", Cause.HUB, _("The hub limits how much may be read from it."),
         _("Wait and press Retry, give the artifact a token, or load the weights into the cluster first.")),
    _log("hub_offline", Cause.HUB, _("The weights are not there, and the hub can't be reached from the replica."),
         _("Load the weights into the cluster first, or let the pods reach the hub (network policy, proxy, DNS).")),
    _log("model_missing", Cause.MODEL_MISSING, _("The model %(model)s is not there under this name or revision."),
         _("Correct the name, revision or folder of the artifact, then press Update.")),
    _log("no_weights", Cause.MODEL_MISSING, _("The folder of the model holds no weights that the engine can read."),
         _("Check the artifact's folder and format, or load the weights again.")),
    _log("incomplete", Cause.MODEL_MISSING, _("A file of the weights is incomplete or damaged."),
         _("Load the weights again; look for a full disk or a download that was cut.")),
    _log("tokenizer", Cause.MODEL_MISSING, _("The model's tokenizer can't be read."),
         _("Check the model's files, name another tokenizer, or choose a newer engine release.")),
    _log("remote_code", Cause.REFUSED, _("The model brings code of its own, which the portal does not run."),
         _("Choose a model that the engine knows itself, or a newer engine release.")),
    _log("not_supported", Cause.NOT_SUPPORTED, _("This engine release can't serve the architecture %(n)s%(type)s."),
         _("Choose a newer engine release or another model, then press Update.")),
)

DEVICES = (
    _log("no_device_simulated", Cause.NO_DEVICE,
         _("The GPUs of the node %(node)s are simulated: no engine can compute on them."),
         _("Choose a CPU release for this cluster, or a cluster with real GPUs."), 92),
    _log("no_device", Cause.NO_DEVICE, _("The engine finds no GPU in the replica."),
         _("Choose a CPU release, or give the profile GPUs and nodes with a driver for them.")),
    _log("driver_old", Cause.NOT_SUPPORTED, _("The GPU's driver is too old for this engine release."),
         _("Have the driver of the node updated, or choose an older engine release.")),
    _log("capability", Cause.NOT_SUPPORTED, _("This engine release was not built for this GPU."),
         _("Choose nodes with a newer GPU, or an engine release that still knows this one.")),
    _log("quantisation_capability", Cause.NOT_SUPPORTED,
         _("The quantisation %(method)s needs a GPU of compute capability %(least)s, and this one has %(has)s."),
         _("Choose nodes with a newer GPU, or weights without this quantisation.")),
    _log("bfloat16", Cause.NOT_SUPPORTED, _("The GPU (%(gpu)s, compute capability %(has)s) knows no bfloat16."),
         _("Set dtype to half, or choose nodes with a GPU of capability %(least)s or more.")),
    _log("too_few_gpus", Cause.BAD_ARGUMENT, _("The arguments ask for %(n)s GPUs, and a replica has fewer."),
         _("Set tensor-parallel-size to what the profile gives each replica (%(gpus)s), or give it %(n)s GPUs.")),
    _log("heads", Cause.BAD_ARGUMENT,
         _("The model's %(heads)s attention heads can't be shared equally by %(n)s GPUs."),
         _("Choose a tensor-parallel-size that divides %(heads)s.")),
    _log("gpu_fault", Cause.ERROR, _("The GPU reported a fault of its hardware or its memory."),
         _("Take the GPU of node %(node)s out of service, check its health, and press Retry.")),
    _log("nccl", Cause.NETWORK, _("The GPUs of the replica can't talk to each other (NCCL)."),
         _("Check the network between its nodes and the size of /dev/shm; NCCL_DEBUG=INFO tells more.")),
)

ARGUMENTS = (
    _log("device_flag", Cause.BAD_ARGUMENT, _("This engine release has no argument %(n)s any more."),
         _("Take --device away: whether it runs on CPU or GPU follows from the release's image.")),
    _log("unknown_argument", Cause.BAD_ARGUMENT, _("The engine does not know these arguments: %(n)s"),
         _("Take them away or correct them, then press Update.")),
    _log("bad_argument", Cause.BAD_ARGUMENT, _("The engine refuses an argument: %(n)s"),
         _("Correct its value, then press Update.")),
    _log("context_unknown", Cause.BAD_ARGUMENT, _("The model knows %(most)s tokens of context, and %(n)s are asked for."),
         _("Set max-model-len to %(most)s or less.")),
    _log("quantisation_other", Cause.BAD_ARGUMENT, _("The weights are quantised with %(has)s, and %(n)s is asked for."),
         _("Take the argument quantization away: the engine reads it from the weights.")),
    _log("quantisation_none", Cause.BAD_ARGUMENT, _("The weights are not quantised with %(n)s."),
         _("Take the argument quantization away, or choose weights that are quantised so.")),
    _log("quantisation_unknown", Cause.BAD_ARGUMENT, _("The engine does not know this quantisation with this type of numbers."),
         _("Correct the arguments quantization and dtype, then press Update.")),
    _log("bad_environment", Cause.BAD_ARGUMENT, _("A variable of the environment confuses the engine (VLLM_PORT)."),
         _("Rename the service “vllm” in the namespace, or turn service links off.")),
)

OTHERS = (
    _log("port_in_use", Cause.ERROR, _("The engine's port is taken by another process."),
         _("Wait: it is tried again; if it stays, look for a second server in the same pod or on the host.")),
    _log("disk_full", Cause.DISK_FULL, _("The disk of the replica is full."),
         _("Free some space on it, or give the weights a larger volume."), 88),
    _log("broken_release", Cause.INVALID, _("The engine's installation lacks the module %(n)s."),
         _("Choose another release, or install this one again.")),
    _log("engine_timeout", Cause.DEADLINE, _("The engine gave up waiting for its own parts to start."),
         _("Set VLLM_ENGINE_READY_TIMEOUT_S higher for large weights, or look for what slows the load."), 70),
    _log("error", Cause.CRASH_LOOP, _("The engine failed: %(n)s"),
         _("Change what the message names, then press Update."), 62),
)

LOGS = (*MEMORY, *MODEL, *DEVICES, *ARGUMENTS, *OTHERS)
