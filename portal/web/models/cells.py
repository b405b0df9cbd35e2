"""How a model suits a place, in few words: shape, word, note and the whole reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.instances import money
from endpoints.planning.storage import gib
from endpoints.services.suits import Barrier, PlaceSuits, Start, Suit

from ..durations import about

OK, WARN, NO = "ok", "warn", "no"
BARRIERS: dict[Barrier, tuple[str | Promise, str | Promise]] = {
    Barrier.ACCESS: (gettext_lazy("No token"), gettext_lazy("its hub asks for one")),
    Barrier.WEIGHTS: (gettext_lazy("Can't load"), gettext_lazy("its weights lie where the place can't get them")),
    Barrier.IMAGE: (gettext_lazy("No image"), gettext_lazy("its engine has none for such places")),
    Barrier.ENGINE: (gettext_lazy("No engine"), gettext_lazy("no host there has it installed")),
    Barrier.GPU: (gettext_lazy("Needs a GPU"), gettext_lazy("there is none")),
}


@dataclass(frozen=True)
class Cell:
    """`level` is ok, warn or no; `why` is the reason as a sentence, "" where it fits without a but."""

    place: str
    level: str
    word: str
    note: str
    why: str = ""


def cell_of(place: PlaceSuits, suit: Suit | None = None) -> Cell:
    """By the best profile there, or by this one."""
    name, suit = place.cluster.name, suit or place.best
    if place.why_not:
        return Cell(name, NO, _("Closed"), place.why_not, place.why_not)
    if suit is None:
        return Cell(name, NO, _("No profile"), _("none is made for such places"), place.reason)
    if not suit.fits:
        return _refused(name, suit)
    if suit.memory is not None and suit.memory.is_tight:
        return Cell(name, WARN, _("Tight"), starts_in(suit.start),
                    _("There is room for one call of full length at a time."))
    return Cell(name, OK, _("Fits"), starts_in(suit.start))


def _refused(name: str, suit: Suit) -> Cell:
    if suit.barrier:
        word, note = BARRIERS[suit.barrier]
        return Cell(name, NO, str(word), str(note), suit.why_not)
    if suit.is_full:
        return Cell(name, WARN, _("No room now"), suit.has, suit.why_not)
    if suit.memory is not None and suit.profile.gpus and not suit.memory.fits:
        return Cell(name, NO, _("%(size)s short") % {"size": gib(suit.memory.short)}, _("the GPUs are too small"), suit.why_not)
    return Cell(name, NO, _("Doesn't fit"), suit.why_not, suit.why_not)


def starts_in(start: Start) -> str:
    return _("start in about %(time)s") % {"time": about(start.seconds)}


def why_so_long(start: Start) -> str:
    """Where the figure comes from."""
    if start.is_measured:
        return _("Starts in about %(time)s, as the last ones did") % {"time": about(start.seconds)}
    return _("Starts in about %(time)s, by the size of its weights") % {"time": about(start.seconds)}


def amount(price: Decimal) -> str:
    """A price of tokens, without zeros that say nothing: 0.20, 0.004."""
    digits = max(2, -int(price.normalize().as_tuple().exponent))
    return number_format(price, digits, force_grouping=True)


def price(per_hour: Decimal | None, currency: str) -> str:
    """“” where nobody wrote a price down."""
    return "" if per_hour is None else _("%(amount)s %(currency)s/hour") % {"amount": money(per_hour), "currency": currency}
