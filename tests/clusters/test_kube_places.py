"""`kube_for`: one kept road for each place, which follows its row at once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters.drivers import kinds, kube
from clusters.drivers.kube import KubeError, Problem, kube_for
from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from tests.clusters.scripted_api import Asked, Said, Scripted
from tests.simulators.kubernetes.certificates import Authority

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def script(asked: Asked) -> Said:
    return Said(200 if asked.headers["authorization"] in ("Bearer one", "Bearer two") else 401, {"gitVersion": "v1"})


@pytest.fixture
def api() -> Iterator[Scripted]:
    with Scripted(script) as scripted:
        yield scripted


def connect(api: Scripted, token: str = "one", **values: Any) -> Cluster:
    place = Cluster.objects.create(name="kube", kind=ClusterKind.KUBERNETES)
    access = KubernetesAccess(cluster=place, server=api.url, **{"ca": api.authority.pem, **values})
    access.put_secret("token", token)
    access.save()
    kube.forget(place)
    return place


def change(place: Cluster, **values: str) -> None:
    access = KubernetesAccess.objects.get(cluster=place)
    for name, value in values.items():
        if name == "token":
            access.put_secret(name, value)
        else:
            setattr(access, name, value)
    access.save()


def test_the_road_is_kept_while_its_row_stays(api: Scripted) -> None:
    place = connect(api)
    for _ in range(5):
        kube_for(place).version()
    KubernetesAccess.objects.get(cluster=place).save()
    assert kube_for(place) is kube_for(place)
    kube_for(place).version()
    assert len(api.connections) == 1


def test_a_new_token_and_a_new_ca_take_effect_at_once(api: Scripted) -> None:
    place = connect(api, ca=Authority().pem)
    with pytest.raises(KubeError) as refused:
        kube_for(place).version()
    assert refused.value.problem is Problem.TLS
    change(place, ca=api.authority.pem)
    assert kube_for(place).version() == "v1"
    change(place, token="two")
    kube_for(place).version()
    assert api.asked[-1].headers["authorization"] == "Bearer two"


def test_a_token_that_was_changed_while_a_road_is_in_use_is_found_by_its_401(api: Scripted) -> None:
    place = connect(api, token="expired")
    held = kube_for(place)
    change(place, token="one")
    assert held.version() == "v1"
    assert [asked.headers["authorization"] for asked in api.asked] == ["Bearer expired", "Bearer one"]


def test_a_closed_breaker_begins_anew_when_it_is_forgotten(api: Scripted) -> None:
    place = connect(api, token="bad")
    for _ in range(5):
        with pytest.raises(KubeError, match="401"):
            kube_for(place).version()
    assert len(api.asked) == 6  # three calls, each with its repetition
    kube.forget(place)
    with pytest.raises(KubeError, match="401"):
        kube_for(place).version()
    assert len(api.asked) == 8


def test_a_secret_that_was_moved_to_another_address_is_not_sent(api: Scripted) -> None:
    place = connect(api)
    with Scripted(script, api.authority) as other:
        KubernetesAccess.objects.filter(cluster=place).update(server=other.url)
        with pytest.raises(KubeError) as refused:
            kube_for(place).version()
        assert (refused.value.problem, other.asked) == (Problem.AUTH, [])


def test_a_place_without_access_says_what_to_do() -> None:
    place = Cluster.objects.create(name="bare", kind=ClusterKind.KUBERNETES)
    with pytest.raises(KubeError, match="Connect it first"):
        kube_for(place)


@pytest.mark.parametrize(("at", "calls"), [(1, 0), (2, 1)])
def test_a_worker_may_die_before_and_after_every_change(at: int, calls: int) -> None:
    """The two points are where the sweep's tests kill; reading has none."""
    source = textwrap.dedent("""
        import sys
        from tests.rig import environment
        import django, os
        os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
        django.setup()
        from clusters.drivers.kube import DirectTransport, Kube
        from clusters.drivers import kinds
        from portal.tenancy import faults
        kube = Kube(lambda: DirectTransport(sys.argv[1], ca=sys.stdin.read()))
        faults.arm(int(sys.argv[2]))
        kube.get(kinds.POD, "x", "a")
        kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "x"}})
    """)
    with Scripted(lambda _asked: Said(200, {})) as api:
        ended = subprocess.run([sys.executable, "-c", source, api.url, str(at)], input=api.authority.pem, text=True,
                               check=False, capture_output=True, cwd=ROOT)
        assert ended.returncode == -9, ended.stderr
        assert len([asked for asked in api.asked if asked.method == "PATCH"]) == calls
        assert kinds.POD.plural in api.asked[0].path
