"""Bodies and answers under the hub's own names. Input is closed: what the portal can't keep is refused, never ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

from portal.tenancy.schemas import Closed

# What a client sends as `job_id` where there was no fine-tuning.
NOT_FINE_TUNED = "N/A(Not finetuned)"
SAGEMAKER, HYPERPOD = "sagemaker", "hyperpod"
Short = Annotated[str, StringConstraints(max_length=200)]
Count = Annotated[int, Field(ge=0, le=64, strict=True)]
Seconds = Annotated[int, Field(ge=0, le=86_400, strict=True)]


class HyperPodConfig(Closed):
    """`hyperpod_config`, with the hub's defaults."""

    replicas: Annotated[int, Field(ge=1, le=64, strict=True)] = 1
    namespace: Short = "default"
    enable_autoscaling: bool = False
    min_replicas: Count = 1
    max_replicas: Count = 10
    autoscaling_metric: Short = "Invocations"
    autoscaling_target: Annotated[float, Field(gt=0)] = 100
    metric_collection_period: Seconds = 60
    cooldown_period: Seconds = 300
    enable_kv_cache: bool = False
    enable_l1_cache: bool = True
    enable_l2_cache: bool = True
    kv_cache_backend: Literal["tieredstorage", "redis"] = "tieredstorage"
    l2_cache_url: Short | None = None
    enable_intelligent_routing: bool = False
    routing_strategy: Literal["prefixaware", "kvaware", "session", "roundrobin"] = "prefixaware"
    use_public_alb: bool = False
    enable_api_key: bool = False
    api_key_source: Literal["auto", "custom", "secrets_manager"] = "auto"
    custom_api_key: Short | None = None
    secrets_manager_secret_name: Short | None = None


class ExtraParams(Closed):
    """`extra_params`: engine arguments, and where the weights lie."""

    max_model_len: int | Short | None = None
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64, strict=True)] | None = None
    max_num_seqs: int | None = None
    limit_mm_per_prompt: dict[str, int] | Short | None = None
    enable_prefix_caching: bool | None = None
    enforce_eager: bool | None = None
    tool_call_parser: Short | None = None
    mem_fraction_static: Annotated[float, Field(gt=0, le=1)] | None = None
    chat_template: Short | None = None
    dtype: Short | None = None
    trust_remote_code: bool | None = None
    endpoint_name: Short | None = None
    instance_count: Annotated[int, Field(ge=1, le=64, strict=True)] | None = None
    s3_model_path: Annotated[str, StringConstraints(max_length=500)] | None = None


class DeployIn(Closed):
    """`POST /v1/deploy_endpoint`; the form data of document 000, section 1."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    job_id: Short = NOT_FINE_TUNED
    model_name: Short = ""
    engine: Literal["vllm", "sglang", "scheduler", "auto", "lmi-dist", "trt-llm"]
    instance_type: Annotated[str, StringConstraints(pattern=r"^ml\.[a-z0-9-]{1,20}\.[a-z0-9]{1,20}$")]
    quantize: Short = ""
    enable_lora: bool = False
    cust_repo_type: Short = ""
    cust_repo_addr: Short = ""
    extra_params: ExtraParams | None = None
    deployment_target: Literal["sagemaker", "hyperpod"] = "sagemaker"
    hyperpod_cluster_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    hyperpod_config: HyperPodConfig | None = None

    @property
    def extra(self) -> ExtraParams:
        return self.extra_params or ExtraParams()


class EndpointIn(Closed):
    endpoint_name: Short


class ClusterIn(Closed):
    cluster_id: Annotated[str, StringConstraints(max_length=256)]


class ListIn(Closed):
    """`query_terms` narrow the list, each by its exact value."""

    page_size: Annotated[int, Field(ge=1, le=200, strict=True)] = 20
    page_index: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 1
    query_terms: dict[str, Short] | None = None


class CommonOut(Schema):
    response_id: str
    response: dict[str, Any]


class EndpointOut(Schema):
    """One row of the hub's table of endpoints, document 000 section 7. `extra_config` is JSON text, as there."""

    model_config = ConfigDict(protected_namespaces=())

    job_id: str
    endpoint_name: str
    model_name: str
    engine: str
    enable_lora: bool
    instance_type: str
    instance_count: int
    model_s3_path: str
    endpoint_status: str
    endpoint_create_time: datetime
    endpoint_delete_time: datetime | None = None
    extra_config: str
    deployment_target: str
    hyperpod_cluster_id: str | None


class EndpointsOut(Schema):
    response_id: str
    endpoints: list[EndpointOut]
    total_count: int


class ClusterOut(Schema):
    cluster_id: str
    cluster_name: str
    eks_cluster_name: str
    hyperpod_cluster_arn: str | None
    cluster_status: str
    instance_groups: list[dict[str, Any]]
    cluster_create_time: datetime
    cluster_update_time: datetime | None
    error_message: str | None
    cluster_config: dict[str, Any]
    ts: int


class ClustersOut(Schema):
    response_id: str
    clusters: list[ClusterOut]
    total_count: int


class OneClusterOut(Schema):
    response_id: str
    body: ClusterOut


class NodeOut(Schema):
    instance_id: str
    instance_status: str
    instance_group_name: str
    instance_type: str | None
    private_dns_name: str | None
    is_occupied: bool
    occupied_by: str | None


class NodesOut(Schema):
    response_id: str
    nodes: list[NodeOut]
    total_count: int
