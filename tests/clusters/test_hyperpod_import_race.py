"""Two people import the same cluster at the same moment: one place comes of it, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from clusters import services
from clusters.drivers.aws import aws_for
from clusters.models import AwsAccount, AwsPlace, Cluster
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import Conflict
from tests.aws import make_aws_account
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_make_one_place(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> None:
    account = make_aws_account(aws_sim)
    cluster = aws_sim.add_hyperpod("pod", kube=hyperpod_kube)
    aws_for(account).whoami()  # signing in takes its own time
    together = Barrier(2)

    def bring(name: str) -> str:
        try:
            together.wait(10)
            services.import_hyperpod(PORTAL, AwsAccount.objects.get(), "", cluster.arn, name=name)
        except Conflict as error:
            return error.code
        finally:
            connection.close()
        return "made"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(bring, ("one", "two"))) == ["imported", "made"]
    assert Cluster.objects.count() == AwsPlace.objects.count() == 1
