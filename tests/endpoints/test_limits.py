"""Who may limit whom in what, by service and API; and what is shown as used."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from endpoints.gateway.limits.compose import shared_store
from endpoints.gateway.limits.messages import Line, Request
from endpoints.models import UsageHour
from endpoints.services.limits import Use, change_limit, create_limit, delete_limit, uses_of
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.tenancy.models import ApiKey, AuditEntry, Limit, LimitKind, Membership
from portal.tenancy.services import create_key
from tests.cast import Cast
from tests.portal.apiclient import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(cast: Cast) -> ApiKey:
    return create_key(cast.actor("alice"), cast.alpha, name="ci")[0]


@pytest.mark.parametrize(("who", "kind", "refusal"), [
    ("operator", "workspace", None), ("alice", "workspace", NotAllowed), ("alice", "model", None),
    ("bob", "model", NotAllowed), ("vera", "model", NotAllowed), ("charlie", "model", NotFound),
])
@pytest.mark.both_databases
def test_operators_limit_workspaces_and_managers_what_is_in_them(
    cast: Cast, who: str, kind: str, refusal: type[Exception] | None,
) -> None:
    def make() -> Limit:
        return create_limit(cast.actor(who), cast.alpha, kind=kind, model_name="m" if kind == "model" else "", gpus=1)

    if refusal:
        with pytest.raises(refusal):
            make()
        return
    limit = make()
    change_limit(cast.actor(who), limit, gpus=None, tokens_per_month=7)
    delete_limit(cast.actor(who), limit)
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)[:3]) == ["create", "change", "delete"]


def test_a_manager_can_not_change_what_an_operator_has_set_for_the_workspace(cast: Cast) -> None:
    limit = create_limit(cast.actor("operator"), cast.alpha, kind="workspace", gpus=1)
    with pytest.raises(NotAllowed):
        change_limit(cast.actor("alice"), limit, gpus=8)
    with pytest.raises(NotAllowed):
        delete_limit(cast.actor("alice"), limit)


@pytest.mark.parametrize(("values", "field"), [
    ({"kind": "member"}, "member"), ({"kind": "model"}, "model_name"), ({"kind": "key"}, "key"),
    ({"kind": "workspace", "model_name": "m"}, "model_name"),
    ({"kind": "workspace", "gpus": -1}, "gpus"), ({"kind": "workspace", "requests_per_minute": 10**7}, "requests_per_minute"),
    ({"kind": "workspace", "tokens_per_month": 2**53}, "tokens_per_month"), ({"kind": "workspace", "gpus": None}, None),
    ({"kind": "nonsense"}, "kind"),
])
def test_a_limit_that_makes_no_sense_is_refused_by_field(cast: Cast, values: dict[str, Any], field: str | None) -> None:
    with pytest.raises(Invalid) as refused:
        create_limit(cast.actor("operator"), cast.alpha, **{"gpus": 1, **values})
    assert field is None or refused.value.field == field


def test_strangers_and_foreign_keys_are_no_subjects(cast: Cast) -> None:
    foreign = create_key(cast.actor("charlie"), cast.beta, name="theirs")[0]
    for values in ({"kind": "member", "member": cast.charlie}, {"kind": "key", "key": foreign}):
        with pytest.raises(Invalid):
            create_limit(cast.actor("operator"), cast.alpha, gpus=1, **values)  # type: ignore[arg-type]


@pytest.mark.both_databases
def test_a_subject_has_one_row_and_keeps_it_when_the_member_leaves(cast: Cast) -> None:
    limit = create_limit(cast.actor("alice"), cast.alpha, kind=LimitKind.MEMBER, member=cast.bob, gpus=1)
    with pytest.raises(Conflict):
        create_limit(cast.actor("alice"), cast.alpha, kind=LimitKind.MEMBER, member=cast.bob, gpus=2)
    Membership.objects.filter(user=cast.bob).delete()
    assert change_limit(cast.actor("alice"), limit, gpus=3).gpus == 3


@pytest.mark.both_databases
def test_what_is_used_comes_from_the_counters_and_from_the_booked_hours(cast: Cast, key: ApiKey) -> None:
    limit = create_limit(cast.actor("alice"), cast.alpha, kind="key", key=key, requests_per_minute=60, concurrent_requests=0,
                         tokens_per_month=1000, money_per_month=Decimal("2.50"), endpoints=1)
    store = shared_store()
    store.exchange(Request("gateway", [
        Line(f"{limit.pk}:requests_per_minute", "minute", 60, spends=((0, 15),)),
        Line(f"{limit.pk}:concurrent_requests", "level", 9, hold=3)]))
    store.close()
    UsageHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=cast.alpha.pk, member_id=1, key_id=key.pk,
        endpoint_id=0, route_id=0, door=0, prompt_tokens=100, completion_tokens=150, cost_nano=1_250_000_000)
    uses = uses_of([limit])[limit.pk]
    assert uses == [
        Use("requests_per_minute", 15, 60), Use("concurrent_requests", 3, 0), Use("tokens_per_month", 250, 1000),
        Use("money_per_month", Decimal("1.25"), Decimal("2.50")), Use("endpoints", 0, 1)]
    assert [use.share for use in uses] == [25.0, 100.0, 25.0, 50.0, 0.0]


def test_the_api_makes_shows_changes_and_deletes_a_limit(cast: Cast, key: ApiKey) -> None:
    api = Api(cast.alice)
    made = api.post("limits", {"workspace": "alpha", "kind": "key", "key": str(key.uid), "money_per_month": "12.50"})
    assert made.status_code == 201, made.content
    limit = made.json()
    assert (limit["key"], limit["member"], limit["money_per_month"], limit["gpus"]) == (str(key.uid), None, "12.50", None)
    again = api.post("limits", {"workspace": "alpha", "kind": "key", "key": str(key.uid), "gpus": 1})
    assert (again.status_code, again.json()["error"]["field"]) == (409, "kind")
    changed = api.patch(f"limits/{limit['uid']}", {"gpus": 2, "money_per_month": None})
    assert (changed.json()["gpus"], changed.json()["money_per_month"]) == (2, None)
    assert api.patch(f"limits/{limit['uid']}", {"gpus": None}).status_code == 422
    assert api.patch(f"limits/{limit['uid']}", {"kind": "member"}).status_code == 422
    assert api.get(f"limits/{limit['uid']}/use").json() == [{"quantity": "gpus", "used": 0, "limit": 2}]
    assert [row["uid"] for row in api.get("limits?workspace=alpha&kind=key").json()["items"]] == [limit["uid"]]
    assert api.get("limits?kind=member").json()["items"] == []
    stale = {"If_Match": limit["etag"]}
    assert api.call("PATCH", f"limits/{limit['uid']}", {"gpus": 3}, **stale).status_code == 412
    assert api.delete(f"limits/{limit['uid']}").status_code == 204
    assert not Limit.objects.exists()


def test_members_of_a_workspace_are_limited_by_name(cast: Cast) -> None:
    api = Api(cast.alice)
    order = {"workspace": "alpha", "kind": "member", "requests_per_minute": 5}
    assert api.post("limits", {**order, "member": "charlie"}).json()["error"]["field"] == "member"
    assert api.post("limits", {**order, "member": "bob"}).json()["member"] == "bob"
