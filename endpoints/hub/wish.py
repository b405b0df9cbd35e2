"""From the hub's deploy form to a wish in the portal's words. Pure; what can't be kept is refused with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from models_catalog.choices import ArtifactKind, EngineKind
from models_catalog.locations import check_location
from portal.tenancy.errors import Invalid
from portal.tenancy.text import external_name, slug_of

from .schemas import HYPERPOD, NOT_FINE_TUNED, DeployIn, HyperPodConfig

ENGINES: dict[str, EngineKind] = {
    "auto": EngineKind.VLLM, "vllm": EngineKind.VLLM, "sglang": EngineKind.SGLANG, "scheduler": EngineKind.LMI,
    "lmi-dist": EngineKind.LMI, "trt-llm": EngineKind.LMI,
}
# The hub's `extra_params` under each engine's own names; what an engine has no argument for is refused.
ARGUMENTS: dict[EngineKind, dict[str, str]] = {
    EngineKind.VLLM: {
        "max_model_len": "max-model-len", "tensor_parallel_size": "tensor-parallel-size", "max_num_seqs": "max-num-seqs",
        "limit_mm_per_prompt": "limit-mm-per-prompt", "enable_prefix_caching": "enable-prefix-caching",
        "enforce_eager": "enforce-eager", "tool_call_parser": "tool-call-parser", "dtype": "dtype",
    },
    EngineKind.SGLANG: {
        "max_model_len": "context-length", "tensor_parallel_size": "tensor-parallel-size",
        "max_num_seqs": "max-running-requests", "tool_call_parser": "tool-call-parser",
        "mem_fraction_static": "mem-fraction-static", "dtype": "dtype", "enforce_eager": "disable-cuda-graph",
    },
    EngineKind.LMI: {
        "max_model_len": "max-model-len", "tensor_parallel_size": "tensor-parallel-size",
        "max_num_seqs": "max-num-seqs", "enable_prefix_caching": "enable-prefix-caching", "dtype": "dtype",
    },
}
# These say where or what, and not how the engine runs.
NO_ARGUMENTS = ("endpoint_name", "instance_count", "s3_model_path", "trust_remote_code", "chat_template")
TENSOR, QUANTISATION = "tensor-parallel-size", "quantization"
NAME_CHARS = 50
# How a model that was made for a fine-tuned job remembers it, in its sources.
JOB = "job:"


@dataclass(frozen=True)
class HubWish:
    """What a deploy call asks for, without the place and the machine's figures."""

    name: str
    engine: EngineKind
    artifact_kind: ArtifactKind
    location: str
    replicas: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    autoscale: Mapping[str, Any] = field(default_factory=dict)
    model_name: str = ""
    job: str = ""

    @property
    def gpus(self) -> int:
        """GPUs of a replica, once `with_gpus` has settled them."""
        found: int = self.arguments.get(TENSOR, 1)
        return found


def read(data: DeployIn, uid: UUID) -> HubWish:
    """`uid` is that of the endpoint yet to be made. Raises Invalid with the hub's own field name."""
    _refuse_what_is_not_done(data)
    engine = ENGINES[data.engine]
    kind, location = source_of(data)
    on_hyperpod = data.deployment_target == HYPERPOD
    config = data.hyperpod_config or HyperPodConfig()
    name = name_of(data, location, engine)
    # Of the account, where others may have endpoints of the same name.
    registered = external_name(name, uid)
    return HubWish(
        name=name, engine=engine, artifact_kind=kind, location=location,
        replicas=config.replicas if on_hyperpod else data.extra.instance_count or 1, arguments=arguments_of(data, engine),
        options=hyperpod_options(data, config, registered) if on_hyperpod else {"InstanceType": data.instance_type},
        autoscale=autoscale_of(config, registered) if on_hyperpod else {}, model_name=data.model_name,
        job="" if data.job_id == NOT_FINE_TUNED else data.job_id)


def _refuse_what_is_not_done(data: DeployIn) -> None:
    """Settings of the hub that would be dangerous, or dropped without a word."""
    config, extra = data.hyperpod_config or HyperPodConfig(), data.extra
    if data.engine == "trt-llm":
        _refuse("engine", _("The portal has no container with TensorRT-LLM: send “vllm”, or “lmi-dist” for an LMI container, "
                            "which runs vLLM."))
    if extra.trust_remote_code:
        _refuse("extra_params.trust_remote_code", _("The portal runs no code that a model brings."))
    if extra.chat_template:
        _refuse("extra_params.chat_template", _("A template of chats comes with the model's own files here."))
    if data.enable_lora:
        _refuse("enable_lora", _("Merge the adapter into the weights and name their path."))
    if data.cust_repo_addr:
        _refuse("cust_repo_addr", _("Put the model on the portal's shelf, or name its path in S3."))
    if config.use_public_alb:
        _refuse("hyperpod_config.use_public_alb", _("Endpoints are called through the portal's gateway, with its keys and "
                                                    "limits; none of them is opened to the internet beside it."))
    if config.enable_api_key and config.api_key_source != "auto":
        _refuse("hyperpod_config.api_key_source", _("Engines get a key of the portal's own making, which callers never see: "
                                                    "they use the portal's API keys. Send “auto”."))


