"""The list of the catalogue: the shelf is small, so it is filtered here, and only a page of it is judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clusters.models import Cluster
from endpoints.models import TokenPrice
from endpoints.services.suits import PlaceSuits, starts_of, suits_of
from models_catalog.models import CatalogModel, Profile
from portal.tenancy.models import Workspace

from .cells import Cell, amount, cell_of
from .filters import Chip, Entry, Filters, Option, chips_of, options_of

PAGE, MOST_PLACES, COLUMNS = 25, 12, 4


@dataclass(frozen=True)
class Row:
    model: CatalogModel
    cells: list[Cell]
    price: TokenPrice | None

    @property
    def costs(self) -> str:
        """A million tokens in, and out."""
        return f"{amount(self.price.prompt)}, {amount(self.price.completion)}" if self.price else "–"


@dataclass(frozen=True)
class Listing:
    """A page of the catalogue. `total` is None where only as much was judged as is shown."""

    filters: Filters
    rows: list[Row]
    places: list[Cluster]
    options: dict[str, list[Option]]
    chips: list[Chip]
    total: int | None
    shelf: int
    has_more: bool

    @property
    def in_columns(self) -> bool:
        """Whether each place has a column of its own; many share one."""
        return len(self.places) <= COLUMNS

    @property
    def title(self) -> str:
        if not self.shelf:
            return _("No model is on the shelf yet")
        if self.total is None:
            return _("What fits in your places now") if self.rows else _("No model fits in your places now")
        if not self.total:
            return _("No model matches")
        if self.filters.any:
            return ngettext("One model matches", "%(n)d models match", self.total) % {"n": self.total}
        return ngettext("One model to choose from", "%(n)d models to choose from", self.total) % {"n": self.total}

    @property
    def span(self) -> str:
        """Which part of the whole is shown."""
        first = (self.filters.page - 1) * PAGE + 1
        words = {"first": first, "last": first + len(self.rows) - 1, "total": self.total}
        if self.total is None:
            return _("%(first)d to %(last)d") % words
        return _("%(first)d to %(last)d of %(total)d") % words

    @property
    def first(self) -> str:
        return self.filters.query()

    @property
    def before(self) -> str:
        page = self.filters.page
        return self.filters.query(page=page - 1) if page > 1 else ""

    @property
    def after(self) -> str:
        return self.filters.query(page=self.filters.page + 1) if self.has_more else ""


def places_of(workspaces: QuerySet[Workspace]) -> list[Cluster]:
    """The places that one may use, each with what is known of its side in AWS and of its API, without any secret."""
    rows = Cluster.objects.for_workspaces(workspaces).select_related("aws", "access")
    return list(rows.defer("access__token", "access__client_key", "access__client_certificate", "access__ca")
                .order_by("name")[:MOST_PLACES])


def profiles_for(workspaces: QuerySet[Workspace], models: Iterable[int]) -> dict[int, list[Profile]]:
    """The profiles of these models that can be chosen, by the model and in the order of the models."""
    found: dict[int, list[Profile]] = {pk: [] for pk in models}
    rows = Profile.objects.for_workspaces(workspaces).filter(model__in=list(found))
    for profile in rows.select_related("release", "artifact", "model"):
        found[profile.model_id].append(profile)
    return found


def listing_of(workspaces: QuerySet[Workspace], filters: Filters) -> Listing:
    """About a dozen queries, however many models and places there are."""
    entries, places = entries_of(workspaces), places_of(workspaces)
    wanted = [entry.pk for entry in entries if filters.take(entry)]
    first = (filters.page - 1) * PAGE
    last = first + PAGE + 1  # one more than is shown: is there another page
    if filters.fits:
        judged = list(islice(_judged(workspaces, places, wanted, only_fitting=True), first, last))
    else:
        judged = list(_judged(workspaces, places, wanted[first:last]))
    options = options_of(entries)
    return Listing(filters, _rows(workspaces, judged[:PAGE]), places, options, chips_of(filters, options),
                   None if filters.fits else len(wanted), len(entries), len(judged) > PAGE)


def entries_of(workspaces: QuerySet[Workspace]) -> list[Entry]:
    rows = CatalogModel.objects.for_workspaces(workspaces).select_related("vendor").only(
        "slug", "name", "task", "category", "licence", "languages", "parameters", "vendor__slug", "vendor__names")
    return sorted(map(_entry, rows), key=lambda entry: entry.name.lower())


def _entry(row: CatalogModel) -> Entry:
    words = (row.name, row.slug, row.category, row.task, row.get_task_display(), row.vendor.slug, *row.vendor.names.values())
    return Entry(row.pk, row.name, " ".join(map(str, words)).lower(), row.vendor.slug, row.vendor.name, row.task, row.licence,
                 tuple(row.languages), row.parameters)


def _judged(
    workspaces: QuerySet[Workspace], places: Sequence[Cluster], models: Sequence[int], *, only_fitting: bool = False,
) -> Iterator[tuple[int, list[PlaceSuits]]]:
    """Lazy: what nobody looks at is not judged."""
    profiles = profiles_for(workspaces, models)
    for pk, suits in suits_of(places, profiles, starts_of(profiles)):
        if not only_fitting or any(place.fits for place in suits):
            yield pk, suits


def _rows(workspaces: QuerySet[Workspace], judged: Sequence[tuple[int, list[PlaceSuits]]]) -> list[Row]:
    keys = [pk for pk, _suits in judged]
    models = CatalogModel.objects.select_related("vendor").in_bulk(keys)
    prices = prices_of(workspaces, keys)
    return [Row(models[pk], [cell_of(place) for place in suits], prices.get(pk)) for pk, suits in judged]


def prices_of(workspaces: QuerySet[Workspace], models: Iterable[int]) -> dict[int, TokenPrice]:
    """What a million tokens of each model cost now where no place has a price of its own."""
    rows = TokenPrice.objects.for_workspaces(workspaces).until(timezone.now())
    return {row.model_id: row for row in rows.filter(model__in=list(models), cluster=None) if row.model_id}
