"""The pages of limits: who sees and sets them, how far they are used, refusals at their field."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from endpoints.models import UsageHour
from portal.tenancy import services
from portal.tenancy.models import AuditEntry, Limit, LimitKind
from portal.tenancy.roles import Role
from tests.cast import Cast, set_limit

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
LIST, NEW = "/w/alpha/limits/", "/w/alpha/limits/new/"


def use(cast: Cast, tokens: int) -> None:
    UsageHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=cast.alpha.pk, member_id=1, key_id=1,
        endpoint_id=0, route_id=0, door=0, model_name="tiny", prompt_tokens=tokens, cost_nano=2_500_000_000)


@pytest.mark.parametrize(("tokens", "title"), [
    (0, "Nothing is near its limit: the fullest is at 0 %"), (400, "Nothing is near its limit: the fullest is at 40 %"),
    (900, "Near its limit: Tokens a month of Alpha, 90 %"),
])
def test_the_title_says_what_is_near_its_limit(cast: Cast, client_of: ClientOf, tokens: int, title: str) -> None:
    set_limit(cast.alpha, tokens_per_month=1000, gpus=4)
    use(cast, tokens)
    page = client_of("vera").get(LIST).content.decode()
    assert f"<h1>{title}</h1>" in page
    assert f"{tokens} of 1,000" in page
    assert "0 of 4" in page
    assert "Every limit on the chain applies" in page


def test_without_limits_the_page_says_so(client_of: ClientOf) -> None:
    assert "<h1>Nothing is limited</h1>" in client_of("vera").get(LIST).content.decode()


def test_operators_see_the_limits_of_all_workspaces(cast: Cast, client_of: ClientOf) -> None:
    for workspace in (cast.alpha, cast.beta):
        set_limit(workspace, LimitKind.MODEL, of={"model_name": f"model of {workspace}"}, requests_per_minute=5)
    page = client_of("operator").get("/w/-/limits/").content.decode()
    assert ("model of Alpha" in page, "model of Beta" in page) == (True, True)
    assert "model of Beta" not in client_of("alice").get(LIST).content.decode()


@pytest.mark.parametrize(("kind", "subject"), [
    ("member", {"member": "bob"}), ("key", {"key": "its uid"}), ("model", {"model_name": "tiny"}),
])
def test_an_admin_limits_a_member_a_key_or_a_model(
        cast: Cast, client_of: ClientOf, kind: str, subject: dict[str, str]) -> None:
    if kind == "key":
        subject = {"key": str(services.create_key(cast.actor("bob"), cast.alpha, name="ci")[0].uid)}
    form = {**subject, "requests_per_minute": "60", "money_per_month": "12.50", "once": "a-sheet"}
    alice = client_of("alice")
    for _time in range(2):
        assert alice.post(f"{NEW}?kind={kind}", form).status_code == 302
    row = Limit.objects.get()
    assert (row.kind, row.requests_per_minute, row.money_per_month, row.gpus) == (kind, 60, Decimal("12.50"), None)
    assert AuditEntry.objects.filter(kind="tenancy.limit").count() == 1


@pytest.mark.parametrize(("who", "kind", "form", "status", "words"), [
    ("alice", "member", {"member": "bob"}, 422, "id_requests_per_minute_error"),
    ("alice", "member", {"member": "charlie", "gpus": "1"}, 422, "id_member_error"),
    ("alice", "member", {"gpus": "1"}, 422, "id_member_error"),
    ("alice", "key", {"key": "0190", "gpus": "1"}, 422, "id_key_error"),
    ("alice", "model", {"model_name": "", "gpus": "1"}, 422, "id_model_name_error"),
    ("alice", "model", {"model_name": "tiny", "gpus": "-1"}, 422, "id_gpus_error"),
    ("alice", "model", {"model_name": "tiny", "gpus": "99999999999999"}, 422, "id_gpus_error"),
    ("alice", "model", {"model_name": "tiny", "money_per_month": "1.234"}, 422, "id_money_per_month_error"),
    ("alice", "workspace", {"gpus": "1"}, 422, "id_member_error"),
    ("bob", "member", {"member": "bob", "gpus": "1"}, 403, "role or key does not allow"),
])
def test_a_refusal_stands_at_its_field(
        client_of: ClientOf, who: str, kind: str, form: dict[str, str], status: int, words: str) -> None:
    page = client_of(who).post(f"{NEW}?kind={kind}", form)
    assert (page.status_code, words in page.content.decode(), Limit.objects.count()) == (status, True, 0)


def test_only_operators_limit_the_workspace(cast: Cast, client_of: ClientOf) -> None:
    assert client_of("operator").post(f"{NEW}?kind=workspace", {"gpus": "8"}).status_code == 302
    row = Limit.objects.get()
    alice = client_of("alice")
    assert b"Only an operator changes" in alice.get(f"{LIST}{row.uid}/").content
    assert alice.post(f"{LIST}{row.uid}/", {"gpus": "80"}).status_code == 403
    assert alice.post(f"{LIST}{row.uid}/delete/").status_code == 403
    assert Limit.objects.get().gpus == 8


def test_a_limit_is_changed_and_taken_away(cast: Cast, client_of: ClientOf) -> None:
    set_limit(cast.alpha, gpus=14)
    row = set_limit(cast.alpha, LimitKind.MODEL, of={"model_name": "tiny"}, requests_per_minute=5)
    services.set_member(cast.actor("alice"), cast.alpha, cast.bob, Role.ADMIN)
    bob, path = client_of("bob"), f"{LIST}{row.uid}/"
    assert "The workspace may use 14 in all." in bob.get(path).content.decode()
    assert bob.post(path, {"gpus": "2"}).status_code == 302
    row.refresh_from_db()
    assert (row.requests_per_minute, row.gpus) == (None, 2)
    assert bob.post(path, {}).status_code == 422
    assert bob.post(f"{path}delete/").status_code == 302
    assert not Limit.objects.filter(pk=row.pk).exists()


def test_the_list_costs_the_same_for_many_limits(
        cast: Cast, client_of: ClientOf, django_assert_max_num_queries: Any) -> None:
    set_limit(cast.alpha, gpus=4, tokens_per_month=10)
    for number in range(60):
        set_limit(cast.alpha, LimitKind.MODEL, of={"model_name": f"m{number}"}, tokens_per_month=10, replicas=2,
                  requests_per_minute=3)
    alice = client_of("alice")
    alice.get("/w/alpha/")  # the first page of a session notes the session
    with django_assert_max_num_queries(22):
        page = alice.get(LIST)
    assert page.status_code == 200
