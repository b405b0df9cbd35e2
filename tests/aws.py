"""Accounts and places in AWS over the simulator: `aws_sim` is new for each test, its server lasts for a session.

Importing boto3 takes a while; this file needs none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind, SignIn
from tests.simulators.aws.identities import ACCOUNT
from tests.simulators.aws.server import REGION, AwsSimulator

EXECUTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/endpoints"
BUCKET = "portal-endpoints"


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsSimulator]:
    """The server itself; tests use `aws_sim`."""
    with AwsSimulator() as sim:
        yield sim


@pytest.fixture
def aws_sim(aws_server: AwsSimulator, settings: Settings) -> Iterator[AwsSimulator]:
    """AWS with one account and nothing in it; the portal's calls go there. Fails when the simulator itself broke."""
    aws_server.reset()
    settings.PORTAL_AWS_ENDPOINT = aws_server.url
    yield aws_server
    assert aws_server.broken == []


def make_aws_account(sim: AwsSimulator, name: str = "aws", **values: Any) -> AwsAccount:
    """An account that signs in with the simulator's default keys.

    With sign_in=SignIn.ROLE the role is made in the simulator too, with the external id that is given, and the keys are
    those of the caller who assumes it.
    """
    keys = values.pop("keys", sim.keys)
    account = AwsAccount(**{"name": name, "region": REGION, "sign_in": SignIn.KEYS,
                            "access_key_id": keys.access_key_id, **values})  # fmt: skip
    if account.sign_in == SignIn.ROLE and not account.role_arn:
        account.role_arn = sim.identities.add_role("inference-portal", external_id=account.external_id).arn
    account.put_secret("secret_access_key", keys.secret_access_key)
    account.save()
    return account


def make_sagemaker_place(sim: AwsSimulator, name: str = "sagemaker", account: AwsAccount | None = None,
                         **values: Any) -> Cluster:  # fmt: skip
    """A place for SageMaker endpoints; `values` are of its AwsPlace."""
    account = account or make_aws_account(sim, f"{name}-account")
    place = Cluster.objects.create(name=name, kind=ClusterKind.SAGEMAKER)
    AwsPlace.objects.create(cluster=place, account=account, **{
        "region": account.region, "execution_role": EXECUTION_ROLE, "bucket": BUCKET, **values})  # fmt: skip
    return place
