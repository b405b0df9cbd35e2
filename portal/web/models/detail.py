"""One model in full: what it is, where it fits and why, the sum, the profiles, and what serves it already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clusters.units import GIB
from endpoints.loadtests.states import RunState
from endpoints.models import Endpoint, LoadTest, TokenPrice
from endpoints.services.suits import PlaceSuits, Suit, currency, starts_of, suits_of
from models_catalog.choices import ArtifactKind
from models_catalog.models import CatalogModel, EulaAcceptance, Profile
from portal.tenancy.errors import NotFound
from portal.tenancy.models import Workspace

from ..durations import took
from . import cells
from .cells import Cell, amount, cell_of, price, why_so_long
from .drawing import Bar, Line, bar_of, device_of, lines_of, room_of
from .filters import language_name
from .listing import places_of, prices_of, profiles_for

MOST_ENDPOINTS, MOST_RUNS = 8, 50
HUB = "https://huggingface.co/"
# Where the texts of licences without conditions of their own are.
TEXTS = {"Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0", "MIT": "https://opensource.org/license/mit"}


@dataclass(frozen=True)
class Fit:
    """A place with the profile that is shown for it; `query` is what the deploy page and this page want to know."""

    place: PlaceSuits
    suit: Suit | None
    cell: Cell
    bar: Bar | None
    device: str
    room: str
    start: str
    cost: str
    query: str

    @property
    def fits(self) -> bool:
        return self.suit is not None and self.suit.fits and not self.place.why_not


@dataclass(frozen=True)
class Measured:
    """What the last load test of an endpoint with this profile found."""

    run: LoadTest
    tokens: str
    first: str
    where: str


@dataclass(frozen=True)
class ProfileRow:
    """A profile, what it asks for, and its arguments as one would type them."""

    profile: Profile
    needs: str
    context: int | None
    arguments: str
    is_shown: bool
    measured: Measured | None


@dataclass(frozen=True)
class Detail:
    model: CatalogModel
    profiles: list[ProfileRow]
    fits: list[Fit]
    shown: Fit | None
    lines: list[Line]
    serving: list[Endpoint]
    price: TokenPrice | None
    chosen: str
    needs_licence: bool
    terms: str

    @property
    def languages(self) -> str:
        return ", ".join(map(language_name, self.model.languages))

    @property
    def costs(self) -> str:
        """What a million tokens cost, "" where they have no price."""
        if self.price is None:
            return ""
        return _("%(prompt)s in, %(answer)s out for 1 M tokens, %(currency)s") % {
            "prompt": amount(self.price.prompt), "answer": amount(self.price.completion), "currency": currency()}

    @property
    def answer(self) -> str:
        """Whether it fits, in a sentence."""
        if not self.fits:
            return _("No place is shared with you yet, so it can't be deployed.")
        if not self.profiles:
            return _("It has no profile yet: an operator says with one how it is served.")
        well = sum(fit.fits and fit.cell.level == cells.OK for fit in self.fits)
        tight = sum(fit.fits for fit in self.fits) - well
        if well:
            return ngettext("It fits in one of your places.", "It fits in %(n)d of your places.", well) % {"n": well}
        if tight:
            return ngettext("It only just fits in one of your places.", "It only just fits in %(n)d of your places.", tight) % {
                "n": tight}
        if any(fit.suit is not None and fit.suit.is_full for fit in self.fits):
            return _("It would fit, but there is no room in your places now.")
        return _("It fits in none of your places.")


def detail_of(workspaces: QuerySet[Workspace], slug: str, profile: str, place: str) -> Detail:
    """`profile` and `place` are what was chosen, "" for the best. Raises NotFound for what is not on these shelves."""
    model = CatalogModel.objects.for_workspaces(workspaces).select_related("vendor", "workspace").filter(slug=slug).first()
    if model is None:
        raise NotFound()
    profiles = profiles_for(workspaces, [model.pk])
    chosen = profile if any(each.slug == profile for each in profiles[model.pk]) else ""
    found = dict(suits_of(places_of(workspaces), profiles, starts_of([model.pk])))[model.pk]
    fits = sorted((_fit(model, each, chosen) for each in found), key=_rank)
    shown = next((fit for fit in fits if fit.place.cluster.name == place and fit.bar), None) or next(
        (fit for fit in fits if fit.bar), None)
    memory = shown.suit.memory if shown and shown.suit else None
    serving = Endpoint.objects.for_workspaces(workspaces).filter(wanted__profile__model=model).with_places()
    measured = _measured(workspaces, [each.slug for each in profiles[model.pk]])
    rows = [_profile_row(each, chosen, measured.get(each.slug)) for each in profiles[model.pk]]
    return Detail(
        model, rows, fits, shown, list(lines_of(memory)) if memory else [],
        list(serving[:MOST_ENDPOINTS]), prices_of(workspaces, [model.pk]).get(model.pk), chosen,
        _needs_licence(workspaces, profiles[model.pk]), _terms(model, profiles[model.pk]))


def _rank(fit: Fit) -> tuple[bool, bool, bool, str]:
    return not fit.fits, fit.cell.level != cells.OK, fit.cell.level == cells.NO, fit.place.cluster.name


def _fit(model: CatalogModel, place: PlaceSuits, chosen: str) -> Fit:
    suit = place.of(chosen) if chosen else place.best
    memory = suit.memory if suit else None
    query = urlencode({"model": model.slug, **({"profile": suit.profile.slug} if suit else {}), "place": place.cluster.name})
    return Fit(
        place, suit, _cell(place, suit, chosen), bar_of(memory) if memory else None, device_of(memory) if memory else "",
        room_of(memory) if memory else "", why_so_long(suit.start) if suit and suit.fits else "",
        price(suit.per_hour, currency()) if suit else "", query)


def _cell(place: PlaceSuits, suit: Suit | None, chosen: str) -> Cell:
    if chosen and suit is None and not place.why_not:
        why = _("This profile is not made for places of this kind.")
        return Cell(place.cluster.name, cells.NO, _("No profile"), why, why)
    return cell_of(place, suit)


def _profile_row(profile: Profile, chosen: str, measured: Measured | None) -> ProfileRow:
    words = {"gpus": profile.gpus, "nodes": profile.nodes, "cpus": f"{profile.cpu_millis / 1000:g}",
             "memory": round(profile.memory_bytes / GIB)}
    if profile.nodes > 1:
        needs = _("%(nodes)d nodes with %(gpus)d GPUs each") % words
    elif profile.gpus:
        needs = ngettext("%(gpus)d GPU, %(cpus)s CPUs, %(memory)d GiB", "%(gpus)d GPUs, %(cpus)s CPUs, %(memory)d GiB",
                         profile.gpus) % words
    else:
        needs = _("%(cpus)s CPUs, %(memory)d GiB") % words
    context = profile.arguments.get("max-model-len") or profile.model.context_tokens
    return ProfileRow(profile, needs, context, _typed(profile), profile.slug == chosen, measured)


def _measured(workspaces: QuerySet[Workspace], profiles: Sequence[str]) -> dict[str, Measured]:
    """By profile, the newest run of these workspaces that came to its end."""
    runs = LoadTest.objects.for_workspaces(workspaces).filter(state=RunState.DONE, facts__profile__in=profiles)
    found: dict[str, Measured] = {}
    for run in runs.for_lists().order_by("-id")[:MOST_RUNS]:
        first = run.summary.get("first", {}).get("p95")
        if first is not None:
            found.setdefault(run.facts["profile"], Measured(
                run, number_format(run.summary["tokens_per_second"], 0, force_grouping=True), took(first),
                ", ".join(run.facts.get("places", ()))))
    return found


def _typed(profile: Profile) -> str:
    """Arguments and variables, a line each."""
    lines = [f"{name}={value}" for name, value in sorted(profile.environment.items())]
    for name, value in sorted(profile.arguments.items()):
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"--{name}" if value is True else f"--{name} {text}")
    return "\n".join(lines)


def _needs_licence(workspaces: QuerySet[Workspace], profiles: Sequence[Profile]) -> bool:
    """Whether the hub asks for a licence that nobody of these workspaces has accepted yet."""
    hubs = {each.artifact_id for each in profiles if each.artifact.kind == ArtifactKind.JUMPSTART and each.model.gated}
    return bool(hubs) and not EulaAcceptance.objects.filter(workspace__in=workspaces, artifact__in=hubs).exists()


def _terms(model: CatalogModel, profiles: Sequence[Profile]) -> str:
    """Where the licence can be read: its text, else the model's page at the hub."""
    hub = next((each.artifact.location for each in profiles if each.artifact.kind == ArtifactKind.HUGGING_FACE), "")
    return TEXTS.get(model.licence, f"{HUB}{hub}" if hub else "")
