"""How many replicas: a number of one's own, or bounds between which the place's autoscaler chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from endpoints import services
from endpoints.autoscale import sentences
from endpoints.autoscale.check import INITIAL_COOLDOWN, SCALERS, SECONDS, Scaler
from endpoints.models import Endpoint
from endpoints.services.quota import quota_checks, standings
from portal.tenancy.errors import NotAllowed, PortalError
from portal.tenancy.roles import Verb

from ..lists.forms import refuse
from ..visit import Visit, page
from . import undo, words
from .rows import generation_in, row_of
from .triggers import read_triggers, trigger_groups

MOST_REPLICAS = services.wishes.MAX_REPLICAS
TIMES = {
    "polling_seconds": gettext_lazy("Looks every, seconds"),
    "cooldown_seconds": gettext_lazy("Before the last one goes, seconds"),
    "stabilisation_up_seconds": gettext_lazy("Before more start, seconds"),
    "stabilisation_down_seconds": gettext_lazy("Before some go, seconds"),
}


class ReplicasForm(forms.Form):
    replicas = forms.IntegerField(label=gettext_lazy("Replicas"), min_value=1, max_value=MOST_REPLICAS)


class BoundsForm(forms.Form):
    """Bounds and times of autoscaling. SageMaker's cooldowns are the triggers' own."""

    min_replicas = forms.IntegerField(label=gettext_lazy("At least"), min_value=0, max_value=MOST_REPLICAS, initial=1)
    max_replicas = forms.IntegerField(label=gettext_lazy("At most"), min_value=1, max_value=MOST_REPLICAS, initial=4,
                                      help_text=gettext_lazy("Counts against the limits, whether they run or not."))

    def __init__(self, scaler: Scaler, is_tracking: bool, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in ({} if is_tracking else TIMES).items():
            least, most, default = SECONDS[name]
            self.fields[name] = forms.IntegerField(label=label, min_value=least, max_value=most, initial=default)
        if INITIAL_COOLDOWN in scaler.more:
            self.fields[INITIAL_COOLDOWN] = forms.IntegerField(
                label=gettext_lazy("Before the last one goes after a start, seconds"), required=False, min_value=0,
                max_value=86_400, initial=300)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def scale(visit: Visit, uid: UUID) -> HttpResponse:
    """The page of both forms; a POST is the number of replicas."""
    row = row_of(visit, uid)
    form = ReplicasForm(visit.request.POST or None, initial={"replicas": row.replicas}, label_suffix="")
    if visit.request.method != "POST":
        return _answer(visit, row, form)
    visit.actor.require(Verb.DEPLOY, row.workspace)
    if not form.is_valid():
        return _answer(visit, row, form, status=422)
    before, count = row.replicas, form.cleaned_data["replicas"]
    try:
        services.scale(visit.actor, row, count, expected_generation=generation_in(visit))
    except NotAllowed:
        raise
    except PortalError as error:
        return _answer(visit, row_of(visit, uid), form, status=refuse(form, error))
    undo.offer(visit, row, ngettext("%(n)d replica asked for.", "%(n)d replicas asked for.", count) % {"n": count},
               "endpoint-scale", replicas=before)
    return undo.back(visit, row)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def autoscale(visit: Visit, uid: UUID) -> HttpResponse:
    """A POST is the wish for autoscaling; the button `off` gives the number back to people."""
    row = row_of(visit, uid)
    if visit.request.method != "POST":
        return _answer(visit, row)
    visit.actor.require(Verb.DEPLOY, row.workspace)
    bounds, off = _bounds(row, visit.request.POST), "off" in visit.request.POST
    if not off and not bounds.is_valid():
        return _answer(visit, row, bounds=bounds, posted=visit.request.POST, status=422)
    try:
        services.set_autoscale(visit.actor, row, {} if off else _wish(row, bounds, visit.request.POST),
                               expected_generation=generation_in(visit))
    except NotAllowed:
        raise
    except PortalError as error:
        return _answer(visit, row_of(visit, uid), bounds=bounds, posted=visit.request.POST, error=error)
    return undo.back(visit, row)


def _bounds(row: Endpoint, data: Mapping[str, str] | None = None) -> BoundsForm:
    kind = row.cluster.kind
    return BoundsForm(_scaler(row), kind == "sagemaker", data, initial=row.autoscale, label_suffix="")


def _scaler(row: Endpoint) -> Scaler:
    return SCALERS.get(row.cluster.kind, SCALERS["kubernetes"])


def _wish(row: Endpoint, bounds: BoundsForm, data: Mapping[str, str]) -> dict[str, Any]:
    said = {name: value for name, value in bounds.cleaned_data.items() if value is not None}
    return {**said, "triggers": read_triggers(_scaler(row), data)}


def _answer(
    visit: Visit, row: Endpoint, form: ReplicasForm | None = None, *, bounds: BoundsForm | None = None,
    posted: Mapping[str, str] | None = None, error: PortalError | None = None, status: int = 200,
) -> HttpResponse:
    can_scale = row.cluster.kind in SCALERS
    return visit.render(
        "web/endpoints/scale.html", area="endpoints", status=error.status if error else status, row=row, error=error,
        form=form or ReplicasForm(initial={"replicas": row.replicas}, label_suffix=""), sentences=sentences(row.autoscale),
        bounds=bounds or _bounds(row), groups=trigger_groups(_scaler(row), row.autoscale, posted) if can_scale else [],
        can_scale=can_scale, size=words.size(row), limits=quota_checks(tuple(standings(row))),
        title=_("How many replicas of %(name)s") % {"name": row.name},
        may_deploy=visit.may(Verb.DEPLOY) and not row.is_owned_by_cluster)

