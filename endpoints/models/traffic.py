"""What was used, and what it costs. Rows of history keep ids and names, not keys into tables whose rows may go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clusters.models import Cluster
from models_catalog.models import CatalogModel
from portal.tenancy.models import User, Workspace
from portal.tenancy.rows import Row

# Upper bounds in seconds of the columns `first_byte_0` and so on; what took longer is in the last one, `first_byte_11`.
FIRST_BYTE_BOUNDS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6)
HIGHEST_PRICE = 1_000_000


class UsageQuerySet(models.QuerySet["UsageHour"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        return self.filter(workspace_id__in=workspaces.values("pk"))


class UsageHour(models.Model):
    """What one key used of one endpoint by one name and address, in one hour of the calls' ends. An id of 0 is unknown."""

    hour = models.DateTimeField(_("hour"))
    workspace_id = models.BigIntegerField(_("workspace"))
    member_id = models.BigIntegerField(_("member"))
    key_id = models.BigIntegerField(_("API key"))
    endpoint_id = models.BigIntegerField(_("endpoint"))
    route_id = models.BigIntegerField(_("route"))
    door = models.SmallIntegerField(_("address"))
    # As they were when the row was made.
    workspace_name = models.CharField(_("workspace"), max_length=100)
    member_name = models.CharField(_("member"), max_length=150)
    key_name = models.CharField(_("API key"), max_length=100)
    endpoint_name = models.CharField(_("endpoint"), max_length=63)
    model_name = models.CharField(_("model"), max_length=128)

    requests = models.BigIntegerField(_("requests"), default=0)
    errors = models.BigIntegerField(_("errors"), default=0)
    refused = models.BigIntegerField(_("refused"), default=0)
    partial = models.BigIntegerField(_("cut"), default=0)
    prompt_tokens = models.BigIntegerField(_("tokens in"), default=0)
    completion_tokens = models.BigIntegerField(_("tokens out"), default=0)
    cached_tokens = models.BigIntegerField(_("of them cached"), default=0)
    cost_nano = models.BigIntegerField(_("cost"), default=0)  # 10⁻⁹ of the currency: small calls are not rounded away

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(
            fields=["hour", "workspace_id", "member_id", "key_id", "endpoint_id", "route_id", "door"],
            name="usage_hour_once")]
        indexes = [models.Index(fields=["workspace_id", "hour"])]
        verbose_name = _("usage")
        verbose_name_plural = _("usage")

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.model_name}"


class GpuHour(models.Model):
    """How long an endpoint's ready replicas held GPUs in one hour, called or not."""

    hour = models.DateTimeField()
    workspace_id = models.BigIntegerField()
    endpoint_id = models.BigIntegerField()
    # As they were when the row was made.
    workspace_name = models.CharField(max_length=100)
    endpoint_name = models.CharField(max_length=63)
    model_name = models.CharField(max_length=128)
    place_name = models.CharField(max_length=100)
    gpu_seconds = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hour", "endpoint_id"], name="gpu_hour_once")]
        indexes = [models.Index(fields=["workspace_id", "hour"])]
        verbose_name = _("GPU hours")
        verbose_name_plural = _("GPU hours")

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} {self.endpoint_name}"


class UsageDay(models.Model):
    """Sums of one day (UTC) that is over, from the hours, so that nobody sums up a year of hours for a page.

    `kind` says what is told apart (`endpoints.services.day_sums.KINDS`); of the rest columns are 0 or "". There are kinds for
    a whole month too, whose `day` is its first one.
    """

    day = models.DateField()
    kind = models.CharField(max_length=20)
    workspace_id = models.BigIntegerField()
    member_id = models.BigIntegerField(default=0)
    key_id = models.BigIntegerField(default=0)
    endpoint_id = models.BigIntegerField(default=0)
    workspace_name = models.CharField(max_length=100, default="")
    member_name = models.CharField(max_length=150, default="")
    key_name = models.CharField(max_length=100, default="")
    endpoint_name = models.CharField(max_length=63, default="")
    model_name = models.CharField(max_length=128, default="")
    place_name = models.CharField(max_length=100, default="")  # where GPUs were held; calls have none

    requests = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    partial = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    cost_nano = models.BigIntegerField(default=0)
    gpu_seconds = models.BigIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["workspace_id", "kind", "day"]), models.Index(fields=["kind", "day"]),
            *(models.Index(fields=["kind", f"{name}_name", "day"], name=f"usage_day_of_{name}")
              for name in ("model", "endpoint", "key", "member")),
            # Of these there are thousands, of which a chart shows a few.
            *(models.Index(fields=["kind", f"{name}_id", "day"], name=f"usage_day_by_{name}") for name in ("endpoint", "key"))]
        verbose_name = "usage of a day"
        verbose_name_plural = "usage by the day"

    def __str__(self) -> str:
        return f"{self.day} {self.kind}"


class SummedDay(models.Model):
    """Whether the sums of a day hold: those of `summed` are of this `version`, which grows with each late booking.

    A row is made long before its day is summed up, so whoever books meanwhile finds it. On the first day of a month `month`
    is the sum of its days' versions of which the sums of the month are made; they hold as long as it is.
    """

    day = models.DateField(unique=True)
    noted_at = models.DateTimeField(default=timezone.now)
    version = models.BigIntegerField(default=0)
    summed = models.BigIntegerField(null=True)
    month = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = "summed day"
        verbose_name_plural = "summed days"

    def __str__(self) -> str:
        return str(self.day)

    @classmethod
    def reopen(cls, hours: Iterable[datetime]) -> None:
        """Usage is booked into these hours: sums of days that are over hold no longer. For the booking's transaction."""
        days = {hour.astimezone(UTC).date() for hour in hours} - {timezone.now().astimezone(UTC).date()}
        if days:
            cls.objects.filter(day__in=sorted(days)).update(version=models.F("version") + 1)


