"""Which options of vLLM a person may set, what they mean, and where their values end; SGLang's own are beside it.

An option that is not here is not permitted, whatever the engine's own parser says: an allow-list survives
a new release of the engine. Left out on purpose: whatever names code, files, addresses or secrets
(`trust-remote-code`, `hf-overrides`, `chat-template`, `worker-cls`, `api-key`, …), what the portal sets
itself (`model`, `host`, `port`, `served-model-name`), and what would hide the engine from the portal
(`disable-log-stats`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# A member of an object: flag, integer or number, or the words that it may be.
Member = str | tuple[str, ...]


@dataclass(frozen=True)
class Permit:
    """`low` and `high` bound numbers, both included; `keys` are an object's members with type or choices."""

    help: str | Promise
    low: float | None = None
    high: float | None = None
    keys: Mapping[str, Member] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def narrowed(self, choices: Iterable[str]) -> list[str]:
        """The engine's own choices that we permit too, or our own where the engine names none."""
        named = [text for text in choices if text not in self.without]
        return [text for text in named if text in self.choices or not self.choices] if named else list(self.choices)


TOKENS, MANY = 16_777_216, 65_536

PERMITTED: dict[str, Permit] = {
    # what is served
    "dtype": Permit(_("Number format of the weights while they compute.")),
    "quantization": Permit(_("Method of a quantised repository. Empty: as the repository says.")),
    "max-model-len": Permit(_("Longest prompt and answer together, in tokens."), low=1, high=TOKENS),
    "runner": Permit(_("Whether the model writes text or gives vectors and scores."), without=("draft",)),
    "convert": Permit(_("Make a text model give vectors or classes.")),
    "seed": Permit(_("Seed of the random numbers."), low=0, high=2**32 - 1),
    "tokenizer-mode": Permit(_("Which tokenizer reads the text."), choices=("auto", "hf", "slow", "mistral")),
    "config-format": Permit(_("In which format the repository holds its settings."), choices=("auto", "hf", "mistral")),
    "load-format": Permit(_("Format of the weights; formats that can hold code are left out."),
                          choices=("auto", "safetensors", "mistral")),
    "model-impl": Permit(_("Which code base computes the model."), choices=("auto", "vllm", "transformers")),
    "override-generation-config": Permit(
        _("Defaults for requests that don't name them."),
        low=0, high=TOKENS, keys={"temperature": "number", "top_p": "number", "top_k": "integer", "min_p": "number",
                                  "repetition_penalty": "number", "max_new_tokens": "integer"}),
    "max-logprobs": Permit(_("Most log probabilities that a request may ask for."), low=0, high=1000),
    "logprobs-mode": Permit(_("Which log probabilities a request gets.")),
    "pooler-config": Permit(_("How vectors are made from a model's states."),
                            low=1, high=MANY, keys={
                                "pooling_type": ("CLS", "LAST", "MEAN", "ALL", "STEP"),
                                "seq_pooling_type": ("CLS", "LAST", "MEAN"), "tok_pooling_type": ("ALL", "STEP"),
                                "use_activation": "flag", "dimensions": "integer",
                                "enable_chunked_processing": "flag", "max_embed_len": "integer"}),
    # how it computes
    "enforce-eager": Permit(_("Without graphs: starts sooner, answers more slowly.")),
    "optimization-level": Permit(_("How much time to spend on compiling."), choices=("0", "1", "2", "3")),
    "performance-mode": Permit(_("Whether to favour many requests or quick ones.")),
    "disable-sliding-window": Permit(_("Attend to all tokens in layers that look at a window.")),
    "disable-cascade-attn": Permit(_("Don't share attention over a common prefix.")),
    "attention-backend": Permit(
        _("Which kernels compute attention."),
        choices=("FLASH_ATTN", "FLASHINFER", "TRITON_ATTN", "FLEX_ATTENTION", "FLASHMLA", "CUTLASS_MLA", "CPU_ATTN")),
    "moe-backend": Permit(_("Which kernels compute experts.")),
    "linear-backend": Permit(_("Which kernels compute matrix products.")),
    "enable-flashinfer-autotune": Permit(_("Try kernels at start and keep the fastest.")),
    "async-scheduling": Permit(_("Plan the next step while the last one computes.")),
    "cudagraph-capture-sizes": Permit(_("Batch sizes to record as graphs."), low=1, high=MANY),
    "max-cudagraph-capture-size": Permit(_("Largest batch to record as a graph."), low=0, high=MANY),
    # over several GPUs
    "tensor-parallel-size": Permit(_("GPUs that share each layer."), low=1, high=64),
    "pipeline-parallel-size": Permit(_("Groups of GPUs that share the layers in turn."), low=1, high=64),
    "data-parallel-size": Permit(_("Copies of the model in one replica."), low=1, high=64),
    "decode-context-parallel-size": Permit(_("GPUs that share the cache of one sequence."), low=1, high=64),
    "enable-expert-parallel": Permit(_("Share experts, not layers, over the GPUs.")),
    "enable-eplb": Permit(_("Balance experts over the GPUs as they are used.")),
    "disable-custom-all-reduce": Permit(_("Use the plain way to add up over GPUs.")),
    "distributed-executor-backend": Permit(_("How the worker processes are run."), choices=("mp", "uni")),
    "distributed-timeout-seconds": Permit(_("How long GPUs wait for each other, in seconds."), low=1, high=86_400),
    # memory
    "gpu-memory-utilization": Permit(_("Share of each GPU's memory that the engine may take."), low=0.05, high=1),
    "kv-cache-memory-bytes": Permit(_("Memory for the cache on each GPU, in bytes."), low=1, high=2**44),
    "kv-cache-dtype": Permit(_("Number format of the cache; 8 bits hold twice the tokens.")),
    "block-size": Permit(_("Tokens in a block of the cache."), low=1, high=1024),
    "enable-prefix-caching": Permit(_("Keep the cache of common beginnings.")),
    "prefix-caching-hash-algo": Permit(_("How common beginnings are recognised.")),
    "cpu-offload-gb": Permit(_("Weights of each GPU to keep in the host's memory, in GiB."), low=0, high=4096),
    "kv-offloading-size": Permit(_("Host memory for cache that left the GPUs, in GiB."), low=0, high=16_384),
    "mamba-cache-dtype": Permit(_("Number format of the fixed states of linear layers.")),
    "mamba-ssm-cache-dtype": Permit(_("Number format of the recurrent part of linear layers.")),
    "enable-sleep-mode": Permit(_("Let the engine give its memory back while it rests.")),
    "safetensors-load-strategy": Permit(_("How weights come from the disk."),
                                        choices=("lazy", "eager", "prefetch", "torchao")),
    # scheduling
    "max-num-seqs": Permit(_("Sequences computed at once."), low=1, high=MANY),
    "max-num-batched-tokens": Permit(_("Tokens computed in one step."), low=1, high=TOKENS),
    "max-num-queued-reqs": Permit(_("Requests that may wait; more are refused."), low=1, high=1_000_000),
    "max-num-queued-tokens": Permit(_("Tokens that may wait; more are refused."), low=1, high=2**40),
    "long-prefill-token-threshold": Permit(_("From how many tokens a prompt counts as long."), low=0, high=TOKENS),
    "enable-chunked-prefill": Permit(_("Read long prompts in parts between answers.")),
    "scheduling-policy": Permit(_("First come first served, or by priority.")),
    "stream-interval": Permit(_("Tokens in each chunk of a stream."), low=1, high=1024),
    "shutdown-timeout": Permit(_("Seconds that running requests get when the engine stops."), low=0, high=3600),
    # guesses ahead
    "spec-method": Permit(_("How the next tokens are guessed."),
                          without=("None", "custom_class", "draft_model", "extract_hidden_states")),
    "spec-tokens": Permit(_("Tokens to guess ahead."), low=1, high=64),
    # pictures and sound
    "limit-mm-per-prompt": Permit(_("Most pictures, videos or sounds in a request."),
                                  keys=dict.fromkeys(("image", "video", "audio"), "integer"),
                                  low=0, high=10_000),
    "language-model-only": Permit(_("Leave the picture part of the model out.")),
    "mm-processor-cache-gb": Permit(_("Memory for prepared pictures, in GiB."), low=0, high=1024),
    "mm-encoder-tp-mode": Permit(_("How GPUs share the picture part.")),
    "skip-mm-profiling": Permit(_("Don't measure the picture part at start.")),
    "interleave-mm-strings": Permit(_("Keep pictures where they stand in the text.")),
    # adapters
    "enable-lora": Permit(_("Take LoRA adapters.")),
    "max-loras": Permit(_("Adapters in one batch."), low=1, high=1024),
    "max-lora-rank": Permit(_("Largest rank of an adapter."), low=1, high=512),
    "max-cpu-loras": Permit(_("Adapters kept in the host's memory."), low=1, high=10_000),
    # answers
    "enable-auto-tool-choice": Permit(_("Let the model decide when to call a tool.")),
    "tool-call-parser": Permit(_("How the model writes tool calls.")),
    "reasoning-parser": Permit(_("How the model marks its thinking.")),
    "chat-template-content-format": Permit(_("How the parts of a message reach the template.")),
    "structured-outputs-config": Permit(
        _("How answers are held to a schema."), keys={
            "backend": ("auto", "xgrammar", "guidance", "outlines", "lm-format-enforcer")}),
    "enable-prompt-tokens-details": Permit(_("Say how many tokens of the prompt came from the cache.")),
    "enable-force-include-usage": Permit(_("Send the usage with every stream.")),
}


