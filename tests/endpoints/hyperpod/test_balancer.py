"""What is kept of load balancers between two looks: a passing fault closes no way in, and a look comes to its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clusters.drivers.aws_errors import AwsError, AwsProblem
from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind
from endpoints.targets.hyperpod import balancer
from endpoints.targets.hyperpod.balancer import Balancers


class Hosts:
    """Load balancers by name: what a handshake with each says, how long it takes, and the clock."""

    def __init__(self) -> None:
        self.now, self.takes, self.says, self.asked = 1000.0, 0.0, "", 0

    def monotonic(self) -> float:
        return self.now

    def why_unreachable(self, host: str, ca: str) -> str:
        self.asked += 1
        self.now += self.takes
        return self.says


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    found = Hosts()
    monkeypatch.setattr(balancer, "why_unreachable", found.why_unreachable)
    monkeypatch.setattr(balancer, "time", found)
    monkeypatch.setattr(balancer, "_reached", balancer._Answers())
    monkeypatch.setattr(balancer, "_authorities", balancer._Answers())
    return found


def look(*names: str) -> list[str]:
    """Why each can't be reached, in one look."""
    made = Balancers(Cluster(name="hyper", kind=ClusterKind.HYPERPOD), None)  # type: ignore[arg-type]  # asks no cluster
    return [made._why_unreachable(name, "") for name in names]


def test_one_failed_handshake_of_a_host_that_answered_closes_nothing(hosts: Hosts) -> None:
    assert look("a") == [""]
    hosts.now, hosts.says = hosts.now + 61, "network"
    assert look("a") == [""]
    assert look("a") == [""], "it is not asked again at once"
    hosts.now += 11
    assert look("a") == ["network"]
    hosts.now, hosts.says = hosts.now + 61, ""
    assert look("a") == [""]


def test_a_look_at_many_that_do_not_answer_ends(hosts: Hosts) -> None:
    hosts.takes, hosts.says = 3.0, "network"
    names = [str(number) for number in range(100)]
    found = look(*names)
    assert (hosts.asked, found.count("network"), set(found)) == (3, 3, {"network", "it was not tried yet"})
    look(*names)
    assert hosts.asked == 6, "the next look goes on where this one ended"


def test_an_authority_that_was_read_holds_while_aws_is_busy(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    place, busy = AwsPlace(account=AwsAccount(name="main"), region="us-west-2"), AwsError(AwsProblem.THROTTLED, "Rate exceeded")
    answers: list[str | AwsError] = [busy, "PEM", busy, "PEM 2"]

    def read(_place: AwsPlace, _bucket: str, _key: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, AwsError):
            raise answer
        return answer

    monkeypatch.setattr(balancer, "_read", read)
    with pytest.raises(AwsError):
        balancer._authority(place, "bucket", "ca.pem")
    assert balancer._authority(place, "bucket", "ca.pem") == "PEM"
    hosts.now += 3601
    assert balancer._authority(place, "bucket", "ca.pem") == "PEM"
    hosts.now += 61
    assert balancer._authority(place, "bucket", "ca.pem") == "PEM 2"
    assert answers == []
