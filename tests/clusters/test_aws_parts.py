"""The pure parts of the door to AWS: errors, pauses, regions, parameters, signatures, frames."""

from __future__ import annotations

import base64
import binascii
import struct
from contextlib import ExitStack, nullcontext
from urllib.parse import parse_qs, urlsplit

import pytest

from clusters.drivers import aws_sdk
from clusters.drivers.aws import (
    AwsError,
    AwsProblem,
    Credentials,
    EventStream,
    check_params,
    endpoint_of,
    partition_of,
    sign,
)
from clusters.drivers.aws_eks import make_token
from clusters.drivers.aws_errors import error_of_answer
from clusters.drivers.aws_gate import MOST_WAITING, SILENT_SECONDS, Gate
from clusters.drivers.aws_places import REGION

P = AwsProblem
SECRET = "canary-secret-access-key"
CREDENTIALS = Credentials("AKIACANARY0000000001", SECRET, "canary-session-token")


def answered(code: str, message: str = "", status: int = 400, headers: dict[str, str] | None = None) -> AwsError:
    answer = {"Error": {"Code": code, "Message": message},
              "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}}
    return error_of_answer(answer, "sagemaker", "describe_endpoint")


@pytest.mark.parametrize(("code", "message", "status", "problem"), [
    ("ThrottlingException", "Rate exceeded", 400, P.THROTTLED),
    ("Throttling", "Rate exceeded", 400, P.THROTTLED),
    ("TooManyRequestsException", "", 429, P.THROTTLED),
    ("RequestLimitExceeded", "Request limit exceeded.", 503, P.THROTTLED),
    ("SlowDown", "Please reduce your request rate.", 503, P.THROTTLED),
    ("ValidationException", "Rate exceeded", 400, P.THROTTLED),
    ("Odd", "", 429, P.THROTTLED),
    ("AccessDeniedException", "User: a is not authorized to perform: sagemaker:CreateModel", 400, P.FORBIDDEN),
    ("AccessDenied", "Access Denied", 403, P.FORBIDDEN),
    ("403", "Forbidden", 403, P.FORBIDDEN),
    ("UnrecognizedClientException", "The security token is invalid", 400, P.AUTH),
    ("InvalidClientTokenId", "", 403, P.AUTH),
    ("ExpiredTokenException", "", 400, P.AUTH),
    ("SignatureDoesNotMatch", "The Canonical String for this request should have been …", 403, P.AUTH),
    ("ValidationException", 'Could not find endpoint "arn:…:endpoint/x".', 400, P.NOT_FOUND),
    ("ValidationException", "Endpoint configuration x does not exist.", 400, P.NOT_FOUND),
    ("ResourceNotFound", "", 404, P.NOT_FOUND),
    ("ResourceNotFoundException", "No cluster found for name: x.", 404, P.NOT_FOUND),
    ("NoSuchKey", "The specified key does not exist.", 404, P.NOT_FOUND),
    ("404", "Not Found", 404, P.NOT_FOUND),
    ("ResourceInUse", "", 400, P.TAKEN),
    ("ValidationException", 'Cannot create already existing endpoint "arn:…".', 400, P.TAKEN),
    ("ResourceLimitExceeded", "The account-level service limit …", 400, P.LIMIT),
    ("ValidationException", "1 validation error detected", 400, P.INVALID),
    ("InvalidParameterException", "", 400, P.INVALID),
    ("InternalFailure", "", 500, P.UNREACHABLE),
    ("Whatever", "", 503, P.UNREACHABLE),
    ("ModelError", "Received client error (400) from primary", 424, P.OTHER),
])
def test_code_and_words_say_what_to_do(code: str, message: str, status: int, problem: AwsProblem) -> None:
    assert answered(code, message, status).problem is problem


def test_a_missing_right_is_named_as_policies_name_it() -> None:
    assert answered("AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized to perform: "
                    "sagemaker:DescribeEndpoint on resource: *").action == "sagemaker:DescribeEndpoint"
    unnamed = answered("AccessDenied", "Access Denied", 403)
    assert unnamed.action == "sagemaker:DescribeEndpoint"
    assert "sagemaker:DescribeEndpoint" in unnamed.message


@pytest.mark.parametrize("quoted", [
    "X-Amz-Signature=0123456789abcdef", "Signature=0123456789abcdef", "Credential=AKIACANARY0000000001/20260101/x",
    "X-Amz-Security-Token=canary-session-token", "the key AKIACANARY0000000001", "k8s-aws-v1.canary_token",
    "Encoded authorization failure message: canary_story",
])
def test_what_aws_quotes_of_a_request_is_not_repeated(quoted: str) -> None:
    error = answered("AccessDenied", f"Refused: {quoted} and so on")
    assert "canary" not in f"{error} {error!r} {error.message}".lower()
    assert "0123456789abcdef" not in error.message


def test_a_wrong_signature_is_told_without_what_was_signed() -> None:
    error = answered("SignatureDoesNotMatch", "The String-to-Sign should have been\n'AWS4-HMAC-SHA256 canary'", 403)
    assert "canary" not in error.message
    assert "SignatureDoesNotMatch" in error.message


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("99999", 0.0)])
def test_retry_after_is_read_where_it_is_a_number_of_seconds(header: str, seconds: float) -> None:
    assert answered("Throttling", "", 429, {"retry-after": header}).retry_after == seconds