class TrafficMinute(models.Model):
    """How the calls of one minute went, by route and endpoint: what a canary is judged by. A route of 0 is none."""

    minute = models.DateTimeField()
    route_id = models.BigIntegerField()
    endpoint_id = models.BigIntegerField()
    calls = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    first_byte_0 = models.BigIntegerField(default=0)
    first_byte_1 = models.BigIntegerField(default=0)
    first_byte_2 = models.BigIntegerField(default=0)
    first_byte_3 = models.BigIntegerField(default=0)
    first_byte_4 = models.BigIntegerField(default=0)
    first_byte_5 = models.BigIntegerField(default=0)
    first_byte_6 = models.BigIntegerField(default=0)
    first_byte_7 = models.BigIntegerField(default=0)
    first_byte_8 = models.BigIntegerField(default=0)
    first_byte_9 = models.BigIntegerField(default=0)
    first_byte_10 = models.BigIntegerField(default=0)
    first_byte_11 = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["minute", "route_id", "endpoint_id"], name="traffic_minute_once")]
        indexes = [models.Index(fields=["route_id", "minute"])]
        verbose_name = _("traffic of a minute")
        verbose_name_plural = _("traffic by the minute")

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M} {self.route_id} {self.endpoint_id}"


class SpoolPosition(models.Model):
    """How many records of a gateway's spool are booked. Moved by compare-and-swap, together with what it books.

    GPU hours have one too, in seconds since 1970.
    """

    spool = models.CharField(max_length=32, unique=True)
    position = models.BigIntegerField(default=0)
    moved_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("position in a spool")
        verbose_name_plural = _("positions in spools")

    def __str__(self) -> str:
        return f"{self.spool} {self.position}"


class TokenPriceQuerySet(models.QuerySet["TokenPrice"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        if isinstance(user, User) and user.sees_everything:
            return self
        return self.for_workspaces(Workspace.objects.visible_to(user))

    def for_workspaces(self, workspaces: models.QuerySet[Workspace]) -> Self:
        """The workspaces' own prices, and those of models and places that they may see."""
        return self.filter(
            models.Q(workspace=None) | models.Q(workspace__in=workspaces),
            models.Q(model=None) | models.Q(model__in=CatalogModel.objects.for_workspaces(workspaces)),
            models.Q(cluster=None) | models.Q(cluster__in=Cluster.objects.for_workspaces(workspaces)))

    def until(self, moment: datetime) -> Self:
        """Those that hold at this moment, or held before; of each subject the last one counts."""
        return self.filter(valid_from__lte=moment).order_by("valid_from", "id")


def _price(name: Any, text: Any) -> models.DecimalField[Any, Any]:
    return models.DecimalField(name, max_digits=13, decimal_places=6, help_text=text,
                               validators=[MinValueValidator(0), MaxValueValidator(HIGHEST_PRICE)])


class TokenPrice(Row):
    """What a million tokens cost from a moment on. Never changed once it counts: a new price is a new row."""

    model = models.ForeignKey(CatalogModel, models.CASCADE, null=True, blank=True, related_name="+",
                              verbose_name=_("model"), help_text=_("Leave it empty for the price of a name."))
    workspace = models.ForeignKey(
        Workspace, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("workspace"),
        help_text=_("For the price of a name: the workspace whose endpoints have it."))
    public_name = models.CharField(
        _("model name for callers"), max_length=128, blank=True, default="",
        help_text=_("For the price of a name: what programs write as “model”. It goes before the model's own price."))
    cluster = models.ForeignKey(Cluster, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("place"),
                                help_text=_("Empty: everywhere, except where another price names the place."))
    prompt = _price(_("a million tokens in"), _("In the currency of the price book for instances."))
    completion = _price(_("a million tokens out"), "")
    cached = models.DecimalField(
        _("a million cached tokens in"), max_digits=13, decimal_places=6, null=True, blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(HIGHEST_PRICE)],
        help_text=_("For prompt tokens that the engine had in its cache. Empty: the same as other tokens in."))
    valid_from = models.DateTimeField(_("valid from"), default=timezone.now, help_text=_(
        "Calls that end before are not touched: what is booked stays as it is."))

    objects = TokenPriceQuerySet.as_manager()

    class Meta:
        ordering = ["-valid_from", "-id"]
        constraints = [models.CheckConstraint(
            name="token_price_of_model_or_name", violation_error_message=_(
                "Choose a model, or a workspace and a model name for callers: one of the two."),
            condition=models.Q(model__isnull=False, workspace=None, public_name="")
            | (models.Q(model=None, workspace__isnull=False) & ~models.Q(public_name="")))]
        indexes = [models.Index(fields=["valid_from"])]
        verbose_name = _("token price")
        verbose_name_plural = _("token prices")

    def __str__(self) -> str:
        return self.public_name or str(self.model)

    @property
    def counts(self) -> bool:
        """Whether calls may have been booked by it."""
        return self.valid_from <= timezone.now()