def _refuse(name: str, message: str) -> None:
    raise Invalid(message, field=name)


def source_of(data: DeployIn) -> tuple[ArtifactKind, str]:
    """The weights: the path in S3 where one is given, else the hub's model. A fine-tuned job's path must be given.

    The portal runs no training, so it can't look up what a job has written: such as
    ``s3://bucket/job/finetuned_model_merged/``.
    """
    path = data.extra.s3_model_path
    if path:
        return ArtifactKind.S3, _located(ArtifactKind.S3, path, "extra_params.s3_model_path")
    if data.job_id not in ("", NOT_FINE_TUNED):
        _refuse("extra_params.s3_model_path", _(
            "Name the path of the job's merged model, such as s3://bucket/job/finetuned_model_merged/: the portal runs no "
            "training and can't look it up."))
    if not data.model_name:
        _refuse("model_name", _("Name a model of the Hugging Face hub, or a path in extra_params.s3_model_path."))
    return ArtifactKind.HUGGING_FACE, _located(ArtifactKind.HUGGING_FACE, data.model_name, "model_name")


def _located(kind: ArtifactKind, text: str, name: str) -> str:
    try:
        return check_location(kind, text)
    except Invalid as error:
        raise Invalid(error.message, field=name) from error


def name_of(data: DeployIn, location: str, engine: EngineKind) -> str:
    """The name that was sent, else as the hub makes it: llama-3-8b-vllm-hp."""
    if data.extra.endpoint_name:
        return slug_of(data.extra.endpoint_name)[:NAME_CHARS].rstrip("-")
    end = f"-{engine}{'-hp' if data.deployment_target == HYPERPOD else ''}"
    model = (data.model_name or location).rstrip("/").rpartition("/")[2]
    return f"{slug_of(model)[:NAME_CHARS - len(end)].rstrip('-')}{end}"


def arguments_of(data: DeployIn, engine: EngineKind) -> dict[str, Any]:
    known, found = ARGUMENTS[engine], {}
    for name, value in data.extra.model_dump(exclude_none=True, exclude=set(NO_ARGUMENTS)).items():
        if name not in known:
            _refuse(f"extra_params.{name}", _("%(engine)s has no such argument.") % {"engine": engine.label})
        found[known[name]] = value
    if "tool-call-parser" in found and engine == EngineKind.VLLM:
        found["enable-auto-tool-choice"] = True
    if data.quantize:
        found[QUANTISATION] = data.quantize
    return found


def hyperpod_options(data: DeployIn, config: HyperPodConfig, registered: str) -> dict[str, Any]:
    """In the names of the InferenceEndpointConfig. CloudWatch knows calls only by a SageMaker endpoint's name."""
    options: dict[str, Any] = {"instanceType": data.instance_type}
    if config.enable_autoscaling:
        options["endpointName"] = registered
    if config.enable_kv_cache:
        options["kvCacheSpec"] = _kv_cache(config)
    if config.enable_intelligent_routing:
        options["intelligentRoutingSpec"] = {"enabled": True, "routingStrategy": config.routing_strategy}
    return options


def _kv_cache(config: HyperPodConfig) -> dict[str, Any]:
    spec: dict[str, Any] = {"enableL1Cache": config.enable_l1_cache, "enableL2Cache": config.enable_l2_cache}
    if config.enable_l2_cache:
        url = {"l2CacheLocalUrl": config.l2_cache_url} if config.l2_cache_url else {}
        spec["l2CacheSpec"] = {"l2CacheBackend": config.kv_cache_backend, **url}
    return spec


def autoscale_of(config: HyperPodConfig, registered: str) -> dict[str, Any]:
    """By calls a minute, as CloudWatch counts them for the SageMaker endpoint."""
    if not config.enable_autoscaling:
        return {}
    metadata = {
        "namespace": "AWS/SageMaker", "metricName": config.autoscaling_metric,
        "dimensions": f"EndpointName={registered},VariantName=AllTraffic", "targetValue": f"{config.autoscaling_target:g}",
        "metricCollectionPeriod": str(config.metric_collection_period),
    }
    return {"min_replicas": config.min_replicas, "max_replicas": config.max_replicas,
            "cooldown_seconds": config.cooldown_period, "triggers": [{"type": "aws-cloudwatch", "metadata": metadata}]}