def throttled(retry_after: float = 0.0) -> AwsError:
    return AwsError(P.THROTTLED, "Rate exceeded", code="ThrottlingException", retry_after=retry_after)


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_after_a_throttled_call_all_wait_and_one_goes_first() -> None:
    clock = Hands()
    gate = Gate(clock, jitter=lambda: 1.0)
    assert gate.admit() is False
    gate.failed(throttled())
    with pytest.raises(AwsError) as refused:
        gate.admit()
    assert (refused.value.problem, refused.value.retry_after) == (P.THROTTLED, 1.0)
    clock.now += 1.0
    assert gate.admit() is True
    with pytest.raises(AwsError):
        gate.admit()
    gate.passed()
    assert gate.admit() is False


def test_pauses_double_up_to_a_limit_and_begin_anew_after_an_answer() -> None:
    clock = Hands()
    gate = Gate(clock, jitter=lambda: 1.0)
    waits = []
    for _turn in range(7):
        gate.failed(throttled())
        with pytest.raises(AwsError) as refused:
            gate.admit()
        waits.append(refused.value.retry_after)
        clock.now += refused.value.retry_after
        assert gate.admit() is True
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    gate.failed(AwsError(P.NOT_FOUND, "no"))
    assert gate.admit() is False


def test_a_server_may_ask_for_a_longer_pause_but_not_for_any() -> None:
    for asked, kept in ((30.0, 30.0), (9000.0, 60.0)):
        gate = Gate(Hands(), jitter=lambda: 1.0)
        gate.failed(throttled(asked))
        with pytest.raises(AwsError) as refused:
            gate.admit()
        assert refused.value.retry_after == kept


@pytest.mark.parametrize(("calls", "seconds", "may"), [
    (MOST_WAITING, SILENT_SECONDS - 0.1, True), (MOST_WAITING - 1, 10 * SILENT_SECONDS, True),
    (MOST_WAITING, SILENT_SECONDS, False), (MOST_WAITING + 1, 10 * SILENT_SECONDS, False),
])
def test_a_silent_service_holds_few_threads(calls: int, seconds: float, may: bool) -> None:
    clock = Hands()
    gate = Gate(clock)
    with ExitStack() as waiting:
        for _call in range(calls):
            waiting.enter_context(gate.waiting())
        clock.now += seconds
        with nullcontext() if may else pytest.raises(AwsError, match="timeout"):
            gate.admit()
    assert gate.admit() is False


@pytest.mark.parametrize(("region", "partition", "host"), [
    ("us-west-2", "aws", "runtime.sagemaker.us-west-2.amazonaws.com"),
    ("cn-north-1", "aws-cn", "runtime.sagemaker.cn-north-1.amazonaws.com.cn"),
    ("us-gov-west-1", "aws-us-gov", "runtime.sagemaker.us-gov-west-1.amazonaws.com"),
])
def test_partition_and_address_of_a_region(region: str, partition: str, host: str) -> None:
    assert REGION.fullmatch(region)
    assert partition_of(region) == partition
    assert endpoint_of("sagemaker-runtime", region) == f"https://{host}"


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime", "sts", "eks"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-northwest-1", "us-gov-east-1"])
def test_addresses_are_those_that_botocore_would_call(service: str, region: str) -> None:
    session = aws_sdk.session_with(aws_sdk.keys("AKIA", "x"))
    assert endpoint_of(service, region) == aws_sdk.client_of(session, service, region, "").meta.endpoint_url


@pytest.mark.parametrize("text", ["", "us-west-2.evil.example", "us-west-2/", "127.0.0.1", "US-WEST-2", "us west 2", "local"])
def test_what_is_no_region_does_not_become_a_host_name(text: str) -> None:
    assert REGION.fullmatch(text) is None