@dataclass(frozen=True)
class Variable:
    """An environment variable that a person may set; `pattern` must match the whole value."""

    help: str | Promise
    pattern: str


_SWITCH, _COUNT, _SECONDS = r"[01]", r"[0-9]{1,6}", r"[1-9][0-9]{0,5}"

ENVIRONMENT: dict[str, Variable] = {
    "DO_NOT_TRACK": Variable(_("1: send no usage figures."), _SWITCH),
    "HF_HUB_OFFLINE": Variable(_("1: take weights from this host only."), _SWITCH),
    "HF_HUB_DOWNLOAD_TIMEOUT": Variable(_("Seconds to wait for the hub."), _SECONDS),
    "NCCL_DEBUG": Variable(_("How much GPUs say about their connections."), "VERSION|WARN|INFO"),
    "OMP_NUM_THREADS": Variable(_("Threads of a CPU engine."), r"[1-9][0-9]{0,3}"),
    "TOKENIZERS_PARALLELISM": Variable(_("Whether tokenizers use several threads."), "true|false"),
    "TRANSFORMERS_OFFLINE": Variable(_("1: take settings from this host only."), _SWITCH),
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": Variable(_("1: allow a longer context than the model was made for."), _SWITCH),
    "VLLM_CPU_INT4_W4A8": Variable(_("1: use 8-bit activations for 4-bit weights on CPUs."), _SWITCH),
    "VLLM_CPU_KVCACHE_SPACE": Variable(_("Memory for the cache of a CPU engine, in GiB."), r"[1-9][0-9]{0,3}"),
    "VLLM_CPU_NUM_OF_RESERVED_CPU": Variable(_("CPUs that a CPU engine leaves alone."), r"[0-9]{1,3}"),
    "VLLM_CPU_OMP_THREADS_BIND": Variable(_("CPUs of each worker, such as 0-15|16-31."),
                                          r"auto|nobind|[0-9][0-9,|-]{0,200}"),
    "VLLM_CPU_SGL_KERNEL": Variable(_("1: use small-batch kernels on CPUs."), _SWITCH),
    "VLLM_ENGINE_READY_TIMEOUT_S": Variable(_("Seconds that the engine may take to load."), _SECONDS),
    "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": Variable(_("Seconds that one step may take."), _SECONDS),
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": Variable(_("Seconds that an idle connection stays open."), _COUNT),
    "VLLM_LOGGING_LEVEL": Variable(_("How much the engine writes to its log."), "DEBUG|INFO|WARNING|ERROR"),
    "VLLM_NO_USAGE_STATS": Variable(_("1: send no usage figures."), _SWITCH),
    "VLLM_PP_LAYER_PARTITION": Variable(_("Layers of each pipeline stage, such as 16,16."),
                                        r"[0-9]{1,4}(,[0-9]{1,4}){0,63}"),
    "VLLM_WORKER_MULTIPROC_METHOD": Variable(_("How worker processes are made."), "fork|spawn"),
}


def bounds(permit: Permit) -> dict[str, Any]:
    """The parts of a permit that belong into a table of options, as JSON."""
    values: dict[str, Any] = {}
    if permit.low is not None or permit.high is not None:
        values["range"] = [permit.low, permit.high]
    if permit.keys:
        values["keys"] = {name: kind if isinstance(kind, str) else list(kind) for name, kind in permit.keys.items()}
    return values
