"""From an engine's last lines to the cause in one sentence: what went wrong and what to do.

Plain Python like the messages: the agent uses it for engines on hosts, the portal for logs of pods, so that a line
is understood alike everywhere. Texts are those of vLLM 0.8 to 0.32, SGLang, PyTorch and the Hugging Face libraries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Why:
    """`code` is stable and can be translated by whoever shows it; `sentence` is the English of it."""

    code: str
    sentence: str


@dataclass(frozen=True)
class Rule:
    """`code` is one of clusters.states.EngineCause; `name` tells apart what needs a different next step."""

    pattern: re.Pattern[str]
    code: str
    sentence: str
    name: str


@dataclass(frozen=True)
class Match:
    """A rule that fits, the figures that it found, and the line that shows it."""

    rule: Rule
    figures: dict[str, str]
    line: str

    @property
    def sentence(self) -> str:
        return self.rule.sentence.format(**self.figures)


def _rule(pattern: str, code: str, sentence: str, name: str = "") -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), code, sentence, name or code)


WARNING = re.compile(r"\bWARNING \d\d-\d\d ")
# The first that matches wins: from the particular to the general.
RULES = (
    _rule(r"max seq len \((?P<asked>\d+)\)[^\n]{0,40}?(?P<needs>[\d.]+) GiB KV cache is needed[^\n]{0,80}?memory "
          r"\((?P<has>[\d.]+) GiB\)[^\n]{0,80}?estimated maximum model length is (?P<n>\d+)", "context_too_long",
          "The context of {asked} needs {needs} GiB of cache and {has} GiB are left: set max-model-len to {n} or less.",
          "context_needs"),
    _rule(r"estimated maximum model length is (?P<n>\d+)", "context_too_long",
          "The context is too long for the memory left for the cache: set max-model-len to {n} or less."),
    _rule(r"larger than the available KV cache memory|max seq len.{0,80}KV cache", "context_too_long",
          "The context is too long for the memory left for the cache: set a smaller max-model-len.", "context_unmeasured"),
    _rule(r"User-specified max_model_len \((?P<n>\d+)\) is greater than the derived max_model_len \([^\d\n]{0,60}"
          r"(?P<most>\d+)", "bad_argument",
          "The model knows {most} tokens of context and {n} are asked for: set max-model-len to {most} or less.",
          "context_unknown"),
    _rule(r"No available memory for the cache blocks", "no_cache_memory",
          "The weights leave no memory for the cache: allow more memory, use more GPUs or a quantised model."),
    _rule(r"Free memory on device [^\n(]{0,20}\((?P<free>[\d.]+)/(?P<all>[\d.]+) GiB\)", "gpu_in_use",
          "Another process holds memory of the GPU, {free} of {all} GiB are free: free the GPU or lower "
          "gpu-memory-utilization.", "gpu_in_use_by"),
    _rule(r"Free memory on device", "gpu_in_use",
          "Another process holds memory of the GPU: free the GPU or lower gpu-memory-utilization."),
    _rule(r"(?:CUDA|HIP) out of memory\. Tried to allocate (?P<asked>[\d.]+ [KMG]iB)[^\n]{0,120}?total capacity of "
          r"(?P<all>[\d.]+ [KMG]iB) of which (?P<free>[\d.]+ [KMG]iB) is free", "gpu_memory",
          "The GPU ran out of memory: {asked} more were needed, {free} of {all} were free. Use more GPUs, a smaller "
          "context or a quantised model.", "gpu_memory_sum"),
    _rule(r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|HIP out of memory|increase --mem-fraction-static",
          "gpu_memory", "The GPU ran out of memory: use more GPUs, a smaller context or a quantised model."),
    _rule(r"World size \((?P<n>\d+)\) is larger than the number of available GPUs(?: \((?P<has>\d+)\))?", "too_few_gpus",
          "The arguments ask for {n} GPUs, and fewer are here: lower tensor-parallel-size."),
    _rule(r"attention heads \((?P<heads>\d+)\) must be divisible by tensor parallel size \((?P<n>\d+)\)", "bad_argument",
          "The model's {heads} attention heads can't be shared by {n} GPUs: choose a tensor-parallel-size that divides "
          "{heads}.", "heads"),
    _rule(r"quantization method (?P<method>[\w-]{1,40}) is not supported for the current GPU\. Minimum capability: "
          r"(?P<least>\d+)\. Current capability: (?P<has>\d+)", "not_supported",
          "The quantisation {method} needs a GPU of compute capability {least}, this one has {has}: choose a newer GPU "
          "or another quantisation.", "quantisation_capability"),
    _rule(r"Bfloat16 is only supported on GPUs with compute capability of at least (?P<least>[\d.]+)\. Your "
          r"(?P<gpu>[^\n]{1,80}?) (?:GPU )?has compute capability (?P<has>[\d.]+)", "not_supported",
          "The GPU {gpu} has no bfloat16: set dtype to half.", "bfloat16"),
    _rule(r"no kernel image is available for execution on the device|sm_\d+ is not compatible|"
          r"(?:requires|needs) (?:a )?(?:GPU with )?compute capability", "not_supported",
          "This engine was not built for this GPU: choose a newer GPU or another release.", "capability"),
    _rule(r"Quantization method specified in the model config \((?P<has>[\w-]{1,40})\) does not match[^\n]{0,80}?"
          r"\((?P<n>[\w-]{1,40})\)", "bad_argument",
          "The weights are quantised with {has}, and {n} is asked for: take the argument quantization away.",
          "quantisation_other"),
    _rule(r"Cannot find the config file for (?P<n>[\w-]{1,40})", "bad_argument",
          "The weights are not quantised with {n}: take the argument quantization away or choose other weights.",
          "quantisation_none"),
    _rule(r"(?:Unknown quantization method|Invalid quantization)[^\n]{0,20}?(?P<n>[\w-]{1,40})|"
          r"(?P<dtype>torch\.\w+) is not supported for quantization", "bad_argument",
          "The engine does not know this quantisation or type of numbers: change the argument.", "quantisation_unknown"),
    _rule(r"CUDA driver version is insufficient|driver on your system is too old|forward compatibility was attempted",
          "not_supported", "The GPU's driver is too old for this engine: update the driver or choose an older release.",
          "driver_old"),
    _rule(r"Failed to infer device type|No CUDA GPUs are available|Found no NVIDIA driver|libcuda\.so\.1|NVMLError|"
          r"NVML Shared Library Not Found|no CUDA-capable device is detected|Torch not compiled with CUDA", "not_supported",
          "The engine finds no GPU: choose a CPU release, or a machine with a GPU and its driver.", "no_device"),
    _rule(r"uncorrectable ECC error|CUDA error: (?P<n>an illegal memory access|hardware stack error|unspecified launch "
          r"failure|misaligned address)|Xid \(", "error",
          "The GPU reported a fault: look at its health, then retry on another one.", "gpu_fault"),
    _rule(r"ncclUnhandled\w+|ncclSystemError|ncclInternalError|ncclRemoteError|NCCL error|collective operation timeout",
          "error", "The GPUs can't talk to each other (NCCL): check the network between the nodes and /dev/shm.", "nccl"),
    _rule(r"VLLM_PORT '.*' appears to be a URI", "bad_environment",
          "The variable VLLM_PORT holds an address: a service named “vllm” sets it; rename the service."),
    _rule(r"gated repo|GatedRepoError|access to model .{0,200} is restricted|(?P<status>401|403) Client Error", "gated",
          "The hub refuses this model: accept its licence and give the portal a token that may read it."),
    _rule(r"429 Client Error|Too Many Requests for url", "hub_offline",
          "The hub limits how much may be read: wait, give a token, or load the weights beforehand.", "hub_limit"),
    _rule(r"SafetensorError|Error while deserializing header|MetadataIncompleteBuffer|InvalidHeaderDeserialization|"
          r"file not fully covered|PytorchStreamReader failed", "model_missing",
          "A file of the weights is incomplete: load the weights again.", "incomplete"),
    _rule(r"Cannot find any model weights with", "model_missing",
          "The folder holds no weights that the engine reads: check the artifact's folder and format.", "no_weights"),
    _rule(r"Can't load tokenizer for|Couldn't instantiate the backend tokenizer|Tokenizer class (?P<n>\w{1,80}) does not "
          r"exist|Failed to load the tokenizer|data did not match any variant of untagged enum", "model_missing",
          "The tokenizer can't be read: check the model's files, or choose a newer engine release.", "tokenizer"),
    _rule(r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier|"
          r"not a valid model identifier|Repository Not Found|RevisionNotFoundError|HFValidationError|"
          r"does not appear to have a file named|No such file or directory: '[^']*config\.json'|"
          r"Invalid repository ID or local directory", "model_missing",
          "The model is not there: check its name, revision or folder."),
    _rule(r"OfflineModeIsEnabled|LocalEntryNotFoundError|outgoing traffic has been disabled|couldn't connect to 'https?://|"
          r"Failed to resolve '[\w.-]*(?:huggingface|hf|modelscope)|Temporary failure in name resolution", "hub_offline",
          "The weights are not on this host and the hub can't be reached from it."),
    _rule(r"(contains|requires).{0,60}custom code|(option|argument).{0,3}[`']?trust_remote_code=True", "remote_code",
          "The model brings code of its own, which this portal does not run."),
    _rule(r"(address|port).{0,20} (is )?already in use|Errno 98", "port_in_use",
          "The engine's port was taken by another process; it is tried again on another port."),
    _rule(r"No space left on device|Errno 28|Disk quota exceeded", "disk_full",
          "The disk is full: free some space on this host."),
    _rule(r"Cannot allocate memory|Errno 12\b|not enough memory|std::bad_alloc|\bMemoryError\b|"
          r"larger than (the )?(available|free) (CPU )?memory", "memory",
          "The host's memory is not enough: give the profile more memory or a smaller cache."),
    _rule(r"error: unrecognized arguments: [^\n]{0,160}(?P<n>--device)\b", "bad_argument",
          "This engine release has no {n} any more, the release itself decides: take the argument away.", "device_flag"),
    _rule(r"error: (unrecognized arguments: (?P<n>[^\n]{1,200}))", "bad_argument",
          "The engine does not know these arguments: {n}", "unknown_argument"),
    _rule(r"error: (?P<n>argument [^\n]{1,200})", "bad_argument", "The engine refuses an argument: {n}"),
    _rule(r"No module named '?(?P<n>[\w.]{1,80})", "broken_release",
          "The engine's installation is broken: it lacks the module {n}."),
    _rule(r"Model architectures? \[?'?(?P<n>[\w', ]{1,120}?)'?\]? (are|is) not supported|"
          r"model type `(?P<type>[\w.-]{1,60})` but Transformers does not recognize", "not_supported",
          "This engine release can't serve the architecture {n}{type}."),
    _rule(r"Timed out waiting for engine core processes|Engine core process failed to start", "error",
          "The engine's own time to start ran out: give it longer, or look for what slowed it.", "engine_timeout"),
    _rule(r"(?:pydantic_core\S*ValidationError|ValueError|AssertionError|RuntimeError|NotImplementedError|OSError): "
          r"(?!Engine core initialization failed)(?P<n>[^\n]{3,300})", "error", "The engine failed: {n}"),
)


def told(log: str) -> str:
    """The log without warnings: one may quote an error that never happened ("this can cause errors like ...")."""
    return "\n".join(line for line in log.splitlines() if not WARNING.search(line))


def find(log: str) -> Match | None:
    """The first rule that fits an engine's last lines."""
    text = told(log)
    for rule in RULES:
        if found := rule.pattern.search(text):
            figures = {name: (value or "").strip() for name, value in found.groupdict().items()}
            begin = text.rfind("\n", 0, found.start()) + 1
            return Match(rule, {"n": "", "type": "", **figures}, text[begin:].split("\n", 1)[0].strip())
    return None


def explain(exit_code: int | None, log: str) -> Why:
    """The cause of an engine's end by its last lines, else by its exit code."""
    if match := find(log):
        return Why(match.rule.code, match.sentence[:900])
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
