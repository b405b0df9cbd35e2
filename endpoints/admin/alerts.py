"""Alert channels with their log: who is told when limits fill up, and what became of each alert."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget

from clusters.admin.nodes import ReadOnlyInline
from endpoints.alerts import COLOURS, TRIES, ChannelKind, DeliveryState
from endpoints.models import AlertChannel, Delivery
from endpoints.services import alert_channels, alert_sending
from portal.tenancy.adminkit import (
    PeriodFilter,
    PortalAdmin,
    ViewOnlyAdmin,
    WorkspaceFilter,
    actor_of,
    adopt,
    confirmed,
    shown_once,
    status_badge,
)


class ChannelForm(forms.ModelForm[AlertChannel]):
    addresses = forms.CharField(
        label=gettext_lazy("Mail addresses"), required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy("For mail: one a line."))

    class Meta:
        model = AlertChannel
        fields = ("workspace", "name", "kind", "addresses", "url", "is_enabled")
        help_texts = {"url": gettext_lazy(
            "For a webhook: an address in the internet. Each call is signed with a secret, which is shown once.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["addresses"] = "\n".join(self.instance.addresses)

    def clean_addresses(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["addresses"].splitlines() if line.strip()]


class DeliveryCells:
    """What lists show of an alert."""

    @admin.display(description=gettext_lazy("alert"))
    def said(self, row: Delivery) -> str:
        return alert_sending.sentence(row)

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_shown(self, row: Delivery) -> SafeString:
        return status_badge(DeliveryState(row.state).label, COLOURS[DeliveryState(row.state)], note=row.error)

    @admin.display(description=gettext_lazy("tries"))
    def tries_shown(self, row: Delivery) -> str:
        waits = row.state == DeliveryState.WAITING and row.tries
        words = _("%(tries)d of %(most)d, next at %(when)s UTC") if waits else "%(tries)d"
        return words % {"tries": row.tries, "most": TRIES, "when": f"{row.next_try_at:%m-%d %H:%M}"}


class DeliveryInline(DeliveryCells, ReadOnlyInline):
    """The log of a channel."""

    model = Delivery
    fields = ("when", "said", "state_shown", "tries_shown", "sent_at")
    readonly_fields = fields
    hide_title = True
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> Any:
        return Delivery.objects.all().visible_to(request.user).select_related("channel")

    @admin.display(description=gettext_lazy("created"))
    def when(self, row: Delivery) -> SafeString:
        page = reverse("admin:endpoints_delivery_change", args=[row.pk])
        return format_html('<a href="{}">{}</a>', page, f"{row.created_at:%Y-%m-%d %H:%M}")


@admin.register(AlertChannel)
class AlertChannelAdmin(PortalAdmin):
    """Where workspaces are told that their limits fill up."""

    form = ChannelForm
    list_display = ("name", "workspace", "kind", "leads_to", "is_enabled", "last")
    list_filter = ("kind", WorkspaceFilter)
    list_select_related = ("workspace",)
    search_fields = ("name",)
    autocomplete_fields = ("workspace",)
    ordering = ("-id",)
    inlines = (DeliveryInline,)
    actions = ("send_test",)
    actions_detail = ("send_test", "renew")

    def get_queryset(self, request: HttpRequest) -> Any:
        newest = Delivery.objects.filter(channel=OuterRef("pk")).order_by("-pk").values("state")[:1]
        return super().get_queryset(request).defer("signing_secret").annotate(last_state=Subquery(newest))

    def get_readonly_fields(self, request: HttpRequest, obj: AlertChannel | None = None) -> tuple[str, ...]:
        return ("workspace", "kind") if obj else ()

    def get_fields(self, request: HttpRequest, obj: AlertChannel | None = None) -> tuple[str, ...]:
        leads_to = ("addresses", "url") if obj is None else ("url",) if obj.kind == ChannelKind.WEBHOOK else ("addresses",)
        return ("workspace", "name", "kind", *leads_to, "is_enabled")

    def get_inlines(self, request: HttpRequest, obj: AlertChannel | None) -> Any:
        return self.inlines if obj else ()

    @admin.display(description=gettext_lazy("leads to"))
    def leads_to(self, row: AlertChannel) -> str:
        return row.target

    @admin.display(description=gettext_lazy("last alert"))
    def last(self, row: Any) -> SafeString | str:
        if row.last_state is None:
            return "–"
        return status_badge(DeliveryState(row.last_state).label, COLOURS[DeliveryState(row.last_state)])

    def save_model(self, request: HttpRequest, obj: AlertChannel, form: forms.ModelForm[Any], change: bool) -> None:
        actor, values = actor_of(request), form.cleaned_data
        if change:
            row, text = alert_channels.change_channel(actor, obj, **{name: values[name] for name in form.changed_data})
        else:
            row, text = alert_channels.create_channel(actor, obj.workspace, **{
                name: values[name] for name in ("name", "kind", "addresses", "url", "is_enabled")})
        adopt(obj, row)
        request.made_secret = text  # type: ignore[attr-defined]

    def delete_model(self, request: HttpRequest, obj: AlertChannel) -> None:
        alert_channels.delete_channel(actor_of(request), obj)

    def response_add(self, request: HttpRequest, obj: AlertChannel, post_url_continue: str | None = None) -> Any:
        text = getattr(request, "made_secret", "")
        return self._shown(request, obj, text) if text else super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: AlertChannel) -> Any:
        text = getattr(request, "made_secret", "")
        return self._shown(request, obj, text) if text else super().response_change(request, obj)

    def _shown(self, request: HttpRequest, row: AlertChannel, text: str) -> HttpResponse:
        return shown_once(
            self, request, title=_("The secret of “%(name)s”") % {"name": row.name}, text=text,
            hint=_("Copy it now: it is shown this once. The receiver checks with it that a call is the portal's."),
            back=reverse("admin:endpoints_alertchannel_change", args=[row.pk]))

    def row_note(self, row: AlertChannel) -> str:
        return f"{row.workspace} · {row.target}"

    @confirmed(gettext_lazy("Send a test"), permission="test", icon="send", explain=gettext_lazy(
        "Something that says that it is a test is sent at once. The log shows how it went."))
    def send_test(self, request: HttpRequest, row: AlertChannel) -> None:
        alert_channels.send_test(actor_of(request), row)

    @confirmed(gettext_lazy("Renew the secret"), permission="renew", danger=True, icon="key", explain=gettext_lazy(
        "The old secret is gone at once: a receiver that checks signatures refuses alerts until it has the new one."))
    def renew(self, request: HttpRequest, row: AlertChannel) -> HttpResponse:
        return self._shown(request, row, alert_channels.renew_secret(actor_of(request), row))


class DeliveryPeriod(PeriodFilter):
    date_field = "created_at"


@admin.register(Delivery)
class DeliveryAdmin(DeliveryCells, ViewOnlyAdmin):
    """Every alert of every channel, newest first."""

    list_display = ("created_at", "channel", "workspace", "said", "state_shown", "tries_shown", "sent_at")
    list_filter = ("state", DeliveryPeriod)
    list_select_related = ("channel__workspace",)
    search_fields = ("=channel__name",)
    search_help_text = gettext_lazy("The whole name of a channel.")
    ordering = ("-id",)
    fields = ("channel", "said", "subject", ("window", "threshold"), "state_shown", "tries_shown", ("created_at", "sent_at"),
              "uid")
    readonly_fields = ("channel", "said", "subject", "window", "threshold", "state_shown", "tries_shown", "created_at",
                       "sent_at", "uid")
    actions = ("send_again",)
    actions_detail = ("send_again",)

    @admin.display(description=gettext_lazy("workspace"))
    def workspace(self, row: Delivery) -> str:
        return str(row.channel.workspace)

    @confirmed(gettext_lazy("Send again"), permission="resend", icon="refresh", explain=gettext_lazy(
        "The same alert is sent once more, with the same id, so that a receiver can tell that it has it already."))
    def send_again(self, request: HttpRequest, row: Delivery) -> None:
        alert_channels.send_again(actor_of(request), row)
