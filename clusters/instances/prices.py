"""What instances cost: a book of prices that an operator can edit, and the cost of a wish by it.

The book is a YAML file (a JSON file is one too): `currency`, `as_of`, `source`, and `regions` with types and their
`on_demand` and `spot` price of one instance for one hour. Setting PORTAL_PRICE_BOOK names it; without one it is ours.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid
from portal.tenancy.strict_yaml import load

SHIPPED = Path(__file__).with_name("prices.yaml")
HOURS_A_MONTH = 730
MOST_BYTES = 2**21
HIGHEST = 100_000
FIELDS, PRICES = ("currency", "as_of", "source", "regions"), ("on_demand", "spot")
_REGION, _TYPE = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]"), re.compile(r"ml(\.[a-z0-9-]+){2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Price:
    """One instance for one hour; None where nobody wrote it down."""

    on_demand: Decimal | None = None
    spot: Decimal | None = None


@dataclass(frozen=True)
class PriceBook:
    """`problem` is what is wrong with the file of today; the prices are then those of its last good state."""

    currency: str = "USD"
    as_of: str = ""
    source: str = ""
    regions: Mapping[str, Mapping[str, Price]] = field(default_factory=dict)
    problem: str = ""

    def price(self, instance_type: str, region: str) -> Price:
        return self.regions.get(region, {}).get(instance_type, Price())


@dataclass(frozen=True)
class Cost:
    """What `count` instances cost in an hour."""

    per_hour: Decimal
    currency: str
    instance_type: str
    region: str
    count: int
    as_of: str
    spot: bool = False

    @property
    def per_month(self) -> Decimal:
        """Of 730 hours, all of them running."""
        return self.per_hour * HOURS_A_MONTH

    @property
    def sentence(self) -> str:
        words = {"count": self.count, "type": self.instance_type, "region": self.region, "currency": self.currency,
                 "hour": money(self.per_hour), "month": money(self.per_month), "date": self.as_of}
        if self.spot:
            return _("%(count)d × %(type)s in %(region)s at the spot price: about %(hour)s %(currency)s an hour, "
                     "%(month)s %(currency)s a month. Prices of %(date)s, without storage and traffic.") % words
        return _("%(count)d × %(type)s in %(region)s: about %(hour)s %(currency)s an hour, %(month)s %(currency)s a month. "
                 "Prices of %(date)s, without storage and traffic.") % words


def money(amount: Decimal) -> str:
    """Two digits after the point, or three below ten."""
    return f"{amount:,.3f}" if amount < 10 else f"{amount:,.2f}"


def no_price(instance_type: str, region: str) -> str:
    """What to say where `hourly_cost` is None."""
    return _("No price known for %(type)s in %(region)s: add it to the price book.") % {
        "type": instance_type, "region": region}


def hourly_cost(instance_type: str, region: str, count: int, *, spot: bool = False) -> Cost | None:
    """The cost by the book of today; None where it has no such price. `count` may be 0."""
    book = price_book()
    found = book.price(instance_type, region)
    price = found.spot if spot else found.on_demand
    return None if price is None else Cost(price * count, book.currency, instance_type, region, count, book.as_of, spot)


def read_book(text: str) -> PriceBook:
    """The book in this text. Raises Invalid (field ``price_book``), with the line or the place in the file."""
    data = load(text)
    if not isinstance(data, dict):
        _wrong("", _("the book is an object with currency, as_of, source and regions"))
    _only(data, FIELDS, "")
    if not _CURRENCY.fullmatch(str(data.get("currency", ""))):
        _wrong("currency", _("write three letters, such as USD"))
    return PriceBook(data["currency"], _date(data.get("as_of")), str(data.get("source") or "").strip()[:2000],
                     {region: _region(region, types) for region, types in _object(data.get("regions"), "regions").items()})


def _date(value: Any) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        _wrong("as_of", _("write the day of the prices, such as 2026-08-17"))


def _region(region: str, types: Any) -> dict[str, Price]:
    where = f"regions › {region}"
    if not _REGION.fullmatch(region):
        _wrong(where, _("this is no region, such as us-east-1"))
    return {name: _price(name, value, f"{where} › {name}") for name, value in _object(types, where).items()}


def _price(name: str, value: Any, where: str) -> Price:
    if not _TYPE.fullmatch(name):
        _wrong(where, _("this is no instance type, such as ml.g5.xlarge"))
    found = _object(value, where)
    _only(found, PRICES, where)
    return Price(**{kind: _amount(amount, f"{where} › {kind}") for kind, amount in found.items()})


def _amount(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < HIGHEST:
        _wrong(where, _("write a price for one hour, such as 1.408"))
    return Decimal(str(value))


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _wrong(where, _("this is an object of names and values"))
    return value


def _only(found: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in found:
        if name not in known:
            _wrong(f"{where} › {name}" if where else name, _("only %(names)s can stand here") % {"names": ", ".join(known)})


def _wrong(where: str, why: str) -> NoReturn:
    raise Invalid(_("Price book%(where)s: %(why)s.") % {"where": f", {where[:200]}" if where else "", "why": why},
                  field="price_book")


class _Shelf:
    """The book as it was read last, with the state of the file then."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: tuple[Path, int, int] | None = None
        self.book = PriceBook()

    def current(self, path: Path) -> PriceBook:
        with self.lock:
            seen = _state(path)
            if seen != self.seen:
                last = self.book if self.seen is None or self.seen[0] == path else PriceBook()
                self.book, self.seen = _read(path, seen[2], last), seen
            return self.book


def _state(path: Path) -> tuple[Path, int, int]:
    """What changes when the file does; a missing file has a size of -1."""
    try:
        found = path.stat()
    except OSError:
        return path, 0, -1
    return path, found.st_mtime_ns, found.st_size


def _read(path: Path, size: int, last: PriceBook) -> PriceBook:
    """The file's book; with a slip in it the last good prices, since it must not close the form that shows a cost."""
    try:
        return read_book(_text(path, size))
    except (OSError, UnicodeDecodeError):
        problem = _("The price book can't be read: see PORTAL_PRICE_BOOK.")
    except Invalid as error:
        problem = error.message
    log.warning("the price book can't be used", extra={"path": str(path), "problem": problem})
    return replace(last, problem=problem)


def _text(path: Path, size: int) -> str:
    if size > MOST_BYTES:
        _wrong("", _("the file is larger than 2 MiB"))
    return path.read_text(encoding="utf-8")


_shelf = _Shelf()


def price_book() -> PriceBook:
    """The book of today: read again whenever its file changes."""
    return _shelf.current(Path(settings.PORTAL_PRICE_BOOK or SHIPPED))
