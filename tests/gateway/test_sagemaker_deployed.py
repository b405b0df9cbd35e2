"""From the wish to the answer: an endpoint that the portal makes in SageMaker is called by the openai client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from endpoints import services
from endpoints.models import Endpoint
from portal.tenancy.actor import Actor
from tests.aws import BUCKET, make_sagemaker_place
from tests.endpoints.sagemaker.play import INSTANCE, forget_everything, in_service, profile_for_sagemaker, until
from tests.gateway.server import Server, Tenant, eventually, running_server
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.openai_backend import OpenAIBackend

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_portal: Path, aws_server: AwsSimulator) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("aws"), empty_portal, PORTAL_AWS_ENDPOINT=aws_server.url) as running:
        yield running


@pytest.fixture
def engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as running:
        yield running


@pytest.fixture
def deployed(aws_sim: AwsSimulator, tenant: Tenant, engine: OpenAIBackend) -> Iterator[Any]:
    """Deploys with the given options, and gives the row and a client once the gateway knows it."""
    aws_sim.clock.freeze()
    forget_everything()

    def deploy(**options: Any) -> tuple[Endpoint, openai.OpenAI]:
        slug = tenant.workspace.slug
        endpoint = services.create(
            Actor(user=tenant.owner), tenant.workspace, name="chat", cluster=make_sagemaker_place(aws_sim, slug),
            profile=profile_for_sagemaker(slug), options={"InstanceType": INSTANCE, **options})
        aws_sim.runtime.upstreams[endpoint.external_name] = engine.url
        endpoint = in_service(aws_sim, endpoint)
        return endpoint, tenant.wait_for(endpoint.public_name)

    yield deploy
    forget_everything()


def test_a_deployed_endpoint_answers_and_streams_under_the_name_that_it_serves(
    deployed: Any, aws_sim: AwsSimulator, engine: OpenAIBackend,
) -> None:
    endpoint, client = deployed()
    assert client.chat.completions.create(model=endpoint.public_name, messages=HELLO).usage.total_tokens == 12
    chunks = list(client.chat.completions.create(model=endpoint.public_name, messages=HELLO, stream=True))
    assert len(chunks) == 5
    (model,) = aws_sim.here().models.values()
    environment = model.asked["PrimaryContainer"]["Environment"]
    assert environment["SM_VLLM_SERVED_MODEL_NAME"] == engine.requests[-1].body["model"] == endpoint.public_name


def test_a_component_is_called_by_its_name(deployed: Any, engine: OpenAIBackend) -> None:
    endpoint, client = deployed(InferenceComponent={})
    assert client.chat.completions.create(model=endpoint.public_name, messages=HELLO).choices
    assert len(engine.requests) == 1


def test_an_asynchronous_one_answers_and_refuses_by_s3(
    deployed: Any, aws_sim: AwsSimulator, engine: OpenAIBackend,
) -> None:
    aws_sim.client("s3").create_bucket(Bucket=BUCKET)
    endpoint, client = deployed(AsyncInferenceConfig={})
    assert client.chat.completions.create(model=endpoint.public_name, messages=HELLO).usage.total_tokens == 12
    engine.script.status, engine.script.body = 400, b'{"error": {"message": "too long by 7"}}'
    with pytest.raises(openai.InternalServerError, match="too long by 7"):
        client.chat.completions.create(model=endpoint.public_name, messages=HELLO)


def test_a_deleted_one_is_a_model_that_is_not_there(deployed: Any, aws_sim: AwsSimulator, tenant: Tenant) -> None:
    endpoint, client = deployed()
    services.delete(Actor(user=tenant.owner), endpoint)
    until(aws_sim, endpoint, lambda row: row.status == "DELETING")

    def status() -> int:
        try:
            client.chat.completions.create(model=endpoint.public_name, messages=HELLO)
        except openai.APIStatusError as error:
            return error.status_code
        return 200

    eventually(lambda: status() == 404)
