"""Verbs on routes: each writes the whole wish, a line of its history and an audit entry in one transaction.

Gateways read routes from the database within seconds; no engine is asked, and calls on their way stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.models import Canary, CanaryState, Endpoint, Route, RouteChange, RouteTarget, TargetRole
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, NotFound, QuotaExceeded, Stale
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb

from .route_traffic import counted_already
from .route_wish import RouteWish, Share, Trial, as_json, check, from_json, sentence, wish_of

MOST_ROUTES = 1000  # of a workspace: every gateway reads all of them each second


@retry_tx
def create_route(actor: Actor, workspace: Workspace, wish: RouteWish) -> Route:
    """A new route. Raises NotFound, NotAllowed, Invalid (with the field), Conflict where the name is taken, QuotaExceeded."""
    actor.require(Verb.DEPLOY, workspace)
    check(workspace, wish)
    if Route.objects.filter(workspace=workspace).count() >= MOST_ROUTES:
        raise QuotaExceeded(_("A workspace has %(most)d routes at most.") % {"most": MOST_ROUTES})
    row = Route(workspace=workspace, created_by=actor.user, **_fields(wish))
    with _names_are_taken():
        row.save(force_insert=True)
    _write_parts(row, wish)
    _note(actor, row, "create", _("Made: %(wish)s") % {"wish": sentence(wish)}, before={}, wish=wish)
    return row


@retry_tx
def change_route(actor: Actor, route: Route, *, expected_generation: int | None = None, **changes: Any) -> Route:
    """Change fields of the wish (see RouteWish); what is not given stays. Raises as `create_route` does, and Stale."""
    actor.require(Verb.DEPLOY, route.workspace)
    wish = replace(wish_of(route), **changes)
    return _write(actor, route, wish, "change", _("Changed: %(wish)s") % {"wish": sentence(wish)}, expected=expected_generation)


@retry_tx
def delete_route(actor: Actor, route: Route, *, expected_generation: int | None = None) -> None:
    """Take the name away; calls for it are answered with 404 from then on, unless an endpoint has it itself."""
    actor.require(Verb.DEPLOY, route.workspace)
    before = as_json(wish_of(route))
    _win(route, expected_generation)
    audit.record(actor, "delete", route, workspace=route.workspace, before=before)
    route.delete()


@retry_tx
def start_canary(
    actor: Actor, route: Route, endpoint: Endpoint, *, expected_generation: int | None = None, **values: Any,
) -> Route:
    """Send a share of the calls to an endpoint on trial; of the one that was on trial before, nothing is left.

    `values` are of TRIAL_FIELDS. An endpoint that stood in, or had a share, is on trial instead.
    """
    actor.require(Verb.DEPLOY, route.workspace)
    wish = wish_of(route)
    wish = replace(wish, canary=Trial(endpoint, values), fallbacks=_without(wish.fallbacks, endpoint),
                   mains=tuple(share for share in wish.mains if share.endpoint.pk != endpoint.pk))
    return _write(actor, route, wish, "start", _("Trial of %(name)s started: %(wish)s") % {
        "name": endpoint.name, "wish": sentence(wish)}, expected=expected_generation)


@retry_tx
def promote(actor: Actor, route: Route, *, expected_generation: int | None = None) -> Route:
    """The endpoint on trial takes all calls; those that had them before stand in, first of all."""
    actor.require(Verb.DEPLOY, route.workspace)
    wish, trial = _tried(route)
    former = tuple(share.endpoint for share in wish.mains)
    wish = replace(wish, mains=(Share(trial.endpoint),), fallbacks=(*former, *wish.fallbacks), canary=None)
    return _write(actor, route, wish, "promote", _("%(name)s promoted: %(wish)s") % {
        "name": trial.endpoint.name, "wish": sentence(wish)}, expected=expected_generation)


@retry_tx
def return_canary(actor: Actor, route: Route, reason: str = "", *, expected_generation: int | None = None) -> Route:
    """The endpoint on trial gets no calls any more; calls on their way end there. It can be resumed."""
    actor.require(Verb.DEPLOY, route.workspace)
    wish, trial = _tried(route, CanaryState.RUNNING)
    wish = replace(wish, canary=replace(trial, state=CanaryState.RETURNED.value, reason=reason[:300]))
    said = _("Trial of %(name)s returned to 0 %%.") % {"name": trial.endpoint.name}
    return _write(actor, route, wish, "return", f"{said} {reason}".strip(), expected=expected_generation)


@retry_tx
def resume_canary(actor: Actor, route: Route, *, expected_generation: int | None = None) -> Route:
    """Give a returned canary its share again. What it did before does not count any more."""
    actor.require(Verb.DEPLOY, route.workspace)
    wish, trial = _tried(route, CanaryState.RETURNED)
    wish = replace(wish, canary=replace(trial, state=CanaryState.RUNNING.value, reason=""))
    return _write(actor, route, wish, "resume", _("Trial of %(name)s resumed: %(wish)s") % {
        "name": trial.endpoint.name, "wish": sentence(wish)}, expected=expected_generation)


@retry_tx
def end_canary(actor: Actor, route: Route, *, expected_generation: int | None = None) -> Route:
    """Take the endpoint on trial out of the route."""
    actor.require(Verb.DEPLOY, route.workspace)
    wish, trial = _tried(route)
    return _write(actor, route, replace(wish, canary=None), "end", _("Trial of %(name)s ended.") % {
        "name": trial.endpoint.name}, expected=expected_generation)


@retry_tx
def step_canary(actor: Actor, route: Route, *, expected_generation: int | None = None) -> Route:
    """Give the endpoint on trial the share of its next step; 100 promotes it. Raises Conflict where no step is left."""
    wish, trial = _tried(route, CanaryState.RUNNING)
    steps = list(trial.values["steps"])
    if not steps:
        raise Conflict(_("There is no next step."), code="no_change")
    if steps[0] >= 100:
        return promote(actor, route, expected_generation=expected_generation)
    actor.require(Verb.DEPLOY, route.workspace)
    wish = replace(wish, canary=replace(trial, values={**trial.values, "percent": steps[0], "steps": steps[1:]}))
    return _write(actor, route, wish, "step", _("Next step of %(name)s: %(wish)s") % {
        "name": trial.endpoint.name, "wish": sentence(wish)}, expected=expected_generation)


@retry_tx
def restore_route(actor: Actor, route: Route, generation: int, *, expected_generation: int | None = None) -> Route:
    """Wish the route again as it was from this version on. Raises NotFound, Conflict where an endpoint of it is gone."""
    actor.require(Verb.DEPLOY, route.workspace)
    kept = RouteChange.objects.filter(route=route, generation=generation).first()
    if kept is None:
        raise NotFound(_("There is no version %(number)d.") % {"number": generation})
    wish = from_json(route.workspace, kept.wish)
    return _write(actor, route, wish, "restore", _("Version %(number)d restored: %(wish)s") % {
        "number": generation, "wish": sentence(wish)}, expected=expected_generation)


def _tried(route: Route, state: CanaryState | None = None) -> tuple[RouteWish, Trial]:
    """The wish and its canary. Raises Conflict where there is none, or in another state."""
    wish = wish_of(route)
    if wish.canary is None:
        raise Conflict(_("%(name)s has no endpoint on trial.") % {"name": route.public_name}, code="no_canary")
    if state is not None and wish.canary.state != state:
        raise Conflict(_("The trial of %(name)s is not in the state for this: %(state)s.") % {
            "name": wish.canary.endpoint.name, "state": CanaryState(wish.canary.state).label}, code="no_change")
    return wish, wish.canary


def _write(actor: Actor, route: Route, wish: RouteWish, verb: str, message: str, *, expected: int | None) -> Route:
    """Write a wish by compare-and-swap on the generation. Raises Invalid, Conflict, Stale."""
    before = wish_of(route)
    old, new = as_json(before), as_json(wish)
    if new == old:
        raise Conflict(_("Nothing differs from what is wished already."), code="no_change")
    check(route.workspace, wish, before)
    with _names_are_taken():
        _win(route, expected, **_fields(wish))
    _write_parts(route, wish, goes_on=new["canary"] == old["canary"])
    _note(actor, route, verb, message, before=old, wish=wish)
    return route


def _win(route: Route, expected: int | None, **fields: Any) -> None:
    """Raise Stale where somebody else has changed the route since it was read."""
    same = expected is None or expected == route.generation
    if not same or not Route.objects.filter(pk=route.pk, generation=route.generation).update(
            generation=F("generation") + 1, updated_at=Now(), **fields):
        raise Stale(changed_meanwhile(route))
    route.refresh_from_db()


def changed_meanwhile(route: Route) -> str:
    """Who changed the route last, for a person who looked at an older one."""
    last = RouteChange.objects.filter(route_id=route.pk).first()
    if last is None:
        return _("This route is gone.")
    return _("%(name)s was changed by %(who)s (%(what)s). Load it again.") % {
        "name": route.public_name, "who": last.actor_label, "what": last.message}


def _fields(wish: RouteWish) -> dict[str, Any]:
    return {"public_name": wish.public_name, "public_key": wish.public_name.lower(), "description": wish.description,
            "is_sticky": wish.is_sticky}


@contextmanager
def _names_are_taken() -> Iterator[None]:
    """Turn the broken constraint into a Conflict; the savepoint keeps the transaction whole."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise Conflict(_("The workspace has a route with this name already."), field="public_name") from error


