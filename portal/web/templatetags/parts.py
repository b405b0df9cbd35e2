"""Small parts of pages: an icon, a status, an age, an address of this workspace, figures as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.template.context import RequestContext
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.units import GIB
from endpoints.models import Endpoint
from endpoints.states import COLOURS, STALE_AFTER, Status
from portal.tenancy.badges import age as age_text
from portal.tenancy.badges import status_badge
from portal.web.durations import took as took_words
from portal.web.visit import Visit

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """A drawn sign without meaning of its own: the words beside it say what it is."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#i-{}"/></svg>', static("web/icons.svg"), name)


@register.simple_tag
def shape(name: str) -> SafeString:
    """The shape of a check or a state: ok, no, warn, pending, stale, or a state's name."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#s-{}"/></svg>', static("portal/shapes.svg"), name)


@register.simple_tag
def status(endpoint: Endpoint, badge: bool = False) -> SafeString:
    """Word, colour, shape and age of an endpoint's state."""
    seen = endpoint.seen_at
    stale = seen is not None and timezone.now() - seen > STALE_AFTER and endpoint.status != Status.STOPPED
    return status_badge(endpoint.get_status_display(), COLOURS[endpoint.status], state=endpoint.status, seen=seen,
                        stale=stale, badge=badge)


@register.simple_tag
def age(moment: datetime | None) -> SafeString:
    """How long ago, with the time itself; the page's script keeps it ticking."""
    if moment is None:
        return format_html('<span class="age">{}</span>', age_text(None))
    return format_html('<time class="age" datetime="{}" title="{}">{}</time>', moment.isoformat(),
                       moment.strftime("%Y-%m-%d %H:%M:%S UTC"), age_text(moment))


@register.simple_tag(takes_context=True)
def to(context: RequestContext, name: str, *args: object) -> str:
    """The address of a page of this workspace: {% to "endpoint" endpoint.uid %}."""
    visit: Visit = context["visit"]
    return visit.url(name, *args)


@register.simple_tag(takes_context=True)
def within(context: RequestContext, row: Any, name: str, *args: object) -> str:
    """The address of a page about this row, in the row's own workspace where an operator looks at all of them."""
    visit: Visit = context["visit"]
    if visit.workspace is not None:
        return visit.url(name, *args)
    return Visit(visit.request, visit.user, row.workspace).url(name, *args)


@register.filter
def took(span: timedelta | float | str | None) -> str:
    """A measured time; “–” where nothing was measured."""
    return took_words(None if isinstance(span, str) else span)


@register.filter
def gib(size: int | None) -> str:
    """Bytes as GiB, with one decimal."""
    return "–" if size is None else f"{number_format(size / GIB, 1)} GiB"


@register.filter
def big(count: int | float | None) -> str:
    """A large count as people write it: 83.7 M."""
    if count is None:
        return "–"
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if abs(count) >= size:
            return f"{number_format(count / (1000 if unit == 'k' else size), 1)} {unit}"
    return number_format(count, 0 if float(count).is_integer() else 1)


@register.filter
def grouped(count: int | None) -> str:
    """A count with its groups of digits: 32,768."""
    return "–" if count is None else number_format(count, force_grouping=True)


@register.filter
def params(count: int | None) -> str:
    """Parameters as people name models by them: 8.2 B, 568 M."""
    if not count:
        return "–"
    return f"{number_format(count / 10**9, 1)} B" if count >= 10**9 else f"{number_format(count / 10**6, 0)} M"


@register.filter
def kilo(tokens: int | None) -> str:
    """A length of context: 32 k, 128 k, 512."""
    if not tokens:
        return "–"
    return f"{number_format(tokens // 1024, 0)} k" if tokens >= 2048 else number_format(tokens, 0)
