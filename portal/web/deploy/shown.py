"""What the deploy page draws: sizes with their price, the plan with its sum, limits as bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.contrib.admin.utils import label_for_field
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clusters.instances import hourly_cost, money
from clusters.instances.prices import HOURS_A_MONTH
from clusters.states import AWS_KINDS, ClusterKind
from endpoints.models import Endpoint
from endpoints.services.changes import OF_A_REVISION
from endpoints.services.plan import Planned
from endpoints.services.quota import Standing
from endpoints.services.suits import PlaceSuits, Start, cost_of, currency, limits_for
from endpoints.states import Wish
from endpoints.targets.base import Check, Step
from models_catalog.models import Profile
from portal.tenancy.models import Limit

from ..models.drawing import Bar as Drawing
from ..models.drawing import bar_of
from .draft import Draft
from .fields import same
from .form import OTHER, SIGNALS, SIZES
from .wish import wish_of

MOST_SHOWN = 60
# Folded fields with a line for what is wrong: those that are always there, and those of places that scale.
FOLDED, SCALING = ("profile", "arguments", "environment", "affinity"), ("scaling", "min_replicas", "max_replicas")
BAR = 1.15  # a bar is a little longer than what it shows
MARKS = {True: "ok", None: "warn", False: "no"}
SIGNS = {"create": "plus", "start": "plus", "delete": "close", "stop": "close", "taken": "close"}


@dataclass(frozen=True)
class Size:
    """A number of replicas to choose: its words, its price, and why it can't be had."""

    value: str
    title: str
    note: str
    cost: str
    why_not: str


@dataclass(frozen=True)
class Bar:
    """A limit before and after; the figures of the drawing are per cent of its width."""

    name: str
    text: str
    used: str
    more: str
    limit: str
    is_broken: bool


def per_hour(amount: Decimal | None) -> str:
    return "" if amount is None else _("%(money)s %(currency)s/hour") % {"money": money(amount), "currency": currency()}


def sizes(draft: Draft, planned: Planned | None) -> list[Size]:
    """How many replicas, with what each choice costs; what has no room or breaks a limit says so.

    Where there is a plan, its limits are counted on for the other sizes.
    """
    if draft.suit is None or draft.place is None:
        return []
    notes = {
        "1": _("A restart or an update is an outage."), "2": _("One can fail while the other answers."),
        "4": _("For many callers at a time."),
    }
    standing = _per_replica(draft, planned) if planned else _limits(draft)
    return [Size(size, ngettext("%(count)d replica", "%(count)d replicas", int(size)) % {"count": int(size)}, notes[size],
                 per_hour(cost_of(draft.place.cluster, draft.suit, draft.data.get("instance", ""), int(size))),
                 why_not_so_many(draft, int(size), standing)) for size in SIZES]


def _limits(draft: Draft) -> list[Standing]:
    if draft.endpoint is not None or draft.profile is None:
        return []
    return limits_for(draft.visit.actor, draft.workspace, draft.profile, draft.data.get("name", ""))


