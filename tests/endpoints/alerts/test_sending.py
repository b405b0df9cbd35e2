"""That an alert arrives, signed, and what happens when it doesn't."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import Settings

from endpoints.alerts import TRIES, DeliveryState, pause_after
from endpoints.models import Delivery
from endpoints.services import alert_sending, alert_watch
from endpoints.services.alert_channels import change_channel, create_channel, send_again, send_test
from portal.tenancy.errors import Conflict
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, set_limit
from tests.endpoints.alerts.making import NOW, at_once, let_time_pass, make_hook, use, verified, worker_dies
from tests.rig.mailbox import Mailbox, free_port
from tests.rig.receiver import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


def test_a_webhook_is_signed_and_says_what_is_used(cast: Cast, hooks: Receiver) -> None:
    channel, secret = make_hook(cast, hooks)
    limit = set_limit(cast.alpha, money_per_month=Decimal("12.50"))
    use(cast, 5, money="10.004")
    alert_watch.watch(NOW)
    row = Delivery.objects.get()
    assert alert_sending.send(row.pk)
    (call,) = hooks.calls
    body = verified(call, secret)
    assert body == {
        "id": str(row.uid), "type": "limit.reached", "created_at": row.created_at.isoformat(), "month": "2026-11",
        "workspace": {"slug": "alpha", "name": "Alpha"}, "channel": {"uid": str(channel.uid), "name": "hook"},
        "limit": {"name": str(limit), "quantity": "money_per_month"}, "threshold": 80, "used": "10.00", "most": "12.50"}
    row.refresh_from_db()
    assert (row.state, row.tries, row.error) == (DeliveryState.SENT, 1, "")
    assert row.sent_at is not None
    assert not alert_sending.send(row.pk)
    assert len(hooks.calls) == 1


def test_a_changed_body_a_changed_time_and_another_secret_do_not_verify(cast: Cast, hooks: Receiver) -> None:
    _channel, secret = make_hook(cast, hooks)
    body = b'{"used": 1}'
    good = alert_sending.signature(secret, 1_700_000_000, body)
    assert good.startswith("t=1700000000,v1=")
    assert good not in (alert_sending.signature(secret, 1_700_000_000, b'{"used": 2}'),
                        alert_sending.signature(secret, 1_700_000_001, body),
                        alert_sending.signature("whsec_other", 1_700_000_000, body))


def test_a_mail_reaches_every_address_in_words(cast: Cast, post_office: Mailbox) -> None:
    channel, secret = create_channel(cast.actor("alice"), cast.alpha, name="Finance", kind="mail",
                                     addresses=["a@example.org", "b@example.org"])
    assert secret == ""
    set_limit(cast.alpha, "member", of={"member": cast.bob}, tokens_per_month=1000)
    use(cast, 812)
    alert_watch.watch(NOW)
    row = Delivery.objects.get()
    assert alert_sending.send(row.pk)
    (mail,) = post_office.mails
    assert post_office.recipients == ["a@example.org", "b@example.org"]
    assert (mail["Subject"], mail["From"]) == ("Alpha · member bob: 80 %", "portal@example.org")
    assert mail["Message-ID"].startswith(f"<{row.uid}@")
    text = mail.get_content()
    assert "Alpha · member bob: 80 % of the limit is used. Tokens a month: 812 of 1,000." in text
    assert f"Channel: {channel.name}, workspace Alpha" in text


def test_a_mail_server_that_refuses_or_is_away_is_told_in_a_word(
    cast: Cast, post_office: Mailbox, settings: Settings,
) -> None:
    channel, _none = create_channel(cast.actor("alice"), cast.alpha, name="m", kind="mail", addresses=["a@example.org"])
    row = send_test(cast.actor("alice"), channel)
    post_office.refuse = "451 4.3.0 secret words of the server"
    for port, error in ((post_office.port, "status 451"), (free_port(), "refused")):
        settings.EMAIL_PORT = port
        let_time_pass()
        assert not alert_sending.send(row.pk)
        row.refresh_from_db()
        assert (row.state, row.error) == (DeliveryState.WAITING, error)
    settings.PORTAL_MAIL_URL = ""
    let_time_pass()
    alert_sending.send(row.pk)
    row.refresh_from_db()
    assert row.error == "no mail server"


def test_a_failure_is_tried_again_after_growing_pauses_and_given_up_after_a_day(cast: Cast, hooks: Receiver) -> None:
    channel, secret = make_hook(cast, hooks)
    row = send_test(cast.actor("alice"), channel)
    hooks.answers = [b"HTTP/1.1 500 Oh\r\n\r\n"] * 20
    for tries in range(1, TRIES + 1):
        assert not alert_sending.send(row.pk)
        row.refresh_from_db()
        last = tries == TRIES
        assert (row.tries, row.error) == (tries, "status 500")
        assert row.state == (DeliveryState.FAILED if last else DeliveryState.WAITING)
        rest = row.next_try_at - timezone.now()
        assert last or pause_after(tries) * 0.89 < rest <= pause_after(tries)
        assert not alert_sending.send(row.pk), "not before its time"
        let_time_pass()
    assert not alert_sending.send(row.pk)
    assert len(hooks.calls) == TRIES
    assert len({verified(call, secret)["id"] for call in hooks.calls}) == 1


def test_a_worker_killed_between_sending_and_marking_sends_the_same_once_more(cast: Cast, hooks: Receiver) -> None:
    channel, secret = make_hook(cast, hooks)
    row = send_test(cast.actor("alice"), channel)
    for at, calls in ((1, 0), (2, 1)):  # before the call, and after it
        assert worker_dies(row, at)
        assert len(hooks.calls) == calls
        row.refresh_from_db()
        assert (row.state, row.tries) == (DeliveryState.WAITING, at)
        assert not alert_sending.send(row.pk), "the try counts, and its pause"
        let_time_pass()
    assert alert_sending.send(row.pk)
    first, second = (verified(call, secret) for call in hooks.calls)
    assert first == second
    row.refresh_from_db()
    assert (row.state, row.tries) == (DeliveryState.SENT, 3)


def test_a_worker_killed_in_the_last_try_leaves_it_given_up(cast: Cast, hooks: Receiver) -> None:
    channel, _secret = make_hook(cast, hooks)
    row = send_test(cast.actor("alice"), channel)
    Delivery.objects.update(tries=TRIES - 1)
    assert worker_dies(row, 2)
    let_time_pass()
    assert not alert_sending.send(row.pk)
    row.refresh_from_db()
    assert (row.state, row.error, len(hooks.calls)) == (DeliveryState.FAILED, "unknown", 1)


def test_workers_that_send_at_once_send_once(cast: Cast, hooks: Receiver) -> None:
    channel, _secret = make_hook(cast, hooks)
    row = send_test(cast.actor("alice"), channel)
    assert sorted(at_once(6, lambda: alert_sending.send(row.pk))) == [False] * 5 + [True]
    assert len(hooks.calls) == 1


def test_what_waits_is_found_when_its_time_comes_without_any_message(cast: Cast, hooks: Receiver) -> None:
    channel, _secret = make_hook(cast, hooks)
    row = send_test(cast.actor("alice"), channel)
    assert list(alert_watch.due()) == [row.pk]
    hooks.answers = [b"HTTP/1.1 503 Later\r\n\r\n"]
    alert_sending.send(row.pk)
    assert list(alert_watch.due()) == []
    let_time_pass()
    change_channel(cast.actor("alice"), channel, is_enabled=False)
    assert list(alert_watch.due()) == []
    assert not alert_sending.send(row.pk)
    change_channel(cast.actor("alice"), channel, is_enabled=True)
    assert list(alert_watch.due()) == [row.pk]


def test_it_can_be_sent_again_with_the_same_id(cast: Cast, hooks: Receiver) -> None:
    channel, _secret = make_hook(cast, hooks)
    row = send_test(cast.actor("alice"), channel)
    with pytest.raises(Conflict, match="on its way"):
        send_again(cast.actor("alice"), row)
    alert_sending.send(row.pk)
    row.refresh_from_db()
    again = send_again(cast.actor("alice"), row)
    assert (again.state, again.tries) == (DeliveryState.WAITING, 0)
    assert alert_sending.send(row.pk)
    assert len({call.headers["portal-delivery"] for call in hooks.calls}) == 1
    assert AuditEntry.objects.filter(verb="send again", workspace=cast.alpha).count() == 1


def test_old_deliveries_are_forgotten(cast: Cast, hooks: Receiver) -> None:
    channel, _secret = make_hook(cast, hooks)
    old, young = (Delivery.objects.create(channel=channel, window=str(number)) for number in range(2))
    Delivery.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=401))
    alert_watch.watch()
    assert list(Delivery.objects.all()) == [young]
