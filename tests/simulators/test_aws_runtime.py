"""Calls of endpoints in the simulator: through boto3, to a real engine behind them."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError, HTTPClientError
from urllib3.exceptions import ProtocolError

from tests.simulators.aws.server import AwsSimulator
from tests.simulators.openai_backend import OpenAIBackend

ROLE = "arn:aws:iam::123456789012:role/endpoints"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as backend:
        yield backend


@pytest.fixture
def runtime(aws_sim: AwsSimulator) -> Any:
    """A client, with an endpoint `chat` that two variants serve."""
    aws_sim.clock.freeze()
    client = aws_sim.client("sagemaker")
    client.create_model(ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "vllm:1"})
    variants = [{"VariantName": name, "ModelName": "model", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1,
                 "InitialVariantWeight": weight} for name, weight in (("blue", 1), ("green", 0))]  # fmt: skip
    client.create_endpoint_config(EndpointConfigName="config", ProductionVariants=variants)
    client.create_endpoint(EndpointName="chat", EndpointConfigName="config")
    aws_sim.clock.advance(60)
    return aws_sim.client("sagemaker-runtime")


def call(runtime: Any, body: dict[str, Any] | None = None, **more: Any) -> Any:
    return runtime.invoke_endpoint(EndpointName="chat", ContentType="application/json", Body=json.dumps(body or CHAT), **more)


def stream(runtime: Any) -> Generator[bytes]:
    """The parts of a stream; its connection is closed however it ends."""
    with closing(begin(runtime)) as body:
        for event in body:
            yield event["PayloadPart"]["Bytes"]


def begin(runtime: Any) -> Any:
    return runtime.invoke_endpoint_with_response_stream(
        EndpointName="chat", ContentType="application/json", Body=json.dumps({**CHAT, "stream": True}))["Body"]


def refusal(error: ClientError) -> tuple[str, str]:
    return error.response["Error"]["Code"], error.response["Error"]["Message"]


def test_a_call_reaches_the_engine_and_nothing_of_the_caller_does(
    aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend
) -> None:
    aws_sim.runtime.upstreams["chat"] = engine.url
    found = call(runtime)
    assert json.loads(found["Body"].read())["choices"][0]["message"]["content"].startswith("word0")
    assert found["InvokedProductionVariant"] == "blue"
    seen = engine.requests[-1]
    assert (seen.path, seen.body) == ("/v1/chat/completions", CHAT)
    assert seen.header("authorization") is None
    assert not [name for name, _ in seen.headers if name.startswith("x-amz-")]
    assert aws_sim.calls("sagemaker-runtime:InvokeEndpoint")[0].access_key_id == aws_sim.keys.access_key_id


@pytest.mark.parametrize(("body", "path"), [
    ({"model": "m", "prompt": "hi"}, "/v1/completions"), ({"model": "m", "input": "hi"}, "/v1/embeddings"),
])  # fmt: skip
def test_the_body_says_which_route_is_meant(
    aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend, body: dict[str, Any], path: str
) -> None:
    aws_sim.runtime.upstreams["chat"] = engine.url
    call(runtime, body)
    assert engine.requests[-1].path == path


def test_variants_are_chosen_by_weight_or_by_name(aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend) -> None:
    aws_sim.runtime.upstreams["chat/green"] = engine.url
    assert {call(runtime)["InvokedProductionVariant"] for _ in range(5)} == {"blue"}
    assert engine.requests == []
    assert call(runtime, TargetVariant="green")["InvokedProductionVariant"] == "green"
    assert len(engine.requests) == 1
    with pytest.raises(ClientError, match="ValidationError"):
        call(runtime, TargetVariant="red")


@pytest.mark.parametrize("size", [None, 7])
def test_a_stream_comes_in_frames_as_it_is_made(
    aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend, size: int | None
) -> None:
    aws_sim.runtime.upstreams["chat"], aws_sim.runtime.frame_bytes = engine.url, size
    engine.script.delay = 0.05
    begun, first, parts = time.monotonic(), 0.0, []
    for part in stream(runtime):
        first = first or time.monotonic() - begun
        parts.append(part)
    text = b"".join(parts).decode()
    assert text.count("data: ") == 6
    assert text.endswith("data: [DONE]\n\n")
    assert first < (time.monotonic() - begun) / 2
    assert size is None or max(map(len, parts)) == size


@pytest.mark.parametrize("error", ["ModelStreamError", "InternalStreamFailure"])
def test_a_stream_may_end_with_an_error(
    aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend, error: str
) -> None:
    aws_sim.runtime.upstreams["chat"] = engine.url
    aws_sim.runtime.break_stream("chat", after=2, error=error)
    parts = stream(runtime)
    assert next(parts)
    assert next(parts)
    with pytest.raises(EventStreamError) as caught:
        next(parts)
    assert refusal(caught.value)[0] == error
    assert list(stream(runtime))


def test_a_stream_may_just_break(aws_sim: AwsSimulator, runtime: Any) -> None:
    aws_sim.runtime.break_stream(after=1, error="")
    with pytest.raises((HTTPClientError, ProtocolError)):
        list(stream(runtime))


def test_an_engine_that_dies_in_the_middle_ends_the_stream(
    aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend
) -> None:
    aws_sim.runtime.upstreams["chat"] = engine.url
    engine.script.cut_after = 2
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        list(stream(runtime))


def test_a_client_that_goes_ends_the_engines_work(aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend) -> None:
    aws_sim.runtime.upstreams["chat"] = engine.url
    engine.script.words, engine.script.delay = 500, 0.02
    parts = stream(runtime)
    next(parts)
    parts.close()
    until = time.monotonic() + 10
    while engine.open_requests and time.monotonic() < until:
        time.sleep(0.05)
    assert engine.open_requests == 0


def test_what_the_engine_refuses_is_a_model_error(aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend) -> None:
    aws_sim.runtime.upstreams["chat"] = engine.url
    engine.script.status, engine.script.body = 400, b'{"error":"too long"}'
    for ask in (call, begin):
        with pytest.raises(ClientError) as caught:
            ask(runtime)
        code, message = refusal(caught.value)
        assert code == "ModelError"
        assert 'Received client error (400) from primary with message "{"error":"too long"}"' in message
        assert caught.value.response["OriginalStatusCode"] == 400
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_an_engine_that_says_nothing_is_given_up(aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend) -> None:
    aws_sim.runtime.upstreams["chat"], aws_sim.runtime.timeout = engine.url, 0.2
    engine.script.delay = 3
    with pytest.raises(ClientError, match="invocation timed out"):
        call(runtime)
    engine.script.delay, engine.script.die_before_answer = 0, 1
    with pytest.raises(ClientError, match="could not get a response"):
        call(runtime)


def test_only_endpoints_that_serve_are_found(aws_sim: AwsSimulator, runtime: Any) -> None:
    client = aws_sim.client("sagemaker")
    client.update_endpoint(EndpointName="chat", EndpointConfigName="config")
    assert call(runtime)
    aws_sim.clock.advance(60)
    client.delete_endpoint(EndpointName="chat")
    with pytest.raises(ClientError) as caught:
        call(runtime)
    assert refusal(caught.value) == ("ValidationError", "Endpoint chat of account 123456789012 not found.")


def read(s3: Any, location: str) -> bytes:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_an_asynchronous_call_goes_by_way_of_s3(aws_sim: AwsSimulator, runtime: Any, engine: OpenAIBackend) -> None:
    client, s3 = aws_sim.client("sagemaker"), aws_sim.client("s3")
    s3.create_bucket(Bucket="answers")
    s3.put_object(Bucket="answers", Key="in/1.json", Body=json.dumps(CHAT))
    variant = {"VariantName": "all", "ModelName": "model", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}
    client.create_endpoint_config(
        EndpointConfigName="later", ProductionVariants=[variant],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://answers/out", "S3FailurePath": "s3://answers/bad/"}})
    client.create_endpoint(EndpointName="later", EndpointConfigName="later")
    aws_sim.clock.advance(60)
    aws_sim.runtime.upstreams["later"] = engine.url
    asked = {"EndpointName": "later", "InputLocation": "s3://answers/in/1.json", "ContentType": "application/json"}
    done = runtime.invoke_endpoint_async(**asked, InferenceId="mine")
    assert (done["InferenceId"], done["ResponseMetadata"]["HTTPStatusCode"]) == ("mine", 202)
    aws_sim.runtime.wait()
    assert json.loads(read(s3, done["OutputLocation"]))["choices"]
    engine.script.status, engine.script.body = 500, b"out of memory"
    failed = runtime.invoke_endpoint_async(**asked)
    aws_sim.runtime.wait()
    assert failed["FailureLocation"].startswith("s3://answers/bad/")
    assert read(s3, failed["FailureLocation"]) == b"out of memory"
    with pytest.raises(ClientError, match="NoSuchKey"):
        read(s3, failed["OutputLocation"])
    with pytest.raises(ClientError, match="not an asynchronous endpoint"):
        runtime.invoke_endpoint_async(**{**asked, "EndpointName": "chat"})
