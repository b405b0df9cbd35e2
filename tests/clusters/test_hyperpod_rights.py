"""An EKS cluster that lets the portal's role in by an access entry: the manifest for it gives what the portal needs."""

from __future__ import annotations

import pytest
import yaml

from clusters import rbac, services
from clusters.drivers import kinds, kube
from clusters.services import ensure_namespace
from clusters.states import Reach, SignIn
from tests.aws import make_aws_account, make_hyperpod_place
from tests.cast import Cast
from tests.clusters.test_connect import PLURALS
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db


def test_the_least_rights_of_an_access_entry_are_enough(aws_sim: AwsSimulator, cast: Cast) -> None:
    with Simulator(nodes=[]) as kube_sim:
        account = make_aws_account(aws_sim, sign_in=SignIn.ROLE, external_id="portal-1")
        cluster = aws_sim.add_hyperpod("least", kube=kube_sim)
        place = make_hyperpod_place(aws_sim, kube_sim, "least", account, cluster)
        eks = next(one for names in aws_sim.eks.clusters.values() for one in names.values())
        eks.access = {}
        assert services.check_access(place).reach == Reach.AUTH_FAILED  # nothing maps the role yet
        eks.access = {account.role_arn: (rbac.ACCOUNT,)}
        kube.forget(place)
        assert services.check_access(place).reach == Reach.FORBIDDEN  # let in, without a right
        for manifest in yaml.safe_load_all(rbac.manifest(eks=True)):
            kube_sim.client().apply(PLURALS[manifest["kind"]], manifest)
        kube.forget(place)
        found = services.check_access(place)
        assert (found.reach, found.missing_rights) == (Reach.OK, [])
        assert ":assumed-role/inference-portal/" in found.user
        narrow = kube.kube_for(place)
        namespace = ensure_namespace(narrow, place, cast.alpha)
        assert narrow.may("patch", kinds.INFERENCE_ENDPOINT_CONFIG, namespace)
        assert not narrow.may("patch", kinds.INFERENCE_ENDPOINT_CONFIG, "default")
        assert not narrow.may("get", kinds.SECRET, "kube-system")