def _per_replica(draft: Draft, planned: Planned) -> list[Standing]:
    if draft.endpoint is not None or draft.form.cleaned_data.get("scaling"):
        return []
    return [replace(one, own=one.own // draft.form.count) if one.quantity != "endpoints" else one for one in planned.limits]


def why_not_so_many(draft: Draft, count: int, standing: Iterable[Standing]) -> str:
    """Why not so many replicas, or "". Those that run already have their room."""
    if draft.suit is None:
        return ""
    had = draft.endpoint.replicas if draft.endpoint and draft.endpoint.wish == Wish.RUNNING else 0
    room = draft.suit.replicas
    if room is not None and count > had + room:
        return ngettext("There is room for %(room)d more.", "There is room for %(room)d more.", room) % {"room": room} if had \
            else ngettext("There is room for %(room)d replica.", "There is room for %(room)d replicas.", room) % {"room": room}
    broken = [each for one in standing if (each := one.with_replicas(count)).is_broken]
    return str(broken[0]) if broken else ""


def refuse_size(draft: Draft) -> None:
    """Say at the field where there is no room for the chosen size; the plan tells of limits."""
    if draft.form.errors or draft.suit is None or not draft.suit.fits:
        return
    reason = why_not_so_many(draft, draft.form.count, ())
    if reason:
        draft.errors.setdefault("replicas" if draft.data.get("size") == OTHER else "size", reason)


def bars(found: Sequence[Standing]) -> list[Bar]:
    return [_bar(one) for one in found]


def _bar(one: Standing) -> Bar:
    whole = max(one.most, one.others + max(one.own, one.had)) * BAR or 1
    before, added = one.others + one.had, one.own - one.had
    label = label_for_field(one.quantity, Limit)
    text = _("%(before)d + %(added)d of %(most)d") if added >= 0 else _("%(before)d − %(added)d of %(most)d")
    return Bar(f"{label} · {one.limit}", text % {"before": before, "added": abs(added), "most": one.most},
               _share(min(before, before + added), whole), _share(abs(added), whole), _share(one.most, whole), one.is_broken)


def _share(amount: float, whole: float) -> str:
    return f"{100 * amount / whole:.2f}%"


@dataclass(frozen=True)
class PlanView:
    """A plan as the page shows it. `problem` is why there is none, `waits` what is missing before there can be one."""

    draft: Draft
    planned: Planned | None = None
    problem: str = ""
    waits: str = ""

    @property
    def may_go(self) -> bool:
        return self.planned is not None and self.planned.plan.may_go and not self.draft.told

    @property
    def word(self) -> str:
        return self.planned.word if self.planned else ""

    @property
    def checks(self) -> list[tuple[Check, str]]:
        found = self.planned.plan.checks if self.planned else ()
        return [(check, MARKS[check.ok]) for check in found]

    @property
    def wrong(self) -> int:
        return sum(check.ok is False for check, _mark in self.checks)

    @cached_property
    def steps(self) -> list[tuple[Step, str]]:
        found = [step for step in self.planned.plan.steps if step.verb != "keep"] if self.planned else []
        return [(step, SIGNS.get(step.verb, "next")) for step in found[:MOST_SHOWN]]

    @property
    def left_out(self) -> int:
        return max(0, sum(step.verb != "keep" for step in self.planned.plan.steps) - MOST_SHOWN) if self.planned else 0

    @property
    def bars(self) -> list[Bar]:
        return bars(self.planned.limits) if self.planned else []

    @cached_property
    def _cost(self) -> Decimal | None:
        draft = self.draft
        if draft.place is None or draft.suit is None or not draft.form.is_valid():
            return None
        return cost_of(draft.place.cluster, draft.suit, draft.form.cleaned_data["instance"], draft.form.count)

    @property
    def hour(self) -> str:
        return per_hour(self._cost)

    @property
    def month(self) -> str:
        """Of 730 hours, all of them running."""
        return "" if self._cost is None else _("%(money)s %(currency)s") % {
            "money": money(self._cost * HOURS_A_MONTH), "currency": currency()}

    @property
    def unpriced(self) -> str:
        """Why there is no price."""
        kind = self.draft.kind
        return _("The price book has no price for it.") if kind in AWS_KINDS else _("Machines of your own have no price here.")

    @property
    def memory(self) -> Drawing | None:
        """The sum of memory to scale; only where the profile's own arguments hold, since it was made with them."""
        draft = self.draft
        if draft.suit is None or draft.suit.memory is None or not draft.form.is_valid():
            return None
        return bar_of(draft.suit.memory) if same(draft.form.cleaned_data["arguments"], draft.base[0]) else None

    @property
    def start(self) -> Start | None:
        return self.draft.suit.start if self.draft.suit else None

    @property
    def at_once(self) -> list[str]:
        """What happens when the button is pressed."""
        draft = self.draft
        if draft.place is None or not draft.form.is_valid():
            return []
        if draft.endpoint is not None:
            return _on_change(draft.endpoint, draft.kind, set(wish_of(draft)))
        said = draft.form.cleaned_data
        words = {"place": draft.place.cluster.name, "name": said["public_name"] or said["name"]}
        return [_("It starts in %(place)s and takes what the plan says until you stop it.") % words,
                _("Once it is ready, every key of this workspace may call it as “%(name)s”.") % words]


def _on_change(endpoint: Endpoint, kind: str, wished: set[str]) -> list[str]:
    lines = []
    if wished & {*OF_A_REVISION}:
        lines = [_("Replicas are replaced one by one; the revision of now serves until its successor is ready.")
                 if kind != ClusterKind.SAGEMAKER else
                 _("SageMaker starts new instances beside the old ones and moves the calls when they are ready."),
                 _("The revision of now is kept: you can roll back to it.")]
        if endpoint.wish == Wish.STOPPED:
            lines.append(_("It is stopped; a new revision starts it."))
    if wished & {"replicas", "autoscale"}:
        lines.append(_("Replicas come or go; those that stay are not restarted."))
    return lines


def folded(draft: Draft) -> Mapping[str, Any]:
    """What the folded part draws of arguments, options and signals."""
    form = draft.form
    arguments, options = form.fields["arguments"].widget, form.fields["options"].widget
    options.problems = getattr(options, "problems", ())
    known, told = SIGNALS.get(draft.kind, ()), draft.told
    has_devices = draft.kind == ClusterKind.HOSTS and bool(draft.profile and draft.profile.gpus)
    drawn = (*FOLDED, *(SCALING if known else ()), *(("devices",) if has_devices else ()),
             *(("options",) if draft.options_kind else ()))
    return {
        "errors": [(name, told.get(name, "")) for name in drawn] if draft.suit else [],
        "arguments": arguments.get_context("arguments", form["arguments"].value(), {"id": "id_arguments"}),
        "options": options.get_context("options", form["options"].value(), {"id": "id_options"}),
        "arguments_set": sum(1 for key, text in draft.data.items() if key.startswith("arguments__") and text),
        "signals": known, "profiles": draft.place.suits if draft.place else (),
        "has_devices": has_devices,
    }


@dataclass(frozen=True)
class Instance:
    """A type of machine to choose, with its price for one."""

    name: str
    cost: str


def instances(place: PlaceSuits | None, profile: Profile | None, chosen: str) -> list[Instance]:
    """The types that hold it, the cheapest first; of an endpoint also the one that it has."""
    suit = place.of(profile.slug) if place is not None and profile is not None else None
    if place is None or suit is None:
        return []
    names = list(dict.fromkeys([*suit.instances, *([chosen] if chosen else [])]))
    side = getattr(place.cluster, "aws", None)
    found = []
    for name in names:
        cost = hourly_cost(name, side.region, 1) if side is not None else None
        found.append(Instance(name, per_hour(cost.per_hour) if cost else ""))
    return found