def _write_parts(route: Route, wish: RouteWish, *, goes_on: bool = False) -> None:
    """The rows below the route. The canary's row stays where it goes on, so that it is judged by what it has done."""
    mains = [RouteTarget(route=route, endpoint=share.endpoint, weight=share.weight, position=number)
             for number, share in enumerate(wish.mains)]
    others = [RouteTarget(route=route, endpoint=endpoint, role=TargetRole.FALLBACK, weight=0, position=number)
              for number, endpoint in enumerate(wish.fallbacks, len(mains))]
    _keep_only(route, [*mains, *others])
    if goes_on:
        return
    Canary.objects.filter(route=route).delete()
    if wish.canary is not None:
        row = wish.canary.row(route)
        row.since = timezone.now()
        row.baseline = counted_already(route.pk, row.endpoint_id, row.since)
        row.save(force_insert=True)


def _keep_only(route: Route, wanted: Sequence[RouteTarget]) -> None:
    """Rows whose endpoint stays keep their id, so that a form that is open elsewhere knows them."""
    there = {row.endpoint_id: row for row in route.targets.all()}
    for row in wanted:
        row.pk = there[row.endpoint_id].pk if row.endpoint_id in there else None
    route.targets.exclude(endpoint__in=[row.endpoint_id for row in wanted]).delete()
    RouteTarget.objects.bulk_update([row for row in wanted if row.pk], ["role", "weight", "position"])
    RouteTarget.objects.bulk_create([row for row in wanted if not row.pk])


def _note(actor: Actor, route: Route, verb: str, message: str, *, before: dict[str, Any], wish: RouteWish) -> None:
    after = as_json(wish)
    RouteChange.objects.create(route=route, generation=route.generation, verb=verb, message=message[:1000],
                               actor_label=actor.label[:200], wish=after)
    audit.record(actor, verb, route, workspace=route.workspace, before=before, after=after)


def _without(endpoints: Sequence[Endpoint], gone: Endpoint) -> tuple[Endpoint, ...]:
    return tuple(one for one in endpoints if one.pk != gone.pk)
