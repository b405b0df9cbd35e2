"""Task governance: a workspace's queue and priority reach its endpoints on HyperPod, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.states import ClusterKind
from endpoints.models import TaskGovernance
from endpoints.services import set_governance
from endpoints.services.governance import governance_for
from portal.tenancy.errors import Invalid, NotAllowed
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster


def test_only_operators_govern(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        set_governance(cast.actor("alice"), cast.alpha, queue="alpha")
    assert not TaskGovernance.objects.exists()


def test_a_rule_counts_on_hyperpod_only(cast: Cast) -> None:
    set_governance(cast.actor("operator"), cast.alpha, queue="alpha-queue", priority_class="inference-priority")
    hyperpod, plain = make_cluster("hp", kind=ClusterKind.HYPERPOD), make_cluster("kube", kind=ClusterKind.KUBERNETES)
    assert governance_for(cast.alpha, hyperpod) == {"queue": "alpha-queue", "priorityClass": "inference-priority"}
    assert governance_for(cast.alpha, plain) == {}
    assert governance_for(cast.beta, hyperpod) == {}


def test_two_empty_values_take_the_rule_away_and_each_change_is_audited_once(cast: Cast) -> None:
    operator = cast.actor("operator")
    for values in ({"queue": "a"}, {"queue": "a"}, {"queue": "b"}, {}, {}):
        set_governance(operator, cast.alpha, **values)
    assert not TaskGovernance.objects.exists()
    verbs = AuditEntry.objects.order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["govern", "govern", "end governance"]


@pytest.mark.parametrize("bad", ["-x", "x" * 64, "a b", "a/b", "é"])
def test_what_is_no_label_is_refused(cast: Cast, bad: str) -> None:
    with pytest.raises(Invalid) as refusal:
        set_governance(cast.actor("operator"), cast.alpha, priority_class=bad)
    assert refusal.value.field == "priority_class"


def test_the_api_shows_and_sets_it(cast: Cast, client: Any) -> None:
    client.force_login(cast.operator)
    url = "/api/v1/workspaces/alpha/governance"
    assert client.get(url).json() == {"queue": "", "priority_class": ""}
