"""What people wish of a route, as one value: read from its rows, checked, told in a sentence, kept in its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from endpoints.models import Canary, CanaryState, Endpoint, Route, TargetRole
from endpoints.states import Wish
from models_catalog.choices import Task
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.models import Workspace

MOST_TARGETS = 20
MOST_STEPS = 10
WHOLE = 100
# What a canary is wished to be, apart from its endpoint; the rest of its row is its state.
TRIAL_FIELDS = ("percent", "steps", "step_minutes", "min_calls", "window_minutes", "max_error_percent", "max_error_points",
                "max_first_byte_ms", "max_first_byte_ratio")
# Endpoints behind one name must be able to answer the same calls.
FAMILIES = {Task.VISION_CHAT.value: Task.CHAT.value}


@dataclass(frozen=True)
class Share:
    """An endpoint that takes `weight` of the calls, relative to the sum of its route's shares."""

    endpoint: Endpoint
    weight: int = WHOLE


@dataclass(frozen=True)
class Trial:
    """A canary: its endpoint, its values (TRIAL_FIELDS; what is missing has the model's default), and its state."""

    endpoint: Endpoint
    values: Mapping[str, Any] = field(default_factory=dict)
    state: str = CanaryState.RUNNING.value
    reason: str = ""

    def row(self, route: Route | None = None) -> Canary:
        values = {**self.values, "steps": list(self.values.get("steps") or ())}
        return Canary(endpoint=self.endpoint, state=self.state, reason=self.reason[:300], **values,
                      **({"route": route} if route else {}))


@dataclass(frozen=True)
class RouteWish:
    public_name: str
    mains: tuple[Share, ...]
    fallbacks: tuple[Endpoint, ...] = ()
    canary: Trial | None = None
    is_sticky: bool = False
    description: str = ""

    @property
    def endpoints(self) -> list[Endpoint]:
        return [*[share.endpoint for share in self.mains], *self.fallbacks, *([self.canary.endpoint] if self.canary else [])]


def wish_of(route: Route) -> RouteWish:
    """The wish as the rows have it now, in two queries."""
    targets = list(route.targets.select_related("endpoint").order_by("position", "id"))
    canary = Canary.objects.filter(route=route).select_related("endpoint").first()
    return RouteWish(
        route.public_name, tuple(Share(one.endpoint, one.weight) for one in targets if one.role == TargetRole.MAIN),
        tuple(one.endpoint for one in targets if one.role == TargetRole.FALLBACK), trial_of(canary) if canary else None,
        route.is_sticky, route.description)


def trial_of(canary: Canary) -> Trial:
    return Trial(canary.endpoint, {name: getattr(canary, name) for name in TRIAL_FIELDS}, canary.state, canary.reason)


def as_json(wish: RouteWish) -> dict[str, Any]:
    """As history and audit keep it."""
    trial = wish.canary
    return {
        "public_name": wish.public_name, "description": wish.description, "is_sticky": wish.is_sticky,
        "targets": [{**_name(share.endpoint), "weight": share.weight} for share in wish.mains],
        "fallbacks": [_name(endpoint) for endpoint in wish.fallbacks],
        "canary": trial and {**_name(trial.endpoint), "state": trial.state, "reason": trial.reason,
                             **{name: getattr(trial.row(), name) for name in TRIAL_FIELDS}},
    }


def from_json(workspace: Workspace, kept: Mapping[str, Any]) -> RouteWish:
    """The wish that `as_json` has kept. Raises Conflict where one of its endpoints is gone."""
    trial = kept["canary"]
    named = [*kept["targets"], *kept["fallbacks"], *([trial] if trial else [])]
    found = {str(one.uid): one for one in Endpoint.objects.filter(workspace=workspace, uid__in=[one["uid"] for one in named])}
    gone = [one["name"] for one in named if one["uid"] not in found]
    if gone:
        raise Conflict(_("This can't be restored: %(names)s is gone.") % {"names": ", ".join(gone)}, code="endpoint_gone")
    return RouteWish(
        kept["public_name"], tuple(Share(found[one["uid"]], one["weight"]) for one in kept["targets"]),
        tuple(found[one["uid"]] for one in kept["fallbacks"]),
        trial and Trial(found[trial["uid"]], {name: trial[name] for name in TRIAL_FIELDS}, trial["state"], trial["reason"]),
        kept["is_sticky"], kept["description"])


def percents(weights: Sequence[int]) -> list[float]:
    """Weights as shares of 100."""
    whole = sum(weights) or 1
    return [WHOLE * weight / whole for weight in weights]


