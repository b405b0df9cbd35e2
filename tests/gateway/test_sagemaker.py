"""Calls to endpoints of SageMaker, from the openai client to the container: whole, streamed, refused and cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest

from clusters.drivers import aws as aws_door
from clusters.states import SignIn
from endpoints.gateway.aws.address import place_in
from endpoints.gateway.aws.lender import Lender, Lent
from endpoints.gateway.aws.runtime import RuntimeReplica
from endpoints.gateway.config import Config
from endpoints.gateway.replica import Request
from tests.gateway.sagemaker_rig import Rig, recorded
from tests.gateway.server import Server, Tenant, eventually, running_server
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.openai_backend import OpenAIBackend

HELLO: Any = [{"role": "user", "content": "Hello"}]
MINE = {"cookie": "session=1", "x-amzn-sagemaker-target-variant": "other", "x-amz-security-token": "mine",
        "x-amzn-sagemaker-custom-attributes": "mine"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_portal: Path, aws_server: AwsSimulator) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("aws"), empty_portal, PORTAL_AWS_ENDPOINT=aws_server.url) as running:
        yield running


@pytest.fixture
def engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as running:
        yield running


@pytest.fixture
def sage(aws_sim: AwsSimulator, tenant: Tenant, engine: OpenAIBackend) -> Rig:
    return Rig(aws_sim, tenant, engine)


def chat(client: openai.OpenAI, model: str = "chat", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=HELLO, **more)


def stream_lines(sage: Rig, key: str) -> list[str]:
    body = {"model": "chat", "messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{sage.tenant.server.url}/v1/chat/completions", json=body,
                      headers={"authorization": f"Bearer {key}"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        return [line for line in answer.iter_lines() if line]


def test_a_whole_answer(sage: Rig) -> None:
    answer = chat(sage.serve("chat"))
    assert answer.choices[0].message.content == "word0 word1 word2 word3 word4"
    assert answer.usage.total_tokens == 12
    assert sage.engine.requests[-1].body["model"] == "chat"
    assert [call.path for call in sage.sim.calls("sagemaker-runtime:InvokeEndpoint")] == ["/endpoints/chat/invocations"]


@pytest.mark.parametrize("frame_bytes", [None, 7])
def test_a_stream_comes_out_of_its_frames_wherever_they_cut_it(sage: Rig, frame_bytes: int | None) -> None:
    client = sage.serve("chat")
    sage.sim.runtime.frame_bytes = frame_bytes
    chunks = list(chat(client, stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "word0 word1 word2 word3 word4 "
    assert all(chunk.usage is None for chunk in chunks)
    assert sage.engine.requests[-1].body["stream_options"] == {"include_usage": True}
    assert stream_lines(sage, client.api_key)[-1] == "data: [DONE]"


def test_usage_of_streams_is_passed_and_booked(sage: Rig) -> None:
    client = sage.serve("chat")
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True},
                       extra_headers={"x-request-id": "find-me-in-the-log"}))
    assert chunks[-1].usage.completion_tokens == 5
    log = sage.tenant.server
    line = eventually(lambda: next((line for line in log.log.splitlines() if "find-me-in-the-log" in line), ""))
    assert '"prompt_tokens":7,"completion_tokens":5' in line


def test_events_come_as_the_container_sends_them(sage: Rig) -> None:
    client = sage.serve("chat")
    sage.engine.script.delay, sage.engine.script.words = 0.3, 4
    times = [time.monotonic() for _chunk in chat(client, stream=True)]
    assert times[-1] - times[0] > 0.6


def test_other_routes_go_by_the_shape_of_their_bodies(sage: Rig) -> None:
    client = sage.serve("chat")
    assert client.completions.create(model="chat", prompt="a").choices[0].text.startswith("word0")
    answer = client.embeddings.create(model="chat", input="a", encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5, 1.0]
    with pytest.raises(openai.BadRequestError, match="/v1/chat/completions") as refusal:
        client.responses.create(model="chat", input="a")
    assert refusal.value.code == "not_supported"


def test_connections_and_credentials_are_used_again(sage: Rig) -> None:
    account = sage.account(sign_in=SignIn.ROLE, external_id="of-the-portal")
    client = sage.serve("chat", account)
    for number in range(10):
        answer = chat(client, stream=number % 2 == 0)
        if number % 2 == 0:
            list(answer)
    assert len(sage.sim.calls("sts:AssumeRole")) == 1
    assert {call.access_key_id[:4] for call in sage.sim.requests if call.service == "sagemaker-runtime"} == {"ASIA"}


def test_a_component_is_named_and_one_without_copies_is_being_started(sage: Rig) -> None:
    client = sage.serve("shared", component="part")
    sage.add_component("shared", "part", 1)
    assert chat(client, "shared").choices
    sage.sim.client("sagemaker").update_inference_component_runtime_config(
        InferenceComponentName="part", DesiredRuntimeConfig={"CopyCount": 0})
    sage.sim.clock.advance(60)
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as refusal:
            chat(client, "shared", stream=stream)
        assert (refusal.value.status_code, refusal.value.code) == (503, "model_not_ready")
        assert refusal.value.response.headers["retry-after"] == "30"


@pytest.mark.parametrize("error", ["ModelStreamError", "InternalStreamFailure", ""])
def test_a_stream_that_breaks_ends_with_an_error_and_without_done(sage: Rig, error: str) -> None:
    client = sage.serve("chat")
    sage.engine.script.delay = 0.05
    sage.sim.runtime.break_stream("chat", after=2, error=error)
    lines = stream_lines(sage, client.api_key)
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["type"] == "upstream_interrupted"
    assert len(lines) == 3
    assert not any("[DONE]" in line for line in lines)
    sage.sim.runtime.break_stream("chat", after=2, error=error)
    with pytest.raises(openai.APIError, match="middle of the answer"):
        list(chat(client, stream=True))


def test_a_caller_that_hangs_up_stops_the_container_within_a_second(sage: Rig) -> None:
    client = sage.serve("chat")
    sage.engine.script.delay, sage.engine.script.words = 0.05, 400
    body = json.dumps({"model": "chat", "messages": HELLO, "stream": True}).encode()
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client.api_key}\r\n"
               f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body
    with socket.create_connection(("127.0.0.1", sage.tenant.server.port)) as caller:
        caller.sendall(request)
        eventually(lambda: sage.engine.open_requests == 1)
        caller.recv(100)
    hung_up = time.monotonic()
    eventually(lambda: sage.engine.requests[0].hung_up_at)
    assert (sage.engine.requests[0].hung_up_at or 0) - hung_up < 1


def test_throttling_is_told_with_a_time_to_come_again(sage: Rig) -> None:
    client = sage.serve("chat")
    throttling = sage.sim.faults.throttle(operations=["sagemaker-runtime:*"])
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as refusal:
            chat(client, stream=stream)
        assert refusal.value.response.headers["retry-after"] == "2"
    throttling.remove()
    assert chat(client).choices


def test_a_refusal_of_the_container_keeps_status_and_words(sage: Rig) -> None:
    client = sage.serve("chat")
    sage.engine.script.status = 400
    sage.engine.script.body = json.dumps({"error": {"message": "too long by 7", "type": "BadRequestError", "param": None,
                                                    "code": 400}}).encode()
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="too long by 7") as refusal:
            chat(client, stream=stream)
        assert "123456789012" not in refusal.value.response.text


def test_a_status_that_http_has_no_class_for_is_an_error_of_the_engine(sage: Rig) -> None:
    client = sage.serve("chat")
    sage.engine.script.status = 799
    with pytest.raises(openai.InternalServerError) as refusal:
        chat(client)
    assert refusal.value.status_code == 502


def test_a_container_that_takes_too_long_is_an_error_504_that_says_why(sage: Rig) -> None:
    client = sage.serve("chat")
    sage.engine.script.delay, sage.sim.runtime.timeout = 5, 0.3
    with pytest.raises(openai.InternalServerError, match="Ask for a stream") as refusal:
        chat(client)
    assert refusal.value.status_code == 504


def test_an_endpoint_that_is_gone_is_an_error_of_ours_without_aws_own_words(sage: Rig) -> None:
    client = sage.serve("chat")
    sage.sim.client("sagemaker").delete_endpoint(EndpointName="chat")
    sage.sim.clock.advance(60)
    with pytest.raises(openai.InternalServerError) as refusal:
        chat(client)
    assert (refusal.value.status_code, refusal.value.code) == (502, "upstream_unavailable")
    assert "123456789012" not in refusal.value.response.text
    assert "123456789012" in eventually(lambda: sage.tenant.server.log), "the operator's log keeps them"


ASK = Request("/v1/chat/completions", b"", json.dumps({"model": "chat", "messages": HELLO}).encode())


def test_a_session_that_has_ended_is_replaced_before_the_caller_notices(
    sage: Rig, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aws_door, "ANEW_SECONDS", 0.0)  # sessions younger than a minute are not begun anew
    account = sage.account(sign_in=SignIn.ROLE)
    sage.make("chat")
    door = aws_door.aws_for(account)

    async def ask_three_times() -> None:
        lender = Lender(lambda _account, fresh: Lent(door.credentials(fresh=fresh), time.time() + 60))
        replica = RuntimeReplica(place_in(f"sagemaker://{account.uid.hex}/us-east-1/chat"), Config(), lender)
        for sessions in (1, 1, 2):
            if sessions == 2:
                sage.sim.identities.expire_sessions()
            exchange = await replica.exchange(ASK, fresh=False)
            assert b"hello there" in exchange.first
            exchange.end()
            assert len(sage.sim.calls("sts:AssumeRole")) == sessions
        assert replica.outstanding == 0
        replica.close_idle()
        lender.close()

    asyncio.run(ask_three_times())


async def test_a_caller_that_hangs_up_before_the_answer_closes_the_line_to_aws(settings: Any) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    settings.PORTAL_AWS_ENDPOINT = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    keys = aws_door.Credentials("AKIAEXAMPLE", "secret")
    lender = Lender(lambda _account, _fresh: Lent(keys, time.time() + 60))
    replica = RuntimeReplica(place_in(f"sagemaker://{'0' * 32}/us-east-1/chat"), Config(), lender)
    caller = asyncio.create_task(replica.exchange(ASK, fresh=False))
    await came.wait()
    caller.cancel()
    await asyncio.wait_for(gone.wait(), 1)
    assert replica.outstanding == 0
    lender.close()
    server.close()


def test_keys_that_were_taken_away_are_an_error_and_make_no_storm(sage: Rig) -> None:
    client = sage.serve("chat")
    sage.sim.identities.remove(sage.sim.keys.access_key_id)
    for _ in range(4):
        with pytest.raises(openai.InternalServerError, match="refused the portal") as refusal:
            chat(client)
        assert refusal.value.status_code == 502
    assert len(sage.sim.calls("sagemaker-runtime:")) <= 5


def test_neither_side_learns_the_others_secrets(sage: Rig, engine: OpenAIBackend, second_engine: OpenAIBackend) -> None:
    """The tenant's key stays here, the account's credentials go to AWS only, and then as signatures."""
    account = sage.account(sign_in=SignIn.ROLE)
    client = sage.serve("chat", account)
    sage.tenant.endpoint("plain", second_engine.url, token="engine-token")
    sage.tenant.wait_for("plain")
    with recorded(sage.sim) as by_aws:
        answers = [repr(client.chat.completions.with_raw_response.create(
            model=model, messages=HELLO, stream=stream, extra_headers=MINE).headers)
            for model in ("chat", "plain") for stream in (False, True)]
    key = client.api_key.split("-", 2)[2]
    calls = [request for request in by_aws if request.path.startswith("/endpoints/")]
    assert len(calls) == 2
    for request in calls:
        assert set(request.headers) == {"host", "content-type", "content-length", "authorization", "x-amz-date",
                                        "x-amz-security-token"}
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIA")
    token, secret = calls[0].headers["x-amz-security-token"], sage.sim.keys.secret_access_key
    at_aws = "".join(map(repr, by_aws))
    at_engines = "".join(map(repr, engine.requests + second_engine.requests))
    at_tenants = "".join(answers) + sage.tenant.server.log
    assert key not in at_aws + at_engines + sage.tenant.server.log
    assert secret not in at_aws + at_engines + at_tenants
    assert token not in at_engines + at_tenants
    assert "AWS4-HMAC-SHA256" not in at_engines + at_tenants
    assert "x-amz" not in at_engines + "".join(answers)


# By S3


def test_an_asynchronous_endpoint_answers_by_s3_and_leaves_nothing_there(sage: Rig) -> None:
    client = sage.serve_by_s3("slow")
    sage.engine.script.delay = 0.5
    answer = chat(client, "slow")
    assert answer.choices[0].message.content == "word0 word1 word2 word3 word4"
    assert answer.usage.total_tokens == 12
    eventually(lambda: sage.objects() == [])


def test_an_answer_is_waited_for_while_s3_asks_for_fewer_calls(sage: Rig) -> None:
    client = sage.serve_by_s3("slow")
    fault = sage.sim.faults.throttle(times=6, operations=("s3:GetObject",))  # more than the door repeats
    assert chat(client, "slow").usage.total_tokens == 12
    assert fault.met == 6
    eventually(lambda: sage.objects() == [])


def test_a_failure_in_s3_is_the_engines_refusal(sage: Rig) -> None:
    client = sage.serve_by_s3("slow")
    sage.engine.script.status = 400
    sage.engine.script.body = b'{"error": {"message": "too long by 7", "type": "BadRequestError", "code": 400}}'
    with pytest.raises(openai.InternalServerError, match="too long by 7") as refusal:
        chat(client, "slow")
    assert refusal.value.status_code == 502
    eventually(lambda: sage.objects() == [])


def test_an_asynchronous_endpoint_can_not_stream(sage: Rig) -> None:
    client = sage.serve_by_s3("slow")
    with pytest.raises(openai.BadRequestError, match="can't stream") as refusal:
        chat(client, "slow", stream=True)
    assert refusal.value.param == "stream"
    assert sage.objects() == []


@pytest.mark.slow
def test_an_answer_that_never_comes_is_an_error_504_and_its_call_is_taken_back(sage: Rig) -> None:
    client = sage.serve_by_s3("slow")
    sage.engine.script.delay = 12  # the gateway of these tests waits 8 s
    with pytest.raises(openai.InternalServerError) as refusal:
        chat(client, "slow")
    assert refusal.value.status_code == 504
    eventually(lambda: not any("calls" in key for key in sage.objects()))


def test_what_aws_refuses_of_an_asynchronous_call_is_said(sage: Rig) -> None:
    client = sage.serve_by_s3("slow")
    sage.sim.faults.refuse("s3:PutObject")
    with pytest.raises(openai.InternalServerError) as refusal:
        chat(client, "slow")
    assert refusal.value.status_code == 502
    assert "arn:" not in refusal.value.response.text
