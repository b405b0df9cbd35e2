"""Words of plans: how long, and what a step does."""

from __future__ import annotations

from collections.abc import Mapping

from django import template
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.web.durations import about
from portal.web.models.cells import why_so_long

register = template.Library()
VERBS: Mapping[str, str | Promise] = {
    "create": _("new"), "change": _("changes"), "delete": _("goes"), "start": _("starts"), "stop": _("stops"),
    "put back": _("put back"), "taken": _("the name is taken"), "conflict": _("somebody else's field"), "refused": _("refused"),
    "keep": _("stays"),
}


@register.filter
def verb(name: str) -> str:
    """What a step of a plan does to its object."""
    return str(VERBS.get(name, name))


register.filter("lasting", about)
register.filter("why_so_long", why_so_long)
