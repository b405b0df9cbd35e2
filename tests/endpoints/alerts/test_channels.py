"""Who may make channels, and where they may lead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django import Settings

from endpoints.models import AlertChannel
from endpoints.services import alert_sending
from endpoints.services.alert_channels import (
    change_channel,
    create_channel,
    delete_channel,
    renew_secret,
    send_again,
    send_test,
)
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.tenancy.models import AuditEntry
from tests.cast import Cast
from tests.endpoints.alerts.making import make_hook
from tests.rig.receiver import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.mark.parametrize(("who", "error"), [("charlie", NotFound), ("vera", NotAllowed), ("bob", NotAllowed)])
def test_only_who_manages_the_workspace_manages_its_channels(
    cast: Cast, hooks: Receiver, who: str, error: type[Exception],
) -> None:
    channel, _secret = make_hook(cast, hooks)
    test, actor = send_test(cast.actor("alice"), channel), cast.actor(who)
    for verb in (
        lambda: create_channel(actor, cast.alpha, name="x", kind="webhook", url="https://hooks.example"),
        lambda: change_channel(actor, channel, name="x"), lambda: renew_secret(actor, channel),
        lambda: send_test(actor, channel), lambda: send_again(actor, test), lambda: delete_channel(actor, channel),
    ):
        with pytest.raises(error):
            verb()
    assert not AuditEntry.objects.filter(actor=actor.user).exists()


def test_the_secret_is_stored_encrypted_bound_to_the_url_and_never_audited(cast: Cast, hooks: Receiver) -> None:
    alice = cast.actor("alice")
    channel, first = make_hook(cast, hooks)
    assert first.startswith("whsec_")
    assert first not in AlertChannel.objects.get().signing_secret
    second = renew_secret(alice, channel)
    _row, none = change_channel(alice, channel, name="renamed")
    row, third = change_channel(alice, channel, url=f"http://127.0.0.1:{hooks.port}/other")
    assert (none, len({first, second, third})) == ("", 3)
    assert row.secret("signing_secret") == third
    entries = json.dumps(list(AuditEntry.objects.values_list("before", "after")))
    assert not [text for text in (first, second, third) if text in entries]
    AlertChannel.objects.update(url=f"http://127.0.0.1:{hooks.port}/moved")
    test = send_test(alice, AlertChannel.objects.get())
    alert_sending.send(test.pk)
    test.refresh_from_db()
    assert (test.error, hooks.calls) == ("secret unreadable", [])


BAD = [
    ({"kind": "webhook", "url": "http://169.254.169.254/latest"}, "url"),
    ({"kind": "webhook", "url": "https://10.0.0.1"}, "url"),
    ({"kind": "webhook", "url": ""}, "url"), ({"kind": "webhook", "url": "ftp://hooks.example"}, "url"),
    ({"kind": "webhook", "url": "https://hooks.example", "addresses": ["a@example.org"]}, "addresses"),
    ({"kind": "mail", "addresses": []}, "addresses"), ({"kind": "mail", "addresses": ["nobody"]}, "addresses"),
    ({"kind": "mail", "addresses": ["a@example.org\r\nBcc: b@example.org"]}, "addresses"),
    ({"kind": "mail", "addresses": [f"p{n}@example.org" for n in range(11)]}, "addresses"),
    ({"kind": "mail", "addresses": ["a@example.org"], "url": "https://hooks.example"}, "url"),
    ({"kind": "pigeon"}, "kind"), ({"kind": "webhook", "url": "https://hooks.example", "name": " "}, "name"),
    ({"kind": "webhook", "url": "https://hooks.example", "name": "a\nb"}, "name"),
]


@pytest.mark.parametrize(("values", "field"), BAD)
def test_a_channel_that_leads_nowhere_good_is_refused(
    cast: Cast, settings: Settings, values: dict[str, Any], field: str,
) -> None:
    settings.PORTAL_MAIL_URL = "smtp://tests"
    with pytest.raises(Invalid) as refusal:
        create_channel(cast.actor("alice"), cast.alpha, **{"name": "x", **values})
    assert refusal.value.field == field
    assert not AlertChannel.objects.exists()


def test_names_are_taken_once_tests_wait_a_minute_and_channels_are_few(
    cast: Cast, hooks: Receiver, monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel, _secret = make_hook(cast, hooks)
    with pytest.raises(Conflict, match="name already"):
        make_hook(cast, hooks)
    send_test(cast.actor("alice"), channel)
    with pytest.raises(Conflict, match="less than a minute ago"):
        send_test(cast.actor("alice"), channel)
    monkeypatch.setattr("endpoints.services.alert_channels.MOST_CHANNELS", 1)
    with pytest.raises(Conflict, match="at most 1"):
        make_hook(cast, hooks, "more")


def test_without_a_mail_server_no_mail_channel_can_be_made(cast: Cast, settings: Settings) -> None:
    settings.PORTAL_MAIL_URL = ""
    with pytest.raises(Invalid, match="PORTAL_MAIL_URL"):
        create_channel(cast.actor("alice"), cast.alpha, name="m", kind="mail", addresses=["a@example.org"])
