"""A frozen clock, and a place with nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clusters.models import Cluster
from tests.aws import make_sagemaker_place
from tests.endpoints.sagemaker.play import DoorClock, forget_everything, quick_aws
from tests.simulators.aws.server import AwsSimulator


@pytest.fixture
def door_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[DoorClock]:
    """By which the door waits."""
    with quick_aws(monkeypatch) as clock:
        yield clock


@pytest.fixture
def sim(aws_sim: AwsSimulator, door_clock: DoorClock) -> AwsSimulator:
    """SageMaker with a clock that only the test turns; the door's pauses take no time."""
    aws_sim.clock.freeze()
    forget_everything()
    return aws_sim


@pytest.fixture
def place(sim: AwsSimulator, db: None) -> Cluster:
    return make_sagemaker_place(sim)
