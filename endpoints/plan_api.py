"""Routes that say what a wish would change, before it is wished."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Router, Schema, Status
from pydantic import Field

from endpoints import services
from endpoints.api import endpoint_of, place_of, profile_of
from endpoints.models import Endpoint
from endpoints.schemas import AutoscaleIn, EndpointIn, EndpointOut, Replicas, UpdateIn
from endpoints.targets.base import Check, Step
from portal.tenancy.answers import pick
from portal.tenancy.auth import ApiRequest

router = Router(tags=["endpoints"])


class ChangeIn(UpdateIn):
    """What an update, another size or an earlier `revision` would change; what is not sent stays as it is."""

    replicas: Replicas | None = None
    autoscale: AutoscaleIn | None = None
    revision: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] | None = None


class FieldOut(Schema):
    """One field of one object: `before` is there now, and whose it is; null means that there is none."""

    path: str
    before: Any
    after: Any
    manager: str


class StepOut(Schema):
    verb: str
    what: str
    detail: str
    fields: list[FieldOut]


class CheckOut(Schema):
    """`ok` is null for what should be looked at but does not stop."""

    name: str
    ok: bool | None
    sentence: str
    lines: list[str]


class PlanOut(Schema):
    """Send `word` as the header If-Plan with the wish: it is refused where the place has changed meanwhile."""

    steps: list[StepOut]
    checks: list[CheckOut]
    may_go: bool
    word: str


def plan_out(planned: services.Planned) -> PlanOut:
    plan = planned.plan
    return PlanOut(steps=[_step_out(step) for step in plan.steps], checks=[_check_out(check) for check in plan.checks],
                   may_go=plan.may_go, word=planned.word)


def _step_out(step: Step) -> StepOut:
    fields = [FieldOut(path=f.path, before=f.before, after=f.after, manager=f.manager) for f in step.fields]
    return StepOut(verb=step.verb, what=step.what, detail=step.detail, fields=fields)


def _check_out(check: Check) -> CheckOut:
    return CheckOut(name=check.name, ok=check.ok, sentence=check.sentence, lines=list(check.lines))


@router.post("/endpoints/plan", response=PlanOut, summary="Say what deploying a model would make, and whether it fits")
def plan_creation(request: ApiRequest, data: EndpointIn) -> PlanOut:
    actor = request.auth
    workspace = pick(actor.workspaces, data.workspace, field="workspace", what="workspace")
    values = data.model_dump(exclude={"workspace", "place", "profile", "affinity", "note", "deploy"})
    return plan_out(services.plan_creation(
        actor, workspace, cluster=place_of(workspace, data.place), profile=profile_of(workspace, data.profile), **values))


@router.get("/endpoints/{uid}/plan", response=PlanOut, summary="Say what the next step would change")
def plan_endpoint(request: ApiRequest, uid: UUID) -> PlanOut:
    return plan_out(services.plan(endpoint_of(request, uid)))


@router.post("/endpoints/{uid}/plan", response=PlanOut, summary="Say what an update, another size or a roll back would change")
def plan_change(request: ApiRequest, uid: UUID, data: ChangeIn) -> PlanOut:
    endpoint = endpoint_of(request, uid)
    values = data.model_dump(exclude_unset=True, exclude={"profile", "note", "revision"})
    profile = profile_of(endpoint.workspace, data.profile) if data.profile else None
    return plan_out(services.plan_change(request.auth, endpoint, profile=profile, number=data.revision, **values))


class DriftOut(Schema):
    """A field of one of the endpoint's objects that others changed: `before` is there now, `after` is the portal's."""

    object: str
    path: str
    before: Any
    after: Any
    manager: str
    since: datetime


class DriftList(Schema):
    items: list[DriftOut]
    contested: bool


@router.get("/endpoints/{uid}/drift", response=DriftList, summary="List what was changed outside the portal")
def list_drift(request: ApiRequest, uid: UUID) -> dict[str, Any]:
    endpoint = endpoint_of(request, uid)
    return {"items": endpoint.drift, "contested": endpoint.is_contested}


@router.post("/endpoints/{uid}/drift/put-back", response={204: None}, summary="Put back what was changed outside")
def put_back_drift(request: ApiRequest, uid: UUID) -> Status[None]:
    services.put_back(request.auth, endpoint_of(request, uid))
    return Status(204, None)


@router.post("/endpoints/{uid}/drift/accept", response={202: EndpointOut}, summary="Take what was changed as the new truth")
def accept_drift(request: ApiRequest, uid: UUID) -> Status[Endpoint]:
    services.accept(request.auth, endpoint_of(request, uid))
    return Status(202, endpoint_of(request, uid))


@router.post("/endpoints/{uid}/drift/ignore", response={202: EndpointOut}, summary="Leave the changed fields to others")
def ignore_drift(request: ApiRequest, uid: UUID) -> Status[Endpoint]:
    services.ignore(request.auth, endpoint_of(request, uid))
    return Status(202, endpoint_of(request, uid))
