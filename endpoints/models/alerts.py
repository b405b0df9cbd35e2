from __future__ import annotations

import secrets
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.tenancy.fields import EncryptedField, HoldsSecrets
from portal.tenancy.models import User, Workspace
from portal.tenancy.rows import Row

from ..alerts import ChannelKind, DeliveryState

SECRET_PREFIX = "whsec_"  # noqa: S105 - says what kind of secret it is


class AlertChannelQuerySet(models.QuerySet["AlertChannel"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(workspace__in=workspaces)


class AlertChannel(HoldsSecrets, Row):
    """Where a workspace is told that a limit is half used, nearly used or used: some mail addresses, or a webhook.

    The webhook's secret is bound to its URL: a changed address gets a new one.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="alert_channels", verbose_name=_("workspace"))
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("sent by"), max_length=8, choices=ChannelKind.choices, default=ChannelKind.MAIL)
    addresses = models.JSONField(_("mail addresses"), default=list, blank=True)
    url = models.CharField(_("webhook URL"), max_length=300, blank=True, default="")
    signing_secret = EncryptedField(host_field="url")
    is_enabled = models.BooleanField(_("in use"), default=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, editable=False, related_name="+",
                                   verbose_name=_("made by"))

    objects = AlertChannelQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="alert_channel_name_once"),
            models.CheckConstraint(name="alert_channel_url_of_webhook", condition=(
                models.Q(kind=ChannelKind.MAIL, url="") | (models.Q(kind=ChannelKind.WEBHOOK) & ~models.Q(url="")))),
        ]
        verbose_name = _("alert channel")
        verbose_name_plural = _("alert channels")
        permissions = [("test_alertchannel", "Can send a test through alert channels"),
                       ("renew_alertchannel", "Can renew the secrets of alert channels")]

    def __str__(self) -> str:
        return self.name

    @property
    def target(self) -> str:
        """Where it leads, for people."""
        return self.url if self.kind == ChannelKind.WEBHOOK else ", ".join(self.addresses)

    def draw_secret(self) -> str:
        """Keep a new secret, and return its text, which is shown this once."""
        text = SECRET_PREFIX + secrets.token_urlsafe(32)
        self.put_secret("signing_secret", text)
        return text


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(channel__workspace__in=Workspace.objects.visible_to(user))


class Delivery(Row):
    """One alert on its way through one channel; a test has no limit. The rows of a channel are its log.

    An alert is told once for each channel, limit, window (a month) and threshold, counted anew where the limit changes.
    `used` and `most` are in units of the quantity; money is in millionths of the currency.
    """

    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="deliveries", verbose_name=_("channel"))
    limit_id = models.BigIntegerField(default=0, editable=False)  # stays when the limit is deleted
    subject = models.CharField(_("limit"), max_length=300, blank=True, default="")
    quantity = models.CharField(_("quantity"), max_length=24, blank=True, default="")
    window = models.CharField(_("window"), max_length=36)
    threshold = models.PositiveSmallIntegerField(_("per cent"), default=0)
    used = models.BigIntegerField(_("used"), default=0)
    most = models.BigIntegerField(_("at most"), default=0)

    state = models.CharField(_("state"), max_length=8, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True)
    error = models.CharField(_("last error"), max_length=60, blank=True, default="")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(
            fields=["channel", "limit_id", "quantity", "window", "most", "threshold"], name="delivery_once")]
        indexes = [models.Index(fields=["state", "next_try_at"]), models.Index(fields=["channel", "-id"]),
                   models.Index(fields=["created_at"])]
        verbose_name = _("alert sent")
        verbose_name_plural = _("alerts sent")
        permissions = [("resend_delivery", "Can send alerts again")]

    def __str__(self) -> str:
        return f"{self.channel} · {self.window} · {self.threshold} %" if self.limit_id else f"{self.channel} · test"

    @property
    def is_test(self) -> bool:
        return not self.limit_id
