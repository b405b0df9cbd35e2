"""Endpoints of SageMaker, played, and the gateway's rows that name them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from openai import OpenAI

from clusters.models import AwsAccount
from tests.aws import BUCKET, make_aws_account
from tests.gateway.server import Tenant
from tests.simulators.aws.messages import Request
from tests.simulators.aws.server import REGION, AwsSimulator
from tests.simulators.openai_backend import OpenAIBackend

ROLE = "arn:aws:iam::123456789012:role/endpoints"


@dataclass
class Rig:
    """Makes endpoints whose container is `engine`."""

    sim: AwsSimulator
    tenant: Tenant
    engine: OpenAIBackend

    def serve(self, name: str, account: AwsAccount | None = None, *, component: str = "", query: str = "",
              **config: Any) -> OpenAI:
        """An endpoint in SageMaker and in the portal; a client once the gateway knows it."""
        account = account or self.account()
        self.make(name, is_shared=bool(component), **config)
        self.sim.runtime.upstreams[name] = self.engine.url
        url = f"sagemaker://{account.uid.hex}/{REGION}/{name}"
        self.tenant.endpoint(name, url + (f"/{component}" if component else "") + query)
        return self.tenant.wait_for(name)

    def account(self, **values: Any) -> AwsAccount:
        return make_aws_account(self.sim, self.tenant.workspace.slug, **values)

    def make(self, name: str, *, is_shared: bool = False, **config: Any) -> None:
        self.sim.clock.freeze()
        client = self.sim.client("sagemaker")
        client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "vllm:1"})
        model = {} if is_shared else {"ModelName": name}
        role = {"ExecutionRoleArn": ROLE} if is_shared else {}
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
            {"VariantName": "all", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1, **model}], **role, **config)
        client.create_endpoint(EndpointName=name, EndpointConfigName=name)
        self.sim.clock.advance(60)

    def add_component(self, endpoint: str, name: str, copies: int) -> None:
        self.sim.client("sagemaker").create_inference_component(
            InferenceComponentName=name, EndpointName=endpoint, VariantName="all", RuntimeConfig={"CopyCount": copies},
            Specification={"ModelName": endpoint, "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024}})
        self.sim.clock.advance(60)

    def serve_by_s3(self, name: str, **paths: str) -> OpenAI:
        """An asynchronous one, with its bucket."""
        self.sim.client("s3").create_bucket(Bucket=BUCKET)
        output = {"S3OutputPath": f"s3://{BUCKET}/answers", "S3FailurePath": f"s3://{BUCKET}/failures", **paths}
        return self.serve(name, query=f"?async={BUCKET}", AsyncInferenceConfig={"OutputConfig": output})

    def objects(self) -> list[str]:
        return [each["Key"] for each in self.sim.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@contextmanager
def recorded(sim: AwsSimulator) -> Iterator[list[Request]]:
    """Every request that AWS gets meanwhile, with the values of its headers."""
    seen: list[Request] = []
    server = sim._server
    original = server.answer

    def answer(request: Request) -> Any:
        seen.append(request)
        return original(request)

    server.answer = answer
    try:
        yield seen
    finally:
        server.answer = original
