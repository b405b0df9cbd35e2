"""From an engine's last lines to the cause in one sentence: what went wrong and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Why:
    """`code` is stable and can be translated by whoever shows it; `sentence` is the English of it."""

    code: str
    sentence: str


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    code: str
    sentence: str


def _rule(pattern: str, code: str, sentence: str) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), code, sentence)


WARNING = re.compile(r"\bWARNING \d\d-\d\d ")
# The first that matches wins: from the particular to the general.
RULES = (
    _rule(r"estimated maximum model length is (?P<n>\d+)", "context_too_long",
          "The context is too long for the memory left for the cache: set max-model-len to {n} or less."),
    _rule(r"larger than the available KV cache memory|max seq len.{0,80}KV cache", "context_too_long",
          "The context is too long for the memory left for the cache: set a smaller max-model-len."),
    _rule(r"No available memory for the cache blocks", "no_cache_memory",
          "The weights leave no memory for the cache: allow more memory, use more GPUs or a quantised model."),
    _rule(r"Free memory on device", "gpu_in_use",
          "Another process holds memory of the GPU: free the GPU or lower gpu-memory-utilization."),
    _rule(r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|HIP out of memory", "gpu_memory",
          "The GPU ran out of memory: use more GPUs, a smaller context or a quantised model."),
    _rule(r"World size \((?P<n>\d+)\) is larger than the number of available GPUs", "too_few_gpus",
          "The arguments ask for {n} GPUs, and fewer are here: lower tensor-parallel-size."),
    _rule(r"VLLM_PORT '.*' appears to be a URI", "bad_environment",
          "The variable VLLM_PORT holds an address: a service named “vllm” sets it; rename the service."),
    _rule(r"gated repo|GatedRepoError|access to model .{0,200} is restricted|(401|403) Client Error", "gated",
          "The hub refuses this model: accept its licence and give the portal a token that may read it."),
    _rule(r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier|"
          r"not a valid model identifier|Repository Not Found|HFValidationError|"
          r"does not appear to have a file named|No such file or directory: '[^']*config\.json'|"
          r"Invalid repository ID or local directory", "model_missing",
          "The model is not there: check its name, revision or folder."),
    _rule(r"OfflineModeIsEnabled|LocalEntryNotFoundError|outgoing traffic has been disabled", "hub_offline",
          "The weights are not on this host and the hub can't be reached from it."),
    _rule(r"(contains|requires).{0,60}custom code|(option|argument).{0,3}[`']?trust_remote_code=True", "remote_code",
          "The model brings code of its own, which this portal does not run."),
    _rule(r"(address|port).{0,20} (is )?already in use|Errno 98", "port_in_use",
          "The engine's port was taken by another process; it is tried again on another port."),
    _rule(r"No space left on device|Errno 28", "disk_full", "The disk is full: free some space on this host."),
    _rule(r"Cannot allocate memory|Errno 12\b|not enough memory|std::bad_alloc|\bMemoryError\b|"
          r"larger than (the )?(available|free) (CPU )?memory", "memory",
          "The host's memory is not enough: give the profile more memory or a smaller cache."),
    _rule(r"error: (unrecognized arguments: (?P<n>[^\n]{1,200}))", "bad_argument",
          "The engine does not know these arguments: {n}"),
    _rule(r"error: (?P<n>argument [^\n]{1,200})", "bad_argument", "The engine refuses an argument: {n}"),
    _rule(r"No module named '?(?P<n>[\w.]{1,80})", "broken_release",
          "The engine's installation is broken: it lacks the module {n}."),
    _rule(r"Model architectures? \[?'?(?P<n>[\w', ]{1,120})'?\]? (are|is) not supported", "not_supported",
          "This engine release can't serve the architecture {n}."),
    _rule(r"(?:pydantic_core\S*ValidationError|ValueError|AssertionError|RuntimeError|NotImplementedError|OSError): "
          r"(?!Engine core initialization failed)(?P<n>[^\n]{3,300})", "error", "The engine failed: {n}"),
)


def explain(exit_code: int | None, log: str) -> Why:
    """The cause of an engine's end by its last lines, else by its exit code."""
    # A warning may quote an error that never happened ("this can cause errors like ...").
    told = "\n".join(line for line in log.splitlines() if not WARNING.search(line))
    for rule in RULES:
        if found := rule.pattern.search(told):
            values = {"n": (found.groupdict().get("n") or "").strip()}
            return Why(rule.code, rule.sentence.format(**values)[:900])
    if exit_code in (137, -9):
        return Why("killed", "The engine was killed, most likely because the host ran out of memory.")
    if exit_code == 2:
        return Why("bad_argument", "The engine refuses its arguments.")
    if exit_code is None:
        return Why("ended", "The engine ended while no agent was watching.")
    return Why("ended", f"The engine ended with exit code {exit_code}.")


_SHARDS = re.compile(r"Loading (?:safetensors|pt) checkpoint shards:\s+(\d{1,3})%")
_STEPS = (
    ("Starting vLLM server on", "Opening its port"),
    ("init engine (profile, create kv cache, warmup model) took", "Opening its port"),
    ("Graph capturing finished in", "Warming up"),
    ("Capturing CUDA graph", "Recording graphs"),
    ("KV cache size:", "Warming up"),
    ("Available KV cache memory", "Preparing the cache"),
    ("Model loading took", "Preparing the cache"),
    ("Loading weights took", "Preparing the cache"),
    ("checkpoint shards", "Loading the weights"),
    ("Starting to load model", "Loading the weights"),
    ("Time spent downloading weights", "Loading the weights"),
)


def progress(log: str) -> str:
    """How far loading is, by the log, in words for people; "" before the model is touched."""
    for mark, words in _STEPS:
        if mark in log:
            shards = _SHARDS.findall(log) if words == "Loading the weights" else []
            return f"{words}: {shards[-1]} %" if shards else words
    return ""
