"""Verbs on the channels that alerts go through. Whoever manages a workspace manages its channels."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from endpoints.alerts import ChannelKind, DeliveryState
from endpoints.models import AlertChannel, Delivery
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.models import Workspace
from portal.tenancy.net import check_url
from portal.tenancy.queue import after_commit
from portal.tenancy.roles import Verb
from portal.tenancy.rows import new_uid
from portal.tenancy.text import printable

SEND = "endpoints.tasks.send_delivery"
MOST_CHANNELS = 20
MOST_ADDRESSES = 10
# Nobody floods a mailbox through the portal.
TEST_PAUSE = timedelta(minutes=1)


@retry_tx
def create_channel(
    actor: Actor, workspace: Workspace, *, name: str, kind: str, addresses: Iterable[str] = (), url: str = "",
    is_enabled: bool = True,
) -> tuple[AlertChannel, str]:
    """A new channel and, of a webhook, its signing secret, which is shown this once.

    Raises NotFound, NotAllowed, Invalid with the field (AddressRefused for the URL), Conflict where the name is taken.
    """
    actor.require(Verb.MANAGE, workspace)
    if AlertChannel.objects.filter(workspace=workspace).count() >= MOST_CHANNELS:
        raise Conflict(_("A workspace has at most %(most)d alert channels.") % {"most": MOST_CHANNELS})
    row = AlertChannel(workspace=workspace, name=_checked_name(name), kind=kind, is_enabled=is_enabled,
                       created_by=actor.user)
    _aim(row, addresses, url)
    text = row.draw_secret() if row.url else ""
    _save(row)
    audit.record(actor, "create", row, workspace=workspace, after=audit.snapshot(row))
    return row, text


@retry_tx
def change_channel(
    actor: Actor, channel: AlertChannel, *, name: str | None = None, addresses: Iterable[str] | None = None,
    url: str | None = None, is_enabled: bool | None = None,
) -> tuple[AlertChannel, str]:
    """Change what is given. Another URL gets another secret, which is returned and shown this once. Raises as above."""
    actor.require(Verb.MANAGE, channel.workspace)
    row = AlertChannel.objects.select_related("workspace").get(pk=channel.pk)
    before = audit.snapshot(row)
    row.name = row.name if name is None else _checked_name(name)
    row.is_enabled = row.is_enabled if is_enabled is None else is_enabled
    old_url = row.url
    _aim(row, row.addresses if addresses is None else addresses, row.url if url is None else url)
    text = row.draw_secret() if row.url != old_url else ""
    _save(row)
    audit.record(actor, "change", row, workspace=row.workspace, before=before, after=audit.snapshot(row))
    return row, text


@retry_tx
def renew_secret(actor: Actor, channel: AlertChannel) -> str:
    """Another signing secret for a webhook; the old one is gone at once. Raises Conflict for a channel without one."""
    actor.require(Verb.MANAGE, channel.workspace)
    if channel.kind != ChannelKind.WEBHOOK:
        raise Conflict(_("Only webhooks have a secret."))
    text = channel.draw_secret()
    channel.save(update_fields=["signing_secret", "updated_at"])
    audit.record(actor, "renew secret", channel, workspace=channel.workspace)
    return text


@retry_tx
def delete_channel(actor: Actor, channel: AlertChannel) -> None:
    """Take the channel and its log away."""
    actor.require(Verb.MANAGE, channel.workspace)
    audit.record(actor, "delete", channel, workspace=channel.workspace, before=audit.snapshot(channel))
    channel.delete()


@retry_tx
def send_test(actor: Actor, channel: AlertChannel) -> Delivery:
    """Send something that says that it is a test. Raises Conflict a minute after the last one, and where it is not in use."""
    actor.require(Verb.MANAGE, channel.workspace)
    if not channel.is_enabled:
        raise Conflict(_("This channel is not in use."))
    tests = Delivery.objects.filter(channel=channel, limit_id=0)
    if tests.filter(created_at__gt=Now() - TEST_PAUSE).exists():
        raise Conflict(_("A test was sent less than a minute ago. Look at the log of the channel."))
    row = Delivery.objects.create(channel=channel, window=str(new_uid()), next_try_at=Now())
    audit.record(actor, "test", channel, workspace=channel.workspace)
    after_commit(SEND, row.pk)
    return Delivery.objects.select_related("channel").get(pk=row.pk)


@retry_tx
def send_again(actor: Actor, delivery: Delivery) -> Delivery:
    """Begin anew with the tries, at once. The receiver sees the same id, so it can tell what it has already."""
    actor.require(Verb.MANAGE, delivery.channel.workspace)
    if not delivery.channel.is_enabled:
        raise Conflict(_("This channel is not in use."))
    if delivery.state == DeliveryState.WAITING and not delivery.tries:
        raise Conflict(_("It is on its way already."))
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.WAITING, tries=0, error="", next_try_at=Now())
    audit.record(actor, "send again", delivery, workspace=delivery.channel.workspace)
    after_commit(SEND, delivery.pk)
    return Delivery.objects.select_related("channel").get(pk=delivery.pk)


def _aim(row: AlertChannel, addresses: Iterable[str], url: str) -> None:
    """Set where the channel leads. Raises Invalid."""
    if row.kind == ChannelKind.MAIL:
        if url:
            raise Invalid(_("A mail channel has no URL."), field="url")
        row.addresses, row.url = _checked_addresses(addresses), ""
    elif row.kind == ChannelKind.WEBHOOK:
        if list(addresses):
            raise Invalid(_("A webhook has no mail addresses."), field="addresses")
        row.addresses, row.url = [], str(check_url(url, schemes=("https", "http"), field="url", public_only=True))
    else:
        raise Invalid(_("Choose mail or webhook."), field="kind")


def _checked_addresses(addresses: Iterable[str]) -> list[str]:
    if not settings.PORTAL_MAIL_URL:
        raise Invalid(_("This portal sends no mail: its operator has to set PORTAL_MAIL_URL first."), field="kind")
    found = list(dict.fromkeys(address.strip() for address in addresses))
    if not 1 <= len(found) <= MOST_ADDRESSES:
        raise Invalid(_("Give 1 to %(most)d mail addresses.") % {"most": MOST_ADDRESSES}, field="addresses")
    for address in found:
        try:
            validate_email(address)
        except ValidationError as error:
            raise Invalid(_("“%(address)s” is no mail address.") % {"address": address[:100]}, field="addresses") from error
    return found


def _checked_name(name: str) -> str:
    try:
        kept = printable(name)
    except ValueError as error:
        raise Invalid(str(error), field="name") from error
    if not 1 <= len(kept) <= 100:
        raise Invalid(_("Give the channel a name of at most 100 characters."), field="name")
    return kept


def _save(row: AlertChannel) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(_("The workspace has a channel with this name already."), field="name") from error
