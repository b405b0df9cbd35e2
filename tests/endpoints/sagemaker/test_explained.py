"""Why an endpoint in SageMaker failed: by SageMaker's words, not as if the portal's own step had been refused."""

from __future__ import annotations

import pytest

from clusters.models import Cluster
from endpoints import services
from endpoints.states import Status
from tests.cast import Cast
from tests.simulators.aws.server import AwsSimulator

from .play import new_endpoint, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("reason", "rule"), [
    ("AccessDenied: the role may not read s3://models/small", "sagemaker_forbidden"),
    ("ResourceLimitExceeded: the account-level service limit is 0", "sagemaker_quota"),
    ("InsufficientInstanceCapacity", "sagemaker_no_room"), ("Something new happened.", "sagemaker_error"),
])
def test_the_words_of_a_failed_endpoint_are_not_taken_for_a_refusal_of_ours(
    sim: AwsSimulator, place: Cluster, cast: Cast, reason: str, rule: str,
) -> None:
    sim.sagemaker.fail("chat-*", reason=reason)
    endpoint = until(sim, new_endpoint(cast, place), Status.FAILED)
    found = services.explain(endpoint)
    assert found.first.rule == rule
    assert reason in found.sentence
    assert {"forbidden", "quota_of_wish", "fault_of_ours"}.isdisjoint({one.rule for one in found.others})


def test_a_right_that_the_portal_itself_lacks_is_its_own(sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    denied = sim.faults.fail("AccessDeniedException", "not authorized to perform: sagemaker:CreateModel", 400,
                             operations=["sagemaker:CreateModel"])
    endpoint = until(sim, new_endpoint(cast, place), lambda row: row.attempts or row.cause)
    assert services.explain(endpoint).first.rule == "forbidden"
    denied.remove()
