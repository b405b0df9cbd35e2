"""Small parts of endpoints' pages: how long something took, and a moment of the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def took(duration: timedelta | None) -> str:
    """A duration as people say it: 1 min 12 s."""
    if duration is None:
        return "–"
    seconds = duration.total_seconds()
    if seconds < 10:
        return _("%(n)s s") % {"n": f"{max(0.0, seconds):.1f}"}
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return _("%(hours)d h %(minutes)d min") % {"hours": minutes // 60, "minutes": minutes % 60}
    return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest} if minutes else (
        _("%(n)s s") % {"n": rest})


@register.simple_tag
def clock(moment: datetime | None) -> SafeString | str:
    """The time of day, with the whole moment behind it."""
    if moment is None:
        return "–"
    return format_html('<time class="src num" datetime="{}" title="{} UTC">{}</time>', moment.isoformat(),
                       f"{moment:%Y-%m-%d %H:%M:%S}", f"{moment:%H:%M:%S}")
