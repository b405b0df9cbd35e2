"""Alert channels by page and by program: a secret is shown once, refusals come back as words, the log tells how it went."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from endpoints.models import AlertChannel, Delivery
from portal.tenancy.models import AuditEntry, User
from tests.cast import Cast
from tests.portal.apiclient import Api, by_key
from tests.portal.conftest import signed_in
from tests.portal.world import make_channel

pytestmark = pytest.mark.both_databases
SECRET = re.compile(r"whsec_[A-Za-z0-9_-]{43}")
ADD = "/admin/endpoints/alertchannel/add/"


def page_of(row: AlertChannel) -> str:
    return reverse("admin:endpoints_alertchannel_change", args=[row.pk])


def form(cast: Cast, **values: Any) -> dict[str, Any]:
    return {"workspace": cast.alpha.pk, "name": "hook", "kind": "webhook", "addresses": "", "is_enabled": "on",
            "url": "https://hooks.example/a", **values}


def log_form() -> dict[str, str]:
    """What an inline that nobody can edit sends along."""
    return {"deliveries-TOTAL_FORMS": "0", "deliveries-INITIAL_FORMS": "0"}


def secret_in(answer: Any) -> str:
    found = set(SECRET.findall(answer.content.decode()))
    assert len(found) == 1, answer.content.decode()[:3000]
    return str(found.pop())


def confirm(client: Client, row: Any, action: str) -> Any:
    """Open the page that asks, and confirm it."""
    address = reverse(f"admin:endpoints_{row._meta.model_name}_{action}", args=[row.pk])
    token = re.search(r'name="confirm_token" value="([0-9a-f]{32})"', client.get(address).content.decode())
    assert token
    return client.post(address, {"confirm_token": token[1]})


def test_a_webhook_made_on_the_page_shows_its_secret_once(cast: Cast, operator: Client) -> None:
    answer = operator.post(ADD, form(cast))
    secret = secret_in(answer)
    assert "no-store" in answer["Cache-Control"]
    row = AlertChannel.objects.get()
    assert row.secret("signing_secret") == secret
    for address in (page_of(row), "/admin/endpoints/alertchannel/", "/admin/", "/admin/tenancy/auditentry/"):
        assert secret not in operator.get(address).content.decode()
    renamed = operator.post(page_of(row), {**form(cast, name="renamed"), **log_form()})
    assert renamed.status_code == 302
    moved = secret_in(operator.post(page_of(row), {**form(cast, name="renamed", url="https://hooks.example/b"), **log_form()}))
    renewed = secret_in(confirm(operator, row, "renew"))
    assert len({secret, moved, renewed}) == 3
    row = AlertChannel.objects.get()
    assert (row.name, row.url, row.secret("signing_secret")) == ("renamed", "https://hooks.example/b", renewed)
    assert [*AuditEntry.objects.order_by("pk").values_list("verb", flat=True)] == ["create", "change", "change", "renew secret"]


def test_a_mail_channel_takes_an_address_a_line(cast: Cast, operator: Client, settings: Settings) -> None:
    settings.PORTAL_MAIL_URL = "smtp://tests"
    mail = form(cast, kind="mail", url="", addresses="a@example.org\r\n\r\n b@example.org \r\n")
    assert operator.post(ADD, mail).status_code == 302
    row = AlertChannel.objects.get()
    assert row.addresses == ["a@example.org", "b@example.org"]
    assert "a@example.org\nb@example.org" in operator.get(page_of(row)).content.decode()


@pytest.mark.parametrize(("values", "words"), [
    ({"url": "http://169.254.169.254/latest"}, "address not allowed"), ({"kind": "mail", "url": ""}, "PORTAL_MAIL_URL"),
    ({"addresses": "a@example.org"}, "A webhook has no mail addresses"),
])
def test_a_refusal_comes_back_with_the_form(cast: Cast, operator: Client, values: dict[str, Any], words: str) -> None:
    answer = operator.post(ADD, form(cast, **values))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not AlertChannel.objects.exists()


def test_the_log_shows_what_became_of_each_alert_and_sends_again(cast: Cast, operator: Client) -> None:
    row = make_channel(cast, cast.alpha, "hook")
    Delivery.objects.update(state="failed", tries=6, error="status 500")
    page = operator.get(page_of(row)).content.decode()
    for words in ("Alpha: 80 % of the limit is used. Tokens a month: 8 of 10.", "given up", "status 500"):
        assert words in page
    assert "given up" in operator.get("/admin/endpoints/alertchannel/").content.decode()
    delivery = Delivery.objects.get()
    assert "Send again: 1 started." in said(confirm(operator, delivery, "send_again"))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("waiting", 0)
    assert "Send a test: 1 started." in said(confirm(operator, row, "send_test"))
    assert "a minute ago" in " ".join(said(confirm(operator, row, "send_test")))
    assert Delivery.objects.filter(limit_id=0).count() == 1


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def test_a_neighbour_sees_and_changes_nothing(cast: Cast, staff: Callable[..., User]) -> None:
    row = make_channel(cast, cast.alpha, "alpha-hook")
    rights = ("view_alertchannel", "change_alertchannel", "delete_alertchannel", "test_alertchannel", "renew_alertchannel",
              "view_delivery", "resend_delivery")
    client = signed_in(staff("dora", cast.beta, *rights))
    for address in ("/admin/endpoints/alertchannel/", "/admin/endpoints/delivery/"):
        assert "alpha-hook" not in client.get(address).content.decode()
    delivery = Delivery.objects.get()
    addresses = [page_of(row), *(reverse(f"admin:endpoints_{name}", args=[pk]) for name, pk in (
        ("alertchannel_send_test", row.pk), ("alertchannel_renew", row.pk), ("alertchannel_delete", row.pk),
        ("delivery_send_again", delivery.pk), ("delivery_change", delivery.pk)))]
    for address in addresses:
        assert client.get(address).status_code == 302
        assert client.post(address, {"confirm_token": "0" * 32, "post": "yes"}).status_code in {302, 403}
    assert (AlertChannel.objects.count(), Delivery.objects.count()) == (1, 1)


def test_a_developer_with_rights_to_the_page_still_does_not_manage(cast: Cast, staff: Callable[..., User]) -> None:
    row = make_channel(cast, cast.alpha, "hook")
    client = signed_in(staff("dora", cast.alpha, "view_alertchannel", "delete_alertchannel", "test_alertchannel",
                             role="developer"))
    assert "Your role or key does not allow this" in " ".join(said(confirm(client, row, "send_test")))
    assert Delivery.objects.count() == 1


def test_a_program_gets_the_secret_once_and_the_same_answer_to_a_repeated_call(cast: Cast) -> None:
    api = by_key(cast.alice, cast.alpha, "manage")
    body = {"workspace": "alpha", "name": "ci", "kind": "webhook", "url": "https://hooks.example/a/"}
    first, again = (api.post("alerts", body, Idempotency_Key="one") for _ in range(2))
    assert first.status_code == 201
    assert first.json() == again.json()
    secret, uid = secret_in(first), first.json()["channel"]["uid"]
    assert first.json()["channel"]["url"] == "https://hooks.example/a"
    shown = api.get(f"alerts/{uid}")
    assert not SECRET.search(shown.content.decode() + api.get("alerts").content.decode())
    changed = api.patch(f"alerts/{uid}", {"url": "https://hooks.example/b"}, If_Match=shown["ETag"])
    assert changed.status_code == 200, changed.content
    assert api.patch(f"alerts/{uid}", {"is_enabled": False}, If_Match=shown["ETag"]).status_code == 412
    same = api.patch(f"alerts/{uid}", {"name": "renamed"}).json()
    renewed = api.post(f"alerts/{uid}/secret").json()["secret"]
    assert (same["secret"], len({secret, changed.json()["secret"], renewed})) == ("", 3)
    kept = json.dumps([*AuditEntry.objects.values_list("before", "after")])
    assert not SECRET.search(kept)
    assert api.delete(f"alerts/{uid}").status_code == 204
    assert api.get(f"alerts/{uid}").status_code == 404


def test_a_program_reads_the_log_and_sends_again(cast: Cast) -> None:
    api = Api(cast.alice)
    row = make_channel(cast, cast.alpha, "hook")
    make_channel(cast, cast.beta, "hook")
    Delivery.objects.filter(channel=row).update(quantity="money_per_month", used=8_125_000, most=10_000_000, state="failed",
                                                tries=6, error="timeout")
    test = api.post(f"alerts/{row.uid}/test").json()
    assert (test["is_test"], test["state"], test["month"]) == (True, "waiting", "")
    assert api.post(f"alerts/{row.uid}/test").status_code == 409
    log = api.get(f"alerts/{row.uid}/deliveries").json()["items"]
    assert [item["uid"] for item in log] == [test["uid"], str(Delivery.objects.get(channel=row, limit_id=1).uid)]
    expected = {"limit": "Alpha", "month": "2026-11", "threshold": 80, "used": "8.12", "most": "10.00", "state": "failed",
                "error": "timeout", "next_try_at": None}
    assert {name: log[1][name] for name in expected} == expected
    again = api.post(f"alerts/{row.uid}/deliveries/{log[1]['uid']}/resend")
    assert (again.status_code, again.json()["state"], again.json()["tries"]) == (202, "waiting", 0)
    other = Delivery.objects.get(channel__workspace=cast.beta)
    assert api.post(f"alerts/{row.uid}/deliveries/{other.uid}/resend").status_code == 404
    assert [item["workspace"] for item in api.get("alerts?workspace=alpha").json()["items"]] == ["alpha"]
    assert api.get("alerts?workspace=beta").json()["items"] == []


@pytest.mark.parametrize("body", [
    {"name": "x", "kind": "webhook", "url": "https://127.0.0.1"}, {"name": "x", "kind": "pigeon"},
    {"name": "x", "kind": "webhook", "url": "https://hooks.example", "secret": "mine"}, {"name": "", "kind": "mail"},
])
def test_a_body_that_is_wrong_is_refused_with_the_shape_of_all_errors(cast: Cast, body: dict[str, Any]) -> None:
    answer = Api(cast.alice).post("alerts", {"workspace": "alpha", **body})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] in {"invalid", "address_not_allowed"}
    assert not AlertChannel.objects.exists()
