"""The pure parts: names, causes, errors, and what a description means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from clusters.drivers.aws_errors import AwsError, AwsProblem
from endpoints.states import Cause
from endpoints.targets.sagemaker import names
from endpoints.targets.sagemaker.causes import cause_of
from endpoints.targets.sagemaker.errors import target_error
from endpoints.targets.sagemaker.live import Component, Live, live_of
from endpoints.targets.sagemaker.making import covers
from endpoints.targets.sagemaker.memory import Seen
from endpoints.targets.sagemaker.place import PlaceView
from endpoints.targets.sagemaker.replicas import observation_of
from portal.tenancy.text import external_name
from tests.simulators.aws.sagemaker.state import NO_CAPACITY, NO_PING

NOW = datetime(2026, 1, 2, tzinfo=UTC)
UID = UUID(int=7)
PLACE = PlaceView("ab" * 16, "us-east-1")
NAME = external_name("chat", UID)


@pytest.mark.parametrize("name", ["a", "chat", "x" * 60, "Ä b--c_d", "9"])
def test_every_name_of_ours_fits_and_leads_back_to_its_endpoint(name: str) -> None:
    uid = uuid4()
    endpoint = external_name(name, uid)
    derived = [f"{endpoint}-r12345", f"{endpoint}-r123-v9", f"{endpoint}-i0123abcd", endpoint]
    for each in derived:
        assert len(each) <= 63
        assert names.LEGAL.fullmatch(each)
        assert names.endpoint_of(each) == endpoint
        assert names.digest_of(uid) in each
    assert [names.is_of(each, endpoint) for each in derived] == [True, True, True, False]
    assert (names.revision_of_config(derived[0]), names.revision_of_model(derived[1])) == (12345, 123)
    assert [names.is_for_components(each) for each in derived] == [False, False, True, False]


@pytest.mark.parametrize("name", ["", "chat", "chat-r1", "chat-0123456789x", "other-0123456789-r1-x", "0123456789"])
def test_names_that_we_would_not_give_are_nobodys(name: str) -> None:
    assert names.endpoint_of(name) == ""


@pytest.mark.parametrize(("reason", "cause"), [
    ("", Cause.NONE), (NO_CAPACITY, Cause.NO_ROOM), (NO_PING.format(variant="a"), Cause.PROBE),
    ("The account-level service limit 'ml.p5.48xlarge for endpoint usage' is 0 Instances", Cause.QUOTA),
    ("The repository 'x' does not exist in the registry: check the container image", Cause.IMAGE),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", Cause.MEMORY),
    ("AccessDenied: User is not authorized to perform s3:GetObject", Cause.FORBIDDEN),
    ("Could not find model data at s3://models/small/", Cause.MODEL_MISSING),
    ("No space left on device", Cause.DISK_FULL), ("something new", Cause.ERROR),
])
def test_reasons_are_sorted_into_causes(reason: str, cause: Cause) -> None:
    assert cause_of(reason) == cause


@pytest.mark.parametrize(("problem", "operation", "cause", "permanent", "of_the_place"), [
    (AwsProblem.AUTH, "create_model", Cause.AUTH, False, True),
    (AwsProblem.THROTTLED, "create_model", Cause.UNREACHABLE, False, True),
    (AwsProblem.UNREACHABLE, "create_model", Cause.UNREACHABLE, False, True),
    (AwsProblem.FORBIDDEN, "list_endpoints", Cause.FORBIDDEN, False, True),
    (AwsProblem.FORBIDDEN, "describe_endpoint", Cause.FORBIDDEN, False, True),
    (AwsProblem.FORBIDDEN, "create_model", Cause.FORBIDDEN, False, False),
    (AwsProblem.LIMIT, "create_endpoint", Cause.QUOTA, False, False),
    (AwsProblem.INVALID, "create_endpoint", Cause.INVALID, True, False),
    (AwsProblem.TAKEN, "put_scaling_policy", Cause.CONFLICT, False, False),
    (AwsProblem.NOT_FOUND, "create_endpoint", Cause.LOADING, False, False),
    (AwsProblem.OTHER, "create_endpoint", Cause.ERROR, False, False),
])
def test_errors_of_aws_become_ours(
    problem: AwsProblem, operation: str, cause: Cause, permanent: bool, of_the_place: bool,
) -> None:
    error = target_error(AwsError(problem, "said", operation=operation))
    assert (error.code, error.permanent, error.of_the_place) == (cause, permanent, of_the_place)


@pytest.mark.parametrize("message", ["Cannot update in-progress endpoint \"arn\".", "It is currently being updated."])
def test_what_is_busy_is_tried_again(message: str) -> None:
    error = target_error(AwsError(AwsProblem.INVALID, message, operation="update_endpoint"))
    assert (error.code, error.permanent, error.pause > 0) == (Cause.LOADING, False, True)


@pytest.mark.parametrize(("there", "sent", "is_covered"), [
    ({"a": 1, "b": 2}, {"a": 1}, True), ({"a": 1}, {"a": 2}, False), ({}, {"a": 1}, False), ({"a": 1.0}, {"a": 1}, True),
    ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True), ({"a": [1, 2]}, {"a": [1]}, False),
    ({"a": "x"}, {"a": {"b": 1}}, False),
])
def test_what_is_sent_is_there(there: Any, sent: Any, is_covered: bool) -> None:
    assert covers(there, sent) is is_covered


def described(status: str, config: str = f"{NAME}-r1", **more: Any) -> Live:
    return live_of({"EndpointName": NAME, "EndpointArn": "arn", "EndpointStatus": status, "EndpointConfigName": config,
                    "CreationTime": NOW, "LastModifiedTime": NOW, **more})


def fleet(current: int, desired: int, **more: Any) -> dict[str, Any]:
    return {"ProductionVariants": [
        {"VariantName": "AllTraffic", "CurrentInstanceCount": current, "DesiredInstanceCount": desired, **more}]}


PENDING = {"PendingDeploymentSummary": {"EndpointConfigName": f"{NAME}-r2", "ProductionVariants": [
    {"VariantName": "AllTraffic", "VariantStatus": [{"Status": "Baking", "StatusMessage": "waits for alarms"}]}]}}
# status, more of the description; (revision, ready) of each replica, and whether there is an entrance.
STATUSES: list[tuple[str, dict[str, Any], list[tuple[int, bool]], bool]] = [
    ("Creating", {}, [(1, False)], False),
    ("InService", fleet(2, 2), [(1, True), (1, True)], True),
    ("InService", fleet(0, 1), [(1, False)], False),
    ("Updating", fleet(1, 3), [(1, True), (1, False), (1, False)], True),
    ("Updating", {**fleet(1, 1), **PENDING}, [(1, True), (2, False)], True),
    ("RollingBack", {**fleet(1, 1), **PENDING, "FailureReason": "no"}, [(1, True), (2, False)], True),
    ("SystemUpdating", fleet(1, 1), [(1, True)], True),
    ("UpdateRollbackFailed", {**fleet(1, 1), "FailureReason": "stuck"}, [(1, True), (1, False)], True),
    ("Failed", {"FailureReason": NO_CAPACITY}, [(1, False)], False),
    ("OutOfService", fleet(1, 1), [(1, False)], False),
    ("Deleting", fleet(1, 1), [(1, False)], False),
]


@pytest.mark.parametrize(("status", "more", "replicas", "entered"), STATUSES)
def test_a_description_becomes_replicas_and_an_entrance(
    status: str, more: dict[str, Any], replicas: list[tuple[int, bool]], entered: bool,
) -> None:
    seen = observation_of(Seen(UID, described(status, **more), None, 0.0), PLACE)
    assert [(each.revision, each.ready) for each in seen.replicas] == replicas
    assert (seen.entrance is not None) is entered
    assert sorted(each.index for each in seen.replicas) == list(range(len(replicas)))
    assert seen.keeps_time is (status in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"))
    assert len({each.key for each in seen.replicas}) == len(replicas)


def test_the_entrance_names_component_and_bucket() -> None:
    output = {"OutputConfig": {"S3OutputPath": "s3://answers/async/x/"}}
    plain = described("InService", AsyncInferenceConfig=output, **fleet(0, 0))
    seen = observation_of(Seen(UID, plain, None, 0.0), PLACE)
    assert seen.entrance is not None
    assert seen.entrance.url == f"sagemaker://{PLACE.account}/us-east-1/{NAME}?async=answers"
    component = Component(NAME, "arn", "InService", f"{NAME}-r3", {}, NOW)
    hollow = described("InService", f"{NAME}-i01234567", **fleet(0, 0))
    asleep = observation_of(Seen(UID, hollow, component, 0.0, autoscaled=True), PLACE)
    assert asleep.entrance is not None
    assert asleep.entrance.url == f"sagemaker://{PLACE.account}/us-east-1/{NAME}/{NAME}"
    assert (asleep.replicas, asleep.wanted_replicas, asleep.entrance.revision) == ((), 0, 3)