@pytest.mark.parametrize(("service", "operation", "params", "faults"), [
    ("sagemaker", "describe_endpoint", {"EndpointName": "a"}, []),
    ("sagemaker", "describe_endpoint", {}, ["EndpointName: missing"]),
    ("sagemaker", "describe_endpoint", {"EndpointName": "a", "Odd": 1}, ["Odd: unknown"]),
    ("sagemaker", "describe_endpoint", {"EndpointName": 5}, ["EndpointName: must be a string"]),
    ("sagemaker", "describe_endpoint", {"EndpointName": "x" * 64}, ["EndpointName: at most 63 characters"]),
    ("sagemaker", "describe_endpoint", {"EndpointName": "a_b"}, ["EndpointName: must look like"]),
    ("sagemaker", "create_endpoint_config", {"EndpointConfigName": "a", "ProductionVariants": []},
     ["ProductionVariants: at least 1 items"]),
    ("sagemaker", "create_endpoint_config", {"EndpointConfigName": "a", "ProductionVariants": [
        {"VariantName": "v", "InstanceType": "ml.none", "InitialInstanceCount": 0}]},
     ["ProductionVariants[0].InstanceType: one of ml.t2.medium", "ProductionVariants[0].InitialInstanceCount: at least 1"]),
    ("sagemaker", "create_model", {"ModelName": "m", "PrimaryContainer": {"Environment": {"HF_TOKEN": 5}}},
     ["PrimaryContainer.Environment.HF_TOKEN: must be a string"]),
    ("sagemaker", "create_model", {"ModelName": "m", "EnableNetworkIsolation": "yes"},
     ["EnableNetworkIsolation: must be a boolean"]),
    ("sagemaker", "update_endpoint_weights_and_capacities", {"EndpointName": "a", "DesiredWeightsAndCapacities": [
        {"VariantName": "v", "DesiredInstanceCount": True}]},
     ["DesiredWeightsAndCapacities[0].DesiredInstanceCount: must be a integer"]),
])
def test_parameters_are_checked_as_aws_would(service: str, operation: str, params: object, faults: list[str]) -> None:
    found = check_params(service, operation, params)  # type: ignore[arg-type]
    assert len(found) == len(faults)
    assert all(one.startswith(begins) for one, begins in zip(found, faults, strict=True)), found


def test_a_refused_parameter_is_not_quoted() -> None:
    found = check_params("sagemaker", "create_model", {
        "ModelName": "canary_1", "PrimaryContainer": {"Environment": {"HF_TOKEN": "hf_canary" * 200}}, "Tags": "canary"})
    assert len(found) == 3
    assert "canary" not in " ".join(found)


@pytest.mark.parametrize(("service", "operation"), [("sagemaker", "make_tea"), ("tea", "describe_pot")])
def test_unknown_operations_are_errors_of_ours(service: str, operation: str) -> None:
    with pytest.raises(ValueError, match="no"):
        check_params(service, operation, {})


def test_a_token_for_eks_is_a_signed_question_to_sts_about_this_cluster() -> None:
    token = make_token(CREDENTIALS, "eks-canary", "eu-west-1")
    assert token.startswith("k8s-aws-v1.")
    body = token.removeprefix("k8s-aws-v1.")
    assert "=" not in body
    url = urlsplit(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode())
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc, url.path) == ("https", "sts.eu-west-1.amazonaws.com", "/")
    assert query["Action"] == "GetCallerIdentity"
    assert query["X-Amz-Expires"] == "60"
    assert query["X-Amz-SignedHeaders"] == "host;x-k8s-aws-id"
    assert query["X-Amz-Security-Token"] == "canary-session-token"
    assert SECRET not in str(url)


def test_a_token_in_china_names_stss_address_there() -> None:
    body = make_token(CREDENTIALS, "eks", "cn-north-1").removeprefix("k8s-aws-v1.")
    assert base64.urlsafe_b64decode(body + "===").startswith(b"https://sts.cn-north-1.amazonaws.com.cn/?")


def test_signed_headers_keep_the_given_ones_and_no_secret() -> None:
    signed = sign(CREDENTIALS, "POST", "https://runtime.sagemaker.us-west-2.amazonaws.com/endpoints/x/invocations",
                  {"content-type": "application/json", "x-amzn-sagemaker-session-id": "s"}, b"{}", service="sagemaker",
                  region="us-west-2")
    assert signed["content-type"] == "application/json"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amzn-sagemaker-session-id" in signed[
        "Authorization"]
    assert SECRET not in str(signed)


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """As https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html draws a message."""
    head = b"".join(bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
                    for name, value in headers.items())
    prelude = struct.pack("!II", len(head) + len(payload) + 16, len(head))
    whole = prelude + struct.pack("!I", binascii.crc32(prelude)) + head + payload
    return whole + struct.pack("!I", binascii.crc32(whole))


STREAM = (frame({":message-type": "event", ":event-type": "PayloadPart"}, b"data: 1\n\n")
          + frame({":message-type": "exception", ":exception-type": "ModelStreamError"}, b'{"Message":"x"}')
          + frame({":message-type": "error", ":error-code": "InternalFailure"}, b""))
EVENTS = [("PayloadPart", b"data: 1\n\n"), ("ModelStreamError", b'{"Message":"x"}'), ("InternalFailure", b"")]


@pytest.mark.parametrize("size", [1, 3, 16, 1000])
def test_a_stream_is_read_however_it_is_cut(size: int) -> None:
    stream, seen = EventStream(), []
    for start in range(0, len(STREAM), size):
        seen += stream.feed(STREAM[start:start + size])
    assert seen == EVENTS


def test_a_broken_stream_is_an_error_of_the_door() -> None:
    broken = bytearray(STREAM)
    broken[20] ^= 1
    with pytest.raises(AwsError) as error:
        EventStream().feed(bytes(broken))
    assert error.value.code == "ChecksumMismatch"


def test_credentials_do_not_print_their_secrets() -> None:
    assert "canary" not in repr(CREDENTIALS)
