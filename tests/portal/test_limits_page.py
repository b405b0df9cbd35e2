"""The admin's page of limits: made by operators and managers, with what is used of each quantity."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client
from django.utils import timezone

from endpoints.models import UsageHour
from endpoints.services.limits import create_limit
from portal.tenancy.models import Limit, User
from tests.cast import Cast
from tests.portal.conftest import signed_in

RIGHTS = ("view_limit", "add_limit", "change_limit", "delete_limit")


def test_the_page_makes_a_limit_and_shows_how_far_it_is_used(cast: Cast, operator: Client) -> None:
    values = {"workspace": cast.alpha.pk, "kind": "model", "model_name": "tiny", "tokens_per_month": "1000"}
    refused = operator.post("/admin/tenancy/limit/add/", {**values, "model_name": ""})
    assert b"Choose for whom or for what" in refused.content
    assert operator.post("/admin/tenancy/limit/add/", values).status_code == 302
    row = Limit.objects.get()
    assert (row.model_name, row.tokens_per_month, row.subject) == ("tiny", 1000, "model:tiny")
    UsageHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=cast.alpha.pk, member_id=1, key_id=1,
        endpoint_id=0, route_id=0, door=0, model_name="tiny", prompt_tokens=100, completion_tokens=150)
    page = operator.get(f"/admin/tenancy/limit/{row.pk}/change/").content.decode()
    assert '<td class="num">250</td><td class="num">1,000</td>' in page
    assert 'class="f-seen" width="25.0%"' in page
    assert "25 %" in operator.get("/admin/tenancy/limit/").content.decode()
    assert operator.post(f"/admin/tenancy/limit/{row.pk}/change/", {"tokens_per_month": "2000"}).status_code == 302
    row.refresh_from_db()
    assert row.tokens_per_month == 2000


def test_a_manager_limits_keys_and_members_but_only_sees_the_workspaces_own_limit(
    cast: Cast, staff: Callable[..., User],
) -> None:
    whole = create_limit(cast.actor("operator"), cast.alpha, kind="workspace", gpus=4)
    own = create_limit(cast.actor("operator"), cast.alpha, kind="model", model_name="m", gpus=4)
    theirs = create_limit(cast.actor("operator"), cast.beta, kind="workspace", gpus=4)
    client = signed_in(staff("dora", cast.alpha, *RIGHTS, role="admin"))
    assert client.get("/admin/tenancy/limit/").content.count(b"/admin/tenancy/limit/") > 2
    for row, status in ((whole, 200), (own, 200), (theirs, 302)):
        assert client.get(f"/admin/tenancy/limit/{row.pk}/change/").status_code == status
    assert client.post(f"/admin/tenancy/limit/{whole.pk}/change/", {"gpus": "9"}).status_code == 403
    assert client.post(f"/admin/tenancy/limit/{own.pk}/change/", {"gpus": "9"}).status_code == 302
    refused = client.post("/admin/tenancy/limit/add/", {"workspace": cast.alpha.pk, "kind": "workspace", "gpus": "9"})
    assert b"Only an operator can do this." in refused.content
    assert client.post(f"/admin/tenancy/limit/{whole.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"/admin/tenancy/limit/{own.pk}/delete/", {"post": "yes"}).status_code == 302
    assert set(Limit.objects.values_list("pk", "gpus")) == {(whole.pk, 4), (theirs.pk, 4)}
