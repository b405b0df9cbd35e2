"""The door to AWS against the simulator: signing in, repeating, pausing, and to whom credentials go."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection

from clusters.drivers import aws as door
from clusters.drivers.aws import Aws, AwsError, AwsProblem, aws_for, eks_token, forget
from clusters.models import AwsAccount
from clusters.states import SignIn
from tests.aws import make_aws_account
from tests.simulators.aws.server import AwsSimulator

pytestmark = pytest.mark.django_db
ARN = "arn:aws:iam::123456789012:role/endpoints"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    for aws in [kept.aws for kept in door._kept.values()]:
        aws.close()
    door._kept.clear()


@pytest.fixture(autouse=True)
def no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has no AWS settings of its own, whoever runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
                 "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


class Hands:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def by_hand(account: AwsAccount, hands: Hands) -> Aws:
    return Aws(door._identity(account, account.region), account.secret("secret_access_key"), sleep=hands.sleep, clock=hands)


def problem_of(aws: Aws, service: str, operation: str, **params: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        aws.call(service, operation, **params)
    return caught.value


# Signing in.

def test_keys_sign_in_and_nothing_else_of_the_machine_is_used(aws_sim: AwsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_aws_account(aws_sim)
    for name, value in {"AWS_ACCESS_KEY_ID": "AKIASOMEBODYELSE0001", "AWS_SECRET_ACCESS_KEY": "x", "AWS_PROFILE": "nowhere",
                        "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1",
                        "HTTPS_PROXY": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "9"}.items():
        monkeypatch.setenv(name, value)
    assert aws_for(account).whoami() == ("123456789012", "arn:aws:iam::123456789012:user/portal")
    assert {seen.access_key_id for seen in aws_sim.requests} == {aws_sim.keys.access_key_id}


def test_a_role_is_assumed_once_with_its_external_id(aws_sim: AwsSimulator) -> None:
    account = make_aws_account(aws_sim, sign_in=SignIn.ROLE, external_id="portal-7")
    aws = aws_for(account)
    for _turn in range(5):
        aws.call("sagemaker", "list_endpoints")
    assert aws.whoami()[1].startswith("arn:aws:sts::123456789012:assumed-role/inference-portal/inference-portal-")
    [assumed] = aws_sim.calls("sts:AssumeRole")
    assert assumed.params["ExternalId"] == "portal-7"
    assert assumed.access_key_id == aws_sim.keys.access_key_id
    assert all(seen.access_key_id.startswith("ASIA") for seen in aws_sim.calls("sagemaker:ListEndpoints"))


def test_a_wrong_external_id_is_told_as_a_problem_of_signing_in(aws_sim: AwsSimulator) -> None:
    role = aws_sim.identities.add_role("theirs", external_id="right")
    account = make_aws_account(aws_sim, sign_in=SignIn.ROLE, role_arn=role.arn, external_id="wrong")
    error = problem_of(aws_for(account), "sagemaker", "list_endpoints")
    assert error.problem is AwsProblem.AUTH
    assert "external ID" in error.message
    assert aws_sim.calls("sagemaker:ListEndpoints") == []


def test_a_session_that_aws_ended_is_begun_anew_once(aws_sim: AwsSimulator) -> None:
    aws = aws_for(make_aws_account(aws_sim, sign_in=SignIn.ROLE))
    aws.call("sagemaker", "list_endpoints")
    aws_sim.identities.expire_sessions()
    aws.call("sagemaker", "list_endpoints")
    assert len(aws_sim.calls("sts:AssumeRole")) == 2


def test_a_session_is_renewed_before_it_ends(aws_sim: AwsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ROLE_SECONDS", 900)  # botocore renews what has less than fifteen minutes left
    aws = aws_for(make_aws_account(aws_sim, sign_in=SignIn.ROLE))
    for _turn in range(3):
        aws.call("sagemaker", "list_endpoints")
    assert len(aws_sim.calls("sts:AssumeRole")) >= 3
    assert {seen.status for seen in aws_sim.requests} == {200}


def test_many_threads_make_one_session(aws_sim: AwsSimulator) -> None:
    aws = aws_for(make_aws_account(aws_sim, sign_in=SignIn.ROLE))
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            aws.call("sagemaker", "list_endpoints")
        except AwsError as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert len(aws_sim.calls("sts:AssumeRole")) == 1
    assert len(aws_sim.calls("sagemaker:ListEndpoints")) == 12


def test_a_machine_signs_in_by_its_own_settings(aws_sim: AwsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws_sim.keys.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", aws_sim.keys.secret_access_key)
    other = aws_sim.identities.add_user("other")
    account = make_aws_account(aws_sim, sign_in=SignIn.MACHINE, keys=other)
    assert aws_for(account).whoami()[1].endswith(":user/portal")


def test_a_role_without_keys_is_assumed_by_the_machine(aws_sim: AwsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws_sim.keys.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", aws_sim.keys.secret_access_key)
    account = make_aws_account(aws_sim, sign_in=SignIn.ROLE)
    account.access_key_id, account.secret_access_key = "", ""
    assert "assumed-role/inference-portal" in aws_for(account).whoami()[1]


def test_a_machine_without_credentials_says_so(aws_sim: AwsSimulator) -> None:
    error = problem_of(aws_for(make_aws_account(aws_sim, sign_in=SignIn.MACHINE)), "sts", "get_caller_identity")
    assert error.problem is AwsProblem.AUTH
    assert "machine" in error.message
    assert aws_sim.requests == []


def test_a_profile_that_is_not_there_is_a_problem_of_signing_in(
    aws_sim: AwsSimulator, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nowhere")
    error = problem_of(aws_for(make_aws_account(aws_sim, sign_in=SignIn.MACHINE)), "sts", "get_caller_identity")
    assert error.problem is AwsProblem.AUTH


def test_deleted_keys_are_a_problem_of_signing_in(aws_sim: AwsSimulator) -> None:
    aws = aws_for(make_aws_account(aws_sim))
    aws_sim.identities.remove(aws_sim.keys.access_key_id)
    assert problem_of(aws, "sagemaker", "list_endpoints").problem is AwsProblem.AUTH


def test_a_missing_right_is_named(aws_sim: AwsSimulator) -> None:
    aws_sim.faults.refuse("sagemaker:ListEndpoints")
    error = problem_of(aws_for(make_aws_account(aws_sim)), "sagemaker", "list_endpoints")
    assert (error.problem, error.action) == (AwsProblem.FORBIDDEN, "sagemaker:ListEndpoints")
    assert not error.is_of_the_place


def test_an_account_is_kept_until_what_it_signs_in_with_changes(aws_sim: AwsSimulator) -> None:
    account = make_aws_account(aws_sim)
    first = aws_for(account)
    assert aws_for(AwsAccount.objects.get(pk=account.pk)) is first
    assert aws_for(account, "us-west-2") is not first
    account.put_secret("secret_access_key", "another")
    assert aws_for(account) is not first
    forget(account)
    assert door._kept == {}


def test_a_key_that_was_moved_here_from_elsewhere_is_not_used(aws_sim: AwsSimulator) -> None:
    account = make_aws_account(aws_sim)
    account.access_key_id = "AKIAOTHER00000000001"
    with pytest.raises(AwsError) as caught:
        aws_for(account)
    assert caught.value.problem is AwsProblem.AUTH


def test_regions_that_anybody_may_name_do_not_pile_up(aws_sim: AwsSimulator) -> None:
    account = make_aws_account(aws_sim)
    first = aws_for(account, "us-west-2")
    for number in range(door.MOST_KEPT + 5):
        aws_for(account, f"xx-place-{number % 100}" if number < 100 else f"xy-place-{number % 100}")
        assert aws_for(account, "us-west-2") is first
    assert len(door._kept) == door.MOST_KEPT


def test_no_region_no_call(aws_sim: AwsSimulator) -> None:
    with pytest.raises(AwsError) as caught:
        aws_for(make_aws_account(aws_sim), "evil.example/")
    assert caught.value.problem is AwsProblem.INVALID


# Repeating and pausing.

def test_throttled_calls_are_repeated_a_few_times(aws_sim: AwsSimulator) -> None:
    hands = Hands()
    aws = by_hand(make_aws_account(aws_sim), hands)
    aws_sim.faults.throttle(times=3)
    aws.call("sagemaker", "create_model", ModelName="m", ExecutionRoleArn=ARN, PrimaryContainer={"Image": "i"})
    assert len(aws_sim.calls("sagemaker:CreateModel")) == 4
    assert 0.5 < hands.now <= 1.4


def test_while_an_account_is_throttled_nothing_is_sent(aws_sim: AwsSimulator) -> None:
    hands = Hands()
    aws = by_hand(make_aws_account(aws_sim), hands)
    fault = aws_sim.faults.throttle()
    error = problem_of(aws, "sagemaker", "list_endpoints")
    assert (error.problem, error.is_of_the_place) == (AwsProblem.THROTTLED, True)
    sent = len(aws_sim.requests)
    assert sent == door.ATTEMPTS
    waited = problem_of(aws, "sagemaker", "list_endpoints")
    assert len(aws_sim.requests) == sent
    assert 0 < waited.retry_after <= 1
    hands.now += waited.retry_after
    problem_of(aws, "sagemaker", "list_endpoints")
    assert len(aws_sim.requests) == sent + door.PROBE_ATTEMPTS
    fault.remove()
    hands.now += 60
    aws.call("sagemaker", "list_endpoints")


def test_one_throttled_service_leaves_the_others_alone(aws_sim: AwsSimulator) -> None:
    aws = by_hand(make_aws_account(aws_sim), Hands())
    aws_sim.faults.throttle(operations=("sagemaker:*",))
    problem_of(aws, "sagemaker", "list_endpoints")
    assert aws.whoami()[0] == "123456789012"


def test_a_look_that_broke_is_repeated_and_a_change_is_not(aws_sim: AwsSimulator) -> None:
    aws = by_hand(make_aws_account(aws_sim), Hands())
    aws_sim.faults.drop(times=1)
    aws.call("sagemaker", "list_endpoints")
    assert len(aws_sim.requests) == 2
    aws_sim.faults.drop(times=1)
    error = problem_of(aws, "sagemaker", "create_model", ModelName="m", ExecutionRoleArn=ARN, PrimaryContainer={"Image": "i"})
    assert error.problem is AwsProblem.UNREACHABLE
    assert len(aws_sim.calls("sagemaker:CreateModel")) == 1
    assert "127.0.0.1" not in error.message


def test_nobody_listening_is_told_as_refused(aws_sim: AwsSimulator, settings: Any) -> None:
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"
    error = problem_of(by_hand(make_aws_account(aws_sim), Hands()), "sagemaker", "list_endpoints")
    assert (error.problem, "(refused)" in error.message) == (AwsProblem.UNREACHABLE, True)


def test_wrong_parameters_are_refused_before_they_are_sent_and_not_quoted(aws_sim: AwsSimulator) -> None:
    aws = aws_for(make_aws_account(aws_sim))
    error = problem_of(aws, "sagemaker", "create_model", ModelName="m", PrimaryContainer={"Environment": {"T": ["hf_canary"]}})
    assert error.problem is AwsProblem.INVALID
    assert "PrimaryContainer.Environment.T" in error.message
    assert "canary" not in str(error)
    assert aws_sim.requests == []


def test_all_pages_are_read(aws_sim: AwsSimulator) -> None:
    aws = aws_for(make_aws_account(aws_sim))
    for index in range(5):
        aws.call("sagemaker", "create_model", ModelName=f"m{index}", ExecutionRoleArn=ARN, PrimaryContainer={"Image": "i"})
    found = [one["ModelName"] for one in aws.pages("sagemaker", "list_models", "Models", MaxResults=2)]
    assert sorted(found) == [f"m{index}" for index in range(5)]
    assert len(aws_sim.calls("sagemaker:ListModels")) == 3


def deploy(aws: Aws, name: str) -> bool:
    """One look of a deployment as a target has it: everything again from the start until all is there."""
    try:
        aws.call("sagemaker", "describe_endpoint", EndpointName=name)
        return True
    except AwsError as error:
        if error.problem is not AwsProblem.NOT_FOUND:
            raise
    steps: list[tuple[str, dict[str, Any]]] = [
        ("create_model", {"ModelName": name, "ExecutionRoleArn": ARN, "PrimaryContainer": {"Image": "i"}}),
        ("create_endpoint_config", {"EndpointConfigName": name, "ProductionVariants": [
            {"VariantName": "v", "ModelName": name, "InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}]}),
        ("create_endpoint", {"EndpointName": name, "EndpointConfigName": name})]
    for operation, params in steps:
        try:
            aws.call("sagemaker", operation, **params)
        except AwsError as error:
            if error.problem is not AwsProblem.TAKEN:
                raise
    return False


def test_a_hundred_deployments_converge_while_half_of_all_calls_are_throttled(aws_sim: AwsSimulator) -> None:
    hands = Hands()
    aws = by_hand(make_aws_account(aws_sim), hands)
    aws_sim.faults.throttle(share=0.5)
    random.seed(7)
    waiting = {f"e{index}": 0.0 for index in range(100)}
    while waiting:
        name = min(waiting, key=lambda one: waiting[one])
        hands.now = max(hands.now, waiting[name])
        try:
            is_there = deploy(aws, name)
        except AwsError as error:
            if error.problem is not AwsProblem.THROTTLED:
                raise
            waiting[name] = hands.now + max(error.retry_after, 5)
        else:
            waiting[name] = hands.now + 5
            if is_there:
                del waiting[name]
    ideal = 100 * 5
    assert len(aws_sim.here().endpoints) == 100
    assert len(aws_sim.requests) <= 3 * ideal
    assert hands.now < 3600


# To whom credentials go.

def test_an_eks_token_is_made_once_in_ten_minutes_and_cluster(aws_sim: AwsSimulator) -> None:
    hands = Hands()
    aws = by_hand(make_aws_account(aws_sim, sign_in=SignIn.ROLE), hands)
    first = {eks_token(aws, "blue") for _ in range(20)}
    assert len(first) == 1
    assert eks_token(aws, "green") not in first
    hands.now += 599
    assert {eks_token(aws, "blue")} == first
    hands.now += 2
    assert aws_sim.identities.identity_of_token(eks_token(aws, "blue"), "blue") is not None
    assert len(aws_sim.calls("sts:AssumeRole")) == 1


def test_the_cluster_knows_who_made_the_token_and_no_other_cluster_takes_it(aws_sim: AwsSimulator) -> None:
    token = eks_token(aws_for(make_aws_account(aws_sim)), "blue")
    found = aws_sim.identities.identity_of_token(token, "blue")
    assert found is not None
    assert found.arn.endswith(":user/portal")
    assert aws_sim.identities.identity_of_token(token, "green") is None


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody who comes to `away`, and keeps what it was shown."""

    away = ""
    shown: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.shown.append(str(self.headers))
        self.send_response(307)
        self.send_header("location", f"{self.away}{self.path}")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None: ...


