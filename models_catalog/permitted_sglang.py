"""Which options of SGLang a person may set; its names and meanings differ from vLLM's.

Left out for the same reasons as there: what names code, files, addresses, other models or secrets
(`trust-remote-code`, `json-model-override-args`, `custom-weight-loader`, `forward-hooks`, `enable-custom-logit-processor`,
which runs code out of requests, every `*-path`), what the portal sets itself, and what writes requests to logs and disks.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from .permitted import MANY, TOKENS, Permit

_ATTENTION = ("triton", "torch_native", "flex_attention", "nsa", "cutlass_mla", "fa3", "fa4", "flashinfer", "flashmla",
              "trtllm_mla", "trtllm_mha", "dual_chunk_flash_attn", "intel_amx")
_MOE = ("auto", "deep_gemm", "triton", "triton_kernel", "flashinfer_trtllm", "flashinfer_cutlass", "flashinfer_mxfp4",
        "flashinfer_cutedsl", "cutlass")

SGLANG: dict[str, Permit] = {
    # what is served
    "dtype": Permit(_("Number format of the weights while they compute.")),
    "quantization": Permit(_("Method of a quantised repository. Empty: as the repository says.")),
    "context-length": Permit(_("Longest prompt and answer together, in tokens."), low=1, high=TOKENS),
    "is-embedding": Permit(_("Make a text model give vectors.")),
    "random-seed": Permit(_("Seed of the random numbers."), low=0, high=2**32 - 1),
    "tokenizer-mode": Permit(_("Which tokenizer reads the text."), choices=("auto", "slow")),
    "load-format": Permit(_("Format of the weights; formats that can hold code are left out."),
                          choices=("auto", "safetensors")),
    "model-impl": Permit(_("Which code base computes the model."), choices=("auto", "sglang", "transformers")),
    "sampling-defaults": Permit(_("Whose defaults requests get that name none.")),
    "enable-multimodal": Permit(_("Take pictures, where the model can.")),
    # how it computes
    "attention-backend": Permit(_("Which kernels compute attention."), choices=_ATTENTION),
    "prefill-attention-backend": Permit(_("Which kernels compute attention over prompts."), choices=_ATTENTION),
    "decode-attention-backend": Permit(_("Which kernels compute attention for new tokens."), choices=_ATTENTION),
    "sampling-backend": Permit(_("Which kernels choose the next token."), choices=("flashinfer", "pytorch")),
    "moe-runner-backend": Permit(_("Which kernels compute experts."), choices=_MOE),
    "enable-flashinfer-autotune": Permit(_("Try kernels at start and keep the fastest.")),
    "disable-cuda-graph": Permit(_("Without graphs: starts sooner, answers more slowly.")),
    "disable-cuda-graph-padding": Permit(_("Use graphs only where the batch fits one exactly.")),
    "cuda-graph-max-bs": Permit(_("Largest batch to record as a graph."), low=1, high=MANY),
    "cuda-graph-bs": Permit(_("Batch sizes to record as graphs."), low=1, high=MANY),
    "enable-torch-compile": Permit(_("Compile the model at start: slower to start, quicker after.")),
    "torch-compile-max-bs": Permit(_("Largest batch to compile for."), low=1, high=MANY),
    "disable-overlap-schedule": Permit(_("Don't plan the next step while the last one computes.")),
    "enable-deterministic-inference": Permit(_("Give the same answer whatever else is in the batch.")),
    "enable-fp32-lm-head": Permit(_("Compute the last layer in 32 bits.")),
    # over several GPUs
    "tensor-parallel-size": Permit(_("GPUs that share each layer."), low=1, high=64),
    "pipeline-parallel-size": Permit(_("Groups of GPUs that share the layers in turn."), low=1, high=64),
    "data-parallel-size": Permit(_("Copies of the model in one replica."), low=1, high=64),
    "expert-parallel-size": Permit(_("GPUs that share the experts."), low=1, high=64),
    "enable-dp-attention": Permit(_("Each GPU attends to its own requests; experts are shared.")),
    "load-balance-method": Permit(_("Which copy gets the next request.")),
    "enable-eplb": Permit(_("Balance experts over the GPUs as they are used.")),
    "moe-dense-tp-size": Permit(_("GPUs that share the layers without experts."), low=1, high=64),
    "disable-custom-all-reduce": Permit(_("Use the plain way to add up over GPUs.")),
    "enable-p2p-check": Permit(_("Test at start whether GPUs reach each other's memory.")),
    "dist-timeout": Permit(_("How long GPUs wait for each other, in seconds."), low=1, high=86_400),
    # memory
    "mem-fraction-static": Permit(_("Share of each GPU's memory for weights and cache."), low=0.05, high=1),
    "max-total-tokens": Permit(_("Tokens in the cache, in place of what fits."), low=1, high=2**40),
    "kv-cache-dtype": Permit(_("Number format of the cache; 8 bits hold twice the tokens.")),
    "page-size": Permit(_("Tokens in a block of the cache."), low=1, high=1024),
    "disable-radix-cache": Permit(_("Don't keep the cache of common beginnings.")),
    "radix-eviction-policy": Permit(_("Which common beginnings are dropped first.")),
    "swa-full-tokens-ratio": Permit(_("Cache of layers that look at a window, as a share of the others'."), low=0, high=1),
    "cpu-offload-gb": Permit(_("Weights of each GPU to keep in the host's memory, in GiB."), low=0, high=4096),
    "enable-hierarchical-cache": Permit(_("Keep cache that left the GPUs in the host's memory.")),
    "hicache-ratio": Permit(_("Host memory for the cache, in times of the GPUs' share."), low=1, high=100),
    "hicache-size": Permit(_("Host memory for the cache of each GPU, in GB; 0: by the ratio."), low=0, high=16_384),
    "hicache-write-policy": Permit(_("When cache is copied to the host's memory.")),
    "mamba-ssm-dtype": Permit(_("Number format of the recurrent part of linear layers.")),
    "mamba-full-memory-ratio": Permit(_("Memory of linear layers, in times of the others' cache."), low=0.01, high=100),
    # scheduling
    "max-running-requests": Permit(_("Sequences computed at once."), low=1, high=MANY),
    "max-queued-requests": Permit(_("Requests that may wait; more are refused."), low=1, high=1_000_000),
    "max-prefill-tokens": Permit(_("Tokens of prompts computed in one step."), low=1, high=TOKENS),
    "chunked-prefill-size": Permit(_("Read long prompts in parts of so many tokens; -1: don't."), low=-1, high=TOKENS),
    "enable-mixed-chunk": Permit(_("Read prompts and write answers in the same step.")),
    "schedule-policy": Permit(_("Who comes first.")),
    "schedule-conservativeness": Permit(_("Higher: fewer requests at once, fewer of them put back."), low=0.01, high=10),
    "enable-priority-scheduling": Permit(_("Order requests by the priority that they name.")),
    "stream-interval": Permit(_("Tokens in each chunk of a stream."), low=1, high=1024),
    "num-continuous-decode-steps": Permit(_("Steps between two looks at waiting requests."), low=1, high=64),
    "watchdog-timeout": Permit(_("Seconds for a step, after which the engine ends itself."), low=1, high=86_400),
    "allow-auto-truncate": Permit(_("Cut prompts that are too long instead of refusing them.")),
    # guesses ahead; methods that need a second model are left out
    "speculative-algorithm": Permit(_("How the next tokens are guessed."), choices=("NGRAM", "NEXTN", "EAGLE")),
    "speculative-num-steps": Permit(_("Steps of guessing before a check."), low=1, high=64),
    "speculative-eagle-topk": Permit(_("Guesses kept in each step."), low=1, high=64),
    "speculative-num-draft-tokens": Permit(_("Tokens to guess ahead."), low=1, high=256),
    # pictures and sound
    "mm-attention-backend": Permit(_("Which kernels compute the picture part."), choices=("sdpa", "fa3", "triton_attn")),
    "mm-max-concurrent-calls": Permit(_("Pictures prepared at once."), low=1, high=1024),
    "mm-per-request-timeout": Permit(_("Seconds to prepare the pictures of a request."), low=1, high=3600),
    "disable-fast-image-processor": Permit(_("Prepare pictures the slow way.")),
    # adapters
    "enable-lora": Permit(_("Take LoRA adapters.")),
    "max-loras-per-batch": Permit(_("Adapters in one batch."), low=1, high=1024),
    "max-lora-rank": Permit(_("Largest rank of an adapter."), low=1, high=512),
    "max-loaded-loras": Permit(_("Adapters kept in the host's memory."), low=1, high=10_000),
    # answers
    "tool-call-parser": Permit(_("How the model writes tool calls.")),
    "reasoning-parser": Permit(_("How the model marks its thinking.")),
    "grammar-backend": Permit(_("How answers are held to a schema.")),
    "enable-cache-report": Permit(_("Say how many tokens of the prompt came from the cache.")),
}
