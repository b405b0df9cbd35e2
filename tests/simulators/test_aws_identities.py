"""Signatures, keys and roles in the simulator: who is let in, and in which words others are not."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.simulators.aws.identities import Keys
from tests.simulators.aws.messages import Identity
from tests.simulators.aws.server import AwsSimulator

NOBODY = Identity("", "", "")


def code_of(sim: AwsSimulator, service: str, operation: str, keys: Keys, **asked: Any) -> str:
    with pytest.raises(ClientError) as caught:
        getattr(sim.client(service, keys), operation)(**asked)
    return str(caught.value.response["Error"]["Code"])


def test_everybody_is_told_who_they_are(aws_sim: AwsSimulator) -> None:
    found = aws_sim.client("sts").get_caller_identity()
    assert (found["Account"], found["Arn"]) == ("123456789012", "arn:aws:iam::123456789012:user/portal")
    other = aws_sim.identities.add_user("other", "210987654321")
    assert aws_sim.client("sts", other).get_caller_identity()["Account"] == "210987654321"


@pytest.mark.parametrize(("service", "operation", "unknown", "wrong"), [
    ("sts", "get_caller_identity", "InvalidClientTokenId", "SignatureDoesNotMatch"),
    ("sagemaker", "list_models", "UnrecognizedClientException", "InvalidSignatureException"),
    ("eks", "list_clusters", "UnrecognizedClientException", "InvalidSignatureException"),
    ("s3", "list_buckets", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    ("cloudwatch", "list_metrics", "UnrecognizedClientException", "InvalidSignatureException"),
])  # fmt: skip
def test_strangers_and_wrong_secrets_are_refused_in_the_words_of_each_service(
    aws_sim: AwsSimulator, service: str, operation: str, unknown: str, wrong: str
) -> None:
    assert code_of(aws_sim, service, operation, Keys("AKIANOBODY0000000000", "secret", NOBODY)) == unknown
    assert code_of(aws_sim, service, operation, Keys(aws_sim.keys.access_key_id, "wrong", NOBODY)) == wrong
    assert [seen.access_key_id for seen in aws_sim.requests] == ["AKIANOBODY0000000000", aws_sim.keys.access_key_id]


def test_a_role_is_assumed_with_its_external_id_only(aws_sim: AwsSimulator) -> None:
    role = aws_sim.identities.add_role("tenant", "210987654321", external_id="tenant-7")
    sts = aws_sim.client("sts")
    for external_id in ("tenant-8", None):
        given = {"ExternalId": external_id} if external_id else {}
        with pytest.raises(ClientError) as caught:
            sts.assume_role(RoleArn=role.arn, RoleSessionName="portal", **given)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
        assert "is not authorized to perform: sts:AssumeRole on resource" in str(caught.value)
    got = sts.assume_role(RoleArn=role.arn, RoleSessionName="portal", ExternalId="tenant-7", DurationSeconds=900)["Credentials"]
    keys = Keys(got["AccessKeyId"], got["SecretAccessKey"], NOBODY, got["SessionToken"])
    arn = aws_sim.client("sts", keys).get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::210987654321:assumed-role/tenant/portal"
    assert got["AccessKeyId"].startswith("ASIA")


def test_only_trusted_callers_assume_a_role(aws_sim: AwsSimulator) -> None:
    role = aws_sim.identities.add_role("tenant", trusted=frozenset({aws_sim.keys.identity.arn}))
    stranger = aws_sim.identities.add_user("stranger")
    assert code_of(aws_sim, "sts", "assume_role", stranger, RoleArn=role.arn, RoleSessionName="xx") == "AccessDenied"
    assert aws_sim.client("sts").assume_role(RoleArn=role.arn, RoleSessionName="xx")


def test_temporary_credentials_end(aws_sim: AwsSimulator) -> None:
    role = aws_sim.identities.add_role("tenant")
    keys = aws_sim.identities.assume(aws_sim.keys.identity, role.arn, "session", "", 900)
    without = Keys(keys.access_key_id, keys.secret_access_key, NOBODY)
    assert code_of(aws_sim, "sts", "get_caller_identity", without) == "InvalidClientTokenId"
    assert aws_sim.client("sagemaker", keys).list_models()["Models"] == []
    aws_sim.identities.expire_sessions()
    assert code_of(aws_sim, "sagemaker", "list_models", keys) == "ExpiredTokenException"
    assert code_of(aws_sim, "sts", "get_caller_identity", keys) == "ExpiredToken"
    assert code_of(aws_sim, "s3", "list_buckets", keys) == "ExpiredToken"


def signed(sim: AwsSimulator, body: bytes = b"{}") -> AWSRequest:
    headers = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", f"{sim.url}/", headers, body)
    keys = sim.keys
    SigV4Auth(Credentials(keys.access_key_id, keys.secret_access_key), "sagemaker", "us-east-1").add_auth(request)
    return request


def status_of(sim: AwsSimulator, request: AWSRequest, body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection(urlsplit(sim.url).netloc)
    connection.request("POST", "/", request.body if body is None else body, dict(request.headers))
    status = connection.getresponse().status
    connection.close()
    return status


def test_what_was_changed_after_signing_is_refused(aws_sim: AwsSimulator) -> None:
    assert status_of(aws_sim, signed(aws_sim)) == 200
    assert status_of(aws_sim, signed(aws_sim), b'{"MaxResults": 1}') == 400
    request = signed(aws_sim)
    request.headers.replace_header("X-Amz-Target", "SageMaker.DeleteModel")
    assert status_of(aws_sim, request) == 400
    assert aws_sim.requests[-1].code == "InvalidSignatureException"


def test_old_signatures_and_unsigned_calls_are_refused(aws_sim: AwsSimulator) -> None:
    request = signed(aws_sim)
    aws_sim.identities.clock.advance(600)
    assert status_of(aws_sim, request) == 400
    aws_sim.identities.clock.reset()
    del request.headers["Authorization"]
    assert status_of(aws_sim, request) == 403


def test_a_presigned_address_works_as_long_as_it_says(aws_sim: AwsSimulator) -> None:
    s3 = aws_sim.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="weights")
    s3.put_object(Bucket="weights", Key="a b/ü+.txt", Body=b"hello")
    url = s3.generate_presigned_url("get_object", {"Bucket": "weights", "Key": "a b/ü+.txt"}, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"hello"
    aws_sim.identities.clock.advance(120)
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)


def test_requests_are_recorded_without_secrets(aws_sim: AwsSimulator) -> None:
    aws_sim.client("sagemaker", region="eu-west-1").list_endpoints(MaxResults=7)
    seen = aws_sim.calls("sagemaker:ListEndpoints")[0]
    assert (seen.region, seen.params, seen.status) == ("eu-west-1", {"MaxResults": 7}, 200)
    assert seen.host == urlsplit(aws_sim.url).netloc
    assert "authorization" in seen.header_names
    assert aws_sim.keys.secret_access_key not in repr(aws_sim.requests) + repr(aws_sim.keys)


@pytest.mark.parametrize("way", ["environment", "instance_environment"])
def test_a_machine_has_a_role_of_its_own(
    aws_sim: AwsSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    arn = aws_sim.machine.has_role("portal-machine")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name, value in getattr(aws_sim.machine, way)(aws_sim.url).items():
        monkeypatch.setenv(name, value)
    client = boto3.Session(region_name="us-east-1").client("sts", endpoint_url=aws_sim.url)
    assert client.get_caller_identity()["Arn"].startswith("arn:aws:sts::123456789012:assumed-role/portal-machine/")
    assert arn.endswith("role/portal-machine")
    client.close()


def test_it_runs_by_itself() -> None:
    process = subprocess.Popen([sys.executable, "-m", "tests.simulators.aws"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = dict(word.split("=", 1) for word in process.stdout.readline().split()[1:])
        keys = Keys(said["AWS_ACCESS_KEY_ID"], said["AWS_SECRET_ACCESS_KEY"], NOBODY)
        script = ("import boto3, json; print(json.dumps(boto3.client('sts').get_caller_identity()['Arn']))")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True,
                              env={**said, "PATH": "/usr/bin"})  # fmt: skip
        assert json.loads(done.stdout).endswith(":user/portal")
        assert keys.access_key_id == "AKIASIMULATED0000001"
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()