def test_a_redirect_takes_a_session_nowhere(aws_sim: AwsSimulator, settings: Any) -> None:
    handler = type("Here", (Elsewhere,), {"away": aws_sim.url, "shown": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        settings.PORTAL_AWS_ENDPOINT = f"http://127.0.0.1:{server.server_port}"
        problem_of(by_hand(make_aws_account(aws_sim), Hands()), "sagemaker", "list_endpoints")
        server.shutdown()
    assert len(handler.shown) >= 1
    assert aws_sim.keys.secret_access_key not in "".join(handler.shown)
    assert aws_sim.requests == []


def test_a_refusal_that_quotes_the_environment_is_told_without_it(aws_sim: AwsSimulator) -> None:
    """As SageMaker words a constraint that fails."""
    aws = aws_for(make_aws_account(aws_sim))
    aws_sim.faults.fail("ValidationException", "1 validation error detected: Value '{HF_TOKEN=hf_canary_token, MODE=on}' at "
                        "'primaryContainer.environment' failed", 400, operations=("sagemaker:CreateModel",))
    error = problem_of(aws, "sagemaker", "create_model", ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/x",
                       PrimaryContainer={"Image": "i", "Environment": {"HF_TOKEN": "hf_canary_token", "MODE": "on"}})
    assert "canary" not in f"{error} {error!r}"
    assert "MODE=on" in error.message


def test_no_secret_is_printed_logged_or_told(aws_sim: AwsSimulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    account = make_aws_account(aws_sim, sign_in=SignIn.ROLE, external_id="portal-7")
    aws = aws_for(account)
    made = aws.credentials()
    token = eks_token(aws, "blue")
    said = [repr(aws), repr(made), repr(account), repr(door._kept)]
    aws_sim.faults.fail("SignatureDoesNotMatch", "The canonical string was X-Amz-Signature=abc123def", 403, times=1)
    said.append(str(problem_of(aws, "sagemaker", "list_endpoints")))
    aws_sim.identities.remove(aws_sim.keys.access_key_id)
    aws_sim.identities.expire_sessions()
    said.append(str(problem_of(aws, "sagemaker", "list_endpoints")))
    hidden = [aws_sim.keys.secret_access_key, made.secret_access_key, made.session_token, token]
    everything = "\n".join([*said, *(record.getMessage() for record in caplog.records
                                     if not record.name.startswith("tests")), caplog.text])
    assert not [secret for secret in hidden if secret in everything]


def test_a_door_that_nobody_uses_costs_no_query(aws_sim: AwsSimulator, django_assert_num_queries: Any) -> None:
    account = make_aws_account(aws_sim)
    with django_assert_num_queries(0, connection=connection):
        aws_for(account).whoami()


def test_a_silent_aws_costs_two_waits_and_then_nobody_asks(aws_sim: AwsSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.drivers.aws_sdk.READ", 0.3)
    aws = by_hand(make_aws_account(aws_sim), Hands())
    aws_sim.faults.slow(1.5)
    began = time.monotonic()
    error = problem_of(aws, "sagemaker", "list_endpoints")
    assert (error.problem, "(timeout)" in error.message) == (AwsProblem.UNREACHABLE, True)
    assert time.monotonic() - began < 1.4
    sent = len(aws_sim.requests)
    assert problem_of(aws, "sagemaker", "list_endpoints").retry_after > 0
    assert len(aws_sim.requests) == sent == 2
