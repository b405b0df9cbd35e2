"""Figures of load tests as people read them."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from endpoints.loadtests.states import SHAPES
from endpoints.models import LoadTest
from endpoints.services.loadtest_bounds import Touched
from portal.tenancy.models import Limit
from portal.web.loadtests.words import load_of

register = template.Library()


@register.filter
def load(run: LoadTest) -> str:
    return load_of(run)


@register.filter
def colour(run: LoadTest) -> str:
    return SHAPES[run.state][0]


@register.filter
def shape_of(run: LoadTest) -> str:
    return SHAPES[run.state][1]


@register.filter
def rest(percent: float) -> float:
    """What is missing to 100."""
    return max(0.0, 100 - percent)


@register.filter
def money(amount: Decimal | int | None, currency: str) -> str:
    """$0.38, 1.20 EUR; four decimals where two would be nothing."""
    if amount is None:
        return "–"
    is_small = 0 < abs(float(amount)) < 1
    text = number_format(amount, 4 if is_small else 2)
    return f"${text}" if currency == "USD" else f"{text} {currency}"


@register.filter
def limit_words(one: Touched, currency: str) -> str:
    """A limit, what is used of it and what the run adds, as one sentence."""
    name = str(Limit._meta.get_field(one.quantity).verbose_name)  # type: ignore[union-attr]
    is_money = one.quantity == "money_per_month"

    def written(value: Decimal | int | None) -> str:
        return "–" if value is None else money(value, currency) if is_money else number_format(value, 0, force_grouping=True)

    said = {"whose": one.limit.get_kind_display(), "name": name, "most": written(one.most), "adds": written(one.adds),
            "used": written(one.used)}
    if one.adds is None:
        return _("Limit of the %(whose)s: %(most)s %(name)s") % said
    if one.used is None:
        return _("Limit of the %(whose)s: %(adds)s of %(most)s %(name)s") % said
    return _("Limit of the %(whose)s: %(used)s used and %(adds)s more, of %(most)s %(name)s") % said
