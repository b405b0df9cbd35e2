"""When an alert is due and how it is tried: tables and pure functions (docs/alerts.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

# Per cent of a limit.
THRESHOLDS = (50, 80, 100)
# A call that may need more than what is left is refused, so the last few per cent may never be used.
NEARLY = 95
# Money is counted in millionths of the currency, so that no sum is rounded away.
MICRO = 1_000_000
MONTHLY = ("tokens_per_month", "money_per_month")

# What a failed try waits for: six tries within a day, then it is given up.
PAUSES = (timedelta(minutes=1), timedelta(minutes=9), timedelta(minutes=50), timedelta(hours=5), timedelta(hours=18))
TRIES = len(PAUSES) + 1
# What the last try may take before nobody waits for its end any more.
LAST_PAUSE = timedelta(minutes=1)


class ChannelKind(TextChoices):
    MAIL = "mail", _("mail")
    WEBHOOK = "webhook", _("webhook")


class DeliveryState(TextChoices):
    WAITING = "waiting", _("waiting")
    SENT = "sent", _("sent")
    FAILED = "failed", _("given up")


COLOURS = {DeliveryState.WAITING: "mean", DeliveryState.SENT: "good", DeliveryState.FAILED: "bad"}


def reached(used: int, most: int, *, refuses: bool = False) -> int:
    """The highest threshold that `used` of `most` has reached, or 0. A limit of 0 allows nothing: no use of it can grow.

    `refuses` says that calls were refused lately: a limit that is nearly used and refuses calls is used up.
    """
    if refuses and most > 0 and used * 100 >= most * NEARLY:
        return THRESHOLDS[-1]
    return max((threshold for threshold in THRESHOLDS if most > 0 and used * 100 >= most * threshold), default=0)


def month_of(now: datetime) -> datetime:
    """When the calendar month of `now` began, UTC: the window of every alert."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def pause_after(tries: int) -> timedelta:
    """How long the delivery rests after so many tries, the one that now begins among them."""
    return PAUSES[tries - 1] if tries <= len(PAUSES) else LAST_PAUSE
