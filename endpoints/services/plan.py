"""What would change before it is wished: the plan of a wish, its pre-flight, and the word that approves it.

A plan's word (`Planned.word`) is signed. A wish that brings it is refused where the place has changed since.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.core import signing
from django.db.models import Max
from django.utils.translation import gettext as _

from clusters.models import Cluster
from endpoints.models import Endpoint, Revision
from endpoints.states import Cause, Wish
from endpoints.targets import target_for
from endpoints.targets.base import Check, ModelFacts, Plan, TargetError
from models_catalog.models import Profile
from models_catalog.sizing import Shape
from portal.tenancy.actor import Actor
from portal.tenancy.errors import Conflict, Invalid, Stale, Unavailable
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb
from portal.tenancy.text import clean

from .proposals import first_spec, next_spec
from .quota import Standing, quota_checks, standings
from .specs import spec_of
from .weights import with_weights
from .wishes import checked_autoscale, require_fits, still_accepted

SALT = "endpoints.plan"
LIFE_SECONDS = 3600


@dataclass(frozen=True)
class Planned:
    """A plan and the word that approves it, for an hour; `uid` is that of the endpoint, also of one yet to be made.

    `limits` are those on the endpoint's chain, counted with it as it would be.
    """

    plan: Plan
    uid: UUID
    word: str
    limits: tuple[Standing, ...] = ()


def plan(endpoint: Endpoint) -> Planned:
    """What the next step towards the wish as it is would change. Raises Unavailable where the place can't be asked."""
    proposed = copy.copy(endpoint)
    proposed.wish = Wish.RUNNING
    return _planned(proposed, endpoint)


def plan_creation(
    actor: Actor, workspace: Workspace, *, name: str, cluster: Cluster, profile: Profile, uid: UUID | None = None,
    replicas: int = 1, public_name: str = "", arguments: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None, devices: Sequence[int] = (), options: Mapping[str, Any] | None = None,
    autoscale: Mapping[str, Any] | None = None,
) -> Planned:
    """What a new endpoint would make. `uid` repeats an earlier plan. Raises NotAllowed, Invalid, Unavailable."""
    actor.require(Verb.DEPLOY, workspace)
    spec = first_spec(workspace, cluster, profile, arguments=arguments, environment=environment, devices=devices,
                      options=options, operates=actor.operates)
    scaling, _notes = checked_autoscale(cluster, autoscale or {}, spec)
    endpoint = Endpoint(workspace=workspace, cluster=cluster, name=name, public_name=public_name or name,
                        replicas=replicas, autoscale=scaling, created_by=actor.user, created_by_key=actor.key,
                        **({"uid": uid} if uid else {}))
    endpoint.wanted = Revision(endpoint=endpoint, number=1, profile=profile,
                               spec=with_weights(endpoint, profile, spec, make=False))
    return _planned(endpoint)


def plan_change(
    actor: Actor, endpoint: Endpoint, *, profile: Profile | None = None, arguments: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None, devices: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None, replicas: int | None = None, number: int | None = None,
    autoscale: Mapping[str, Any] | None = None,
) -> Planned:
    """What another revision, size or scaling would change; `number` is an earlier one. Raises NotAllowed, Invalid, Conflict."""
    actor.require(Verb.DEPLOY, endpoint.workspace)
    proposed = copy.copy(endpoint)
    if number is not None:
        proposed.wanted = Revision.objects.filter(endpoint=endpoint, number=number).select_related("profile").first()
    elif any(given is not None for given in (profile, arguments, environment, devices, options)):
        chosen, spec = next_spec(endpoint, profile, arguments=arguments, environment=environment, devices=devices,
                                 options=options, make=False, operates=actor.operates)
        require_fits(endpoint, spec)
        proposed.wanted = Revision(endpoint=endpoint, number=_last_number(endpoint) + 1, profile=chosen, spec=spec)
    if proposed.wanted is None:
        raise Conflict(_("%(name)s has no such revision.") % {"name": endpoint.name})
    if proposed.wanted is not endpoint.wanted:
        proposed.accepted = still_accepted(endpoint)
    proposed.replicas = endpoint.replicas if replicas is None else replicas
    if autoscale is not None:
        proposed.autoscale, _notes = checked_autoscale(endpoint.cluster, autoscale, proposed.wanted.spec)
    return _planned(proposed, endpoint)


def _last_number(endpoint: Endpoint) -> int:
    return Revision.objects.filter(endpoint=endpoint).aggregate(last=Max("number"))["last"] or 0


def _planned(endpoint: Endpoint, before: Endpoint | None = None) -> Planned:
    limits = tuple(standings(endpoint, before))
    try:
        spec, target = spec_of(endpoint), target_for(endpoint.cluster)
        checks = (*target.checks(spec, model_facts(endpoint)), *quota_checks(limits))
        found = replace(target.plan(spec), checks=checks)
    except TargetError as error:
        if not error.permanent and error.code != Cause.NOT_LOADED:
            raise Unavailable(_("The place can't be asked: %(why)s") % {"why": clean(error.message, 300)}) from error
        found = Plan((), "", (Check("place", False, clean(error.message, 1000)),))
    word = signing.dumps({"digest": found.digest, "uid": endpoint.uid.hex}, salt=SALT)
    return Planned(found, endpoint.uid, word, limits)


def model_facts(endpoint: Endpoint) -> ModelFacts:
    """What the catalogue knows of the wanted revision's model."""
    assert endpoint.wanted is not None, "create() gives every endpoint a revision"
    model = endpoint.wanted.profile.model
    return ModelFacts(Shape.of(model.shape), model.context_tokens or 0, model.gated)


def approved_uid(word: str) -> UUID:
    """The uid that a plan was made for. Raises Invalid for a word that we did not sign, Stale for an old one."""
    return UUID(_read(word)["uid"])


def require_unchanged(word: str, now: Planned) -> None:
    """Raise Stale where the plan that was approved is not the plan of now."""
    read = _read(word)
    if (read["digest"], read["uid"]) != (now.plan.digest, now.uid.hex):
        raise Stale(_("The place has changed since this plan was made. Look at the new plan."))


def _read(word: str) -> dict[str, str]:
    try:
        read: dict[str, str] = signing.loads(word, salt=SALT, max_age=LIFE_SECONDS)
    except signing.SignatureExpired as error:
        raise Stale(_("This plan is more than an hour old. Look at the new plan.")) from error
    except signing.BadSignature as error:
        raise Invalid(_("This is no plan of this portal."), field="plan") from error
    return read
