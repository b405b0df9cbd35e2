"""A small part of endpoints' pages: a moment of the clock."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def clock(moment: datetime | None) -> SafeString | str:
    """The time of day, with the whole moment behind it."""
    if moment is None:
        return "–"
    return format_html('<time class="src num" datetime="{}" title="{} UTC">{}</time>', moment.isoformat(),
                       f"{moment:%Y-%m-%d %H:%M:%S}", f"{moment:%H:%M:%S}")