def sentence(wish: RouteWish) -> str:
    """Who gets how much, for the history."""
    trial = wish.canary
    tried = int(trial.row().percent) if trial and trial.state == CanaryState.RUNNING else 0
    shares = percents([share.weight for share in wish.mains])
    parts = [f"{share.endpoint.name} {round(percent * (WHOLE - tried) / WHOLE, 1):g} %"
             for share, percent in zip(wish.mains, shares, strict=True)]
    if trial and tried:
        parts.append(_("on trial: %(name)s %(percent)d %%") % {"name": trial.endpoint.name, "percent": tried})
    if wish.fallbacks:
        parts.append(_("stands in: %(names)s") % {"names": ", ".join(one.name for one in wish.fallbacks)})
    return "; ".join(parts)


def check(workspace: Workspace, wish: RouteWish, before: RouteWish | None = None) -> None:
    """Whether this may become a route of the workspace. Raises Invalid (with the field), Conflict."""
    _check_fields(Route(public_name=wish.public_name, public_key=wish.public_name.lower(), description=wish.description),
                  exclude=["workspace", "created_by"])
    if not any(share.weight for share in wish.mains):
        raise Invalid(_("Give at least one endpoint a weight above 0."), field="targets")
    for share in wish.mains:
        if isinstance(share.weight, bool) or not 0 <= share.weight <= WHOLE:
            raise Invalid(_("Choose weights from 0 to 100."), field="targets")
    _check_endpoints(workspace, wish)
    if wish.canary is not None:
        _check_canary(wish.canary)
    if before is None or before.public_name.lower() != wish.public_name.lower():
        _check_name(workspace, wish)


def _check_endpoints(workspace: Workspace, wish: RouteWish) -> None:
    ids = [endpoint.pk for endpoint in wish.endpoints]
    if len(ids) > MOST_TARGETS:
        raise Invalid(_("A route leads to %(most)d endpoints at most.") % {"most": MOST_TARGETS}, field="targets")
    if len(set(ids)) < len(ids):
        raise Invalid(_("An endpoint can be named once only: with a share, to stand in, or on trial."), field="targets")
    found = list(Endpoint.objects.filter(workspace=workspace, pk__in=ids).select_related("wanted"))
    if len(found) < len(ids):
        raise Invalid(_("unknown %(what)s") % {"what": "endpoint"}, field="targets")
    leaving = [endpoint.name for endpoint in found if endpoint.wish == Wish.DELETED]
    if leaving:
        raise Conflict(_("%(name)s is being deleted.") % {"name": leaving[0]}, code="deleting", field="targets")
    tasks = {task: endpoint.name for endpoint in found if (task := _task(endpoint))}
    if len(tasks) > 1:
        raise Invalid(_("These endpoints don't answer the same calls: %(tasks)s.") % {
            "tasks": ", ".join(f"{name} ({Task(task).label if task in Task.values else task})"
                               for task, name in sorted(tasks.items()))}, field="targets")


def _task(endpoint: Endpoint) -> str:
    task = str(endpoint.wanted.spec.get("task") or "") if endpoint.wanted else ""
    return FAMILIES.get(task, task)


def _check_canary(trial: Trial) -> None:
    row = trial.row()
    _check_fields(row, exclude=["route", "endpoint", "baseline"])
    steps = row.steps
    if len(steps) > MOST_STEPS or any(type(step) is not int for step in steps):
        raise Invalid(_("Give up to %(most)d steps as whole percentages.") % {"most": MOST_STEPS}, field="steps")
    if [row.percent, *steps] != sorted({row.percent, *steps}) or any(step > WHOLE for step in steps):
        raise Invalid(_("Each step must be above the one before, and 100 at most."), field="steps")


def _check_name(workspace: Workspace, wish: RouteWish) -> None:
    """A route may take the name of an endpoint that it leads to: its callers come by the route from then on."""
    same = Endpoint.objects.filter(workspace=workspace, public_key=wish.public_name.lower()).first()
    if same is not None and same.pk not in [endpoint.pk for endpoint in wish.endpoints]:
        raise Conflict(_("%(name)s is the model name of the endpoint %(endpoint)s. Give the route another name, or let it lead "
                         "to this endpoint.") % {"name": wish.public_name, "endpoint": same.name}, field="public_name")


def require_no_route(endpoint: Endpoint) -> None:
    """Raise Conflict where a new endpoint would have the name of a route, and so never be called by it."""
    if Route.objects.filter(workspace=endpoint.workspace_id, public_key=endpoint.public_key).exists():
        raise Conflict(_("%(name)s is the name of a route of the workspace. Choose another model name, and let the route lead "
                         "to the new endpoint.") % {"name": endpoint.public_name}, field="public_name")


def _check_fields(row: Route | Canary, exclude: list[str]) -> None:
    try:
        row.clean_fields(exclude=exclude)
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field="public_name" if name == "public_key" else name) from error


def _name(endpoint: Endpoint) -> dict[str, Any]:
    return {"uid": str(endpoint.uid), "name": endpoint.name}
