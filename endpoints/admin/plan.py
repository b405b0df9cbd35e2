"""The plan of a wish on its confirmation page: what stops it, what it makes and changes, field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from endpoints import services
from endpoints.models import Endpoint
from portal.tenancy.actor import Actor
from portal.tenancy.adminkit import Preview, actor_of
from portal.tenancy.errors import PortalError, Stale, Unavailable

TEMPLATE = "portal/admin/plan.html"
UNASKED = "-"  # approves a wish whose place can't be asked now
VERBS = {"create": "good", "change": "late", "delete": "bad", "stop": "bad", "keep": "idle", "start": "good"}


def previewed(plan: Callable[..., services.Planned]) -> Callable[..., Preview]:
    """From ``plan(actor, row, **form values)`` to the preview of an action."""
    def preview(request: HttpRequest, row: Endpoint, word: str, **values: Any) -> Preview:
        try:
            planned = plan(actor_of(request), row, **values)
        except Unavailable as error:
            return Preview(TEMPLATE, {"problem": error.message}, UNASKED, is_approved=word == UNASKED)
        except PortalError as error:  # the action itself will say it too, with the row's name
            return Preview(TEMPLATE, {"problem": error.message}, UNASKED, is_approved=bool(word))
        return _shown(planned, word)
    return preview


def _shown(planned: services.Planned, word: str) -> Preview:
    changed = ""
    if word:
        try:
            services.require_unchanged(word, planned)
        except Stale as error:
            changed = error.message
    context = {
        "steps": [(step, VERBS.get(step.verb, "mean"), step.fields) for step in planned.plan.steps if step.verb != "keep"],
        "kept": sum(step.verb == "keep" for step in planned.plan.steps), "checks": planned.plan.checks,
        "may_go": planned.plan.may_go, "changed": changed,
    }
    return Preview(TEMPLATE, context, planned.word, is_approved=bool(word) and not changed)


def plan_as_it_is(actor: Actor, row: Endpoint, **_values: Any) -> services.Planned:
    """Of deploy, start and retry: the wish stays, the place follows."""
    return services.plan(row)


def plan_scale(actor: Actor, row: Endpoint, *, replicas: int, **_values: Any) -> services.Planned:
    return services.plan_change(actor, row, replicas=replicas)


def plan_roll_back(actor: Actor, row: Endpoint, *, number: int, **_values: Any) -> services.Planned:
    return services.plan_change(actor, row, number=number)


def plan_update(
    actor: Actor, row: Endpoint, *, profile: Any = None, arguments: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None, **_values: Any,
) -> services.Planned:
    now = row.wanted.spec.get("arguments", {}) if row.wanted and profile is None else {}
    return services.plan_change(actor, row, profile=profile, arguments={**now, **arguments} if arguments else None,
                                options=changed_options(row, options))


def changed_options(row: Endpoint, options: dict[str, Any] | None) -> dict[str, Any] | None:
    """None where a form shows the options as they are."""
    return None if row.wanted is not None and options == row.wanted.spec.get("options", {}) else options
