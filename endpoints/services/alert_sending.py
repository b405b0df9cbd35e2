"""Sending an alert: claimed by compare-and-swap, sent outside of any transaction, tried again for a day.

A try is counted before it is made, together with the time of the next one. So a worker that dies between sending
and marking sends once more later, with the same id: at least once, and a receiver can tell a repetition.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import smtplib
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F
from django.db.models.functions import Now
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from endpoints.alerts import MICRO, THRESHOLDS, TRIES, ChannelKind, DeliveryState, pause_after
from endpoints.models import Delivery
from portal.tenancy.db import retry_tx
from portal.tenancy.faults import outside_call
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.models import Limit
from portal.tenancy.net import AddressRefused, check_url
from portal.tenancy.outgoing import NotDelivered, post, reason_of
from portal.tenancy.text import clean

SIGNATURE = "Portal-Signature"
DELIVERY = "Portal-Delivery"


def send(delivery_id: int) -> bool:
    """Try once to send this delivery, where it is due and nobody else does; whether it was sent."""
    row = _claim(delivery_id)
    if row is None:
        return False
    try:
        with outside_call():
            _SENDERS[ChannelKind(row.channel.kind)](row)
    except NotDelivered as failure:
        _mark(row, error=failure.reason, state=DeliveryState.FAILED if row.tries >= TRIES else DeliveryState.WAITING)
        return False
    _mark(row, error="", state=DeliveryState.SENT, sent_at=Now())
    return True


@retry_tx
def _claim(delivery_id: int) -> Delivery | None:
    due = Delivery.objects.filter(pk=delivery_id, state=DeliveryState.WAITING, next_try_at__lte=Now(),
                                  channel__is_enabled=True)
    row = due.select_related("channel__workspace").first()
    if row is None:
        return None
    mine = Delivery.objects.filter(pk=row.pk, state=DeliveryState.WAITING, tries=row.tries)
    if row.tries >= TRIES:
        mine.update(state=DeliveryState.FAILED, error="unknown")  # whoever made the last try did not come back
        return None
    row.tries += 1
    won = mine.update(tries=F("tries") + 1, next_try_at=Now() + _jittered(pause_after(row.tries)))
    return row if won else None


def _jittered(pause: timedelta) -> timedelta:
    return pause * random.uniform(0.9, 1)


@retry_tx
def _mark(row: Delivery, **fields: Any) -> None:
    """Write how the try went, unless somebody has begun anew meanwhile."""
    Delivery.objects.filter(pk=row.pk, state=DeliveryState.WAITING, tries=row.tries).update(updated_at=Now(), **fields)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The header's value: HMAC-SHA256 under the channel's secret over the timestamp, a full stop and the body."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


def payload(row: Delivery) -> dict[str, Any]:
    """What a webhook is told. It is the same in each try."""
    said: dict[str, Any] = {
        "id": str(row.uid), "type": "test" if row.is_test else "limit.reached", "created_at": row.created_at.isoformat(),
        "workspace": {"slug": row.channel.workspace.slug, "name": row.channel.workspace.name},
        "channel": {"uid": str(row.channel.uid), "name": row.channel.name}}
    if not row.is_test:
        said["limit"] = {"name": row.subject, "quantity": row.quantity}
        said |= {"month": row.window, "threshold": row.threshold, "used": amount(row.quantity, row.used),
                 "most": amount(row.quantity, row.most)}
    return said


def amount(quantity: str, units: int) -> int | str:
    """A count, or money as decimal text."""
    return f"{units / MICRO:.2f}" if quantity == "money_per_month" else units


def sentence(row: Delivery) -> str:
    """The alert in words."""
    if row.is_test:
        return _("This is a test of the alert channel %(name)s.") % {"name": row.channel.name}
    what = Limit._meta.get_field(row.quantity).verbose_name  # type: ignore[union-attr]  # all of ours have one
    words = _("%(limit)s: the limit is used up. %(what)s: %(used)s of %(most)s.") if row.threshold == THRESHOLDS[-1] else _(
        "%(limit)s: %(threshold)d %% of the limit is used. %(what)s: %(used)s of %(most)s.")
    return words % {"limit": row.subject, "threshold": row.threshold, "what": capfirst(what),
                    "used": _spoken(row.quantity, row.used), "most": _spoken(row.quantity, row.most)}


def _spoken(quantity: str, units: int) -> str:
    return f"{units / MICRO:,.2f}" if quantity == "money_per_month" else f"{units:,}"


def _send_webhook(row: Delivery) -> None:
    body = json.dumps(payload(row)).encode()
    try:
        # The word of the URL may have been given before a network was closed, so it is judged each time.
        url = check_url(row.channel.url, schemes=("https", "http"), public_only=True)
        secret = row.channel.secret("signing_secret")
    except AddressRefused as error:
        raise NotDelivered(reason_of(error)) from None
    except SecretUnreadable:
        raise NotDelivered("secret unreadable") from None
    post(url, body, {"Content-Type": "application/json", DELIVERY: str(row.uid),
                     SIGNATURE: signature(secret, int(time.time()), body)})


def _send_mail(row: Delivery) -> None:
    if not settings.PORTAL_MAIL_URL:
        raise NotDelivered("no mail server")
    host = urlsplit(settings.PORTAL_URL).hostname
    title = _("Test of an alert channel") if row.is_test else f"{row.subject}: {row.threshold} %"
    lines = [sentence(row), "", _("Each of 50, 80 and 100 %% is told once a month and limit. Channel: %(channel)s, "
                                  "workspace %(workspace)s, %(portal)s") % {
        "channel": row.channel.name, "workspace": row.channel.workspace.name, "portal": settings.PORTAL_URL}]
    message = EmailMessage(
        clean(title, 150).replace("\n", " "), "\n".join(lines), to=row.channel.addresses,
        headers={"Message-ID": f"<{row.uid}@{host}>", DELIVERY: str(row.uid), "Auto-Submitted": "auto-generated"})
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(_mail_reason(error)) from None


def _mail_reason(error: smtplib.SMTPException | OSError) -> str:
    """What a mail server said is for operators: here only its code stands."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"status {error.smtp_code}"
    return "recipients refused" if isinstance(error, smtplib.SMTPRecipientsRefused) else reason_of(error)


_SENDERS = {ChannelKind.MAIL: _send_mail, ChannelKind.WEBHOOK: _send_webhook}
