"""Verbs on load tests. Who may call models may test them; `loadtest_run` is what a worker does with a run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from endpoints.loadtests.states import ACTIVE, Ending, RunState
from endpoints.models import LoadTest
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid, NotAllowed
from portal.tenancy.models import Workspace
from portal.tenancy.queue import after_commit
from portal.tenancy.roles import Verb

from .loadtest_bounds import Ask, Foreseen, foresee, require_room
from .loadtest_targets import called, require_talk

RUN = "endpoints.tasks.run_load_test"
MOST_NOTES = 1000
ASKED = tuple(Ask.__dataclass_fields__)
AUDITED = ("number", "model_name", "mode", "rate", "callers", "seconds", "prompt_tokens", "output_tokens", "notes")
# What both an Ask and a run have under one name.
SHARED = tuple(name for name in ASKED if name != "model")


def foreseen(actor: Actor, workspace: Workspace, ask: Ask) -> Foreseen:
    """What a run would use, before it is started. Raises NotFound, NotAllowed, and Invalid with the field."""
    actor.require(Verb.USE, workspace)
    target = called(workspace, ask.model)
    require_talk(target)
    return foresee(workspace, actor.user, ask, target)


@retry_tx
def start(actor: Actor, workspace: Workspace, ask: Ask) -> LoadTest:
    """Queue a run. Raises as `foreseen`, QuotaExceeded, Conflict while another of the workspace is queued or running."""
    actor.require(Verb.USE, workspace)
    if actor.user is None or actor.key is not None:
        raise NotAllowed(_("Load tests are started by signed-in people."))
    if not settings.PORTAL_LOAD_TESTS_AT_ONCE:
        raise NotAllowed(_("Load tests are switched off here."))
    target = called(workspace, ask.model)
    require_talk(target)
    found = foresee(workspace, actor.user, ask, target)
    require_room(found)
    if not target.is_serving:
        raise Conflict(_("It is not in service now, so there is nothing to measure. Start it first."), field="model")
    row = LoadTest(
        workspace=workspace, endpoint=target.endpoint, route=target.route, model_name=target.name, facts=target.facts,
        created_by=actor.user, number=_next_number(workspace), occupies=workspace.pk,
        most_tokens=found.plan.most_tokens, most_nano=found.plan.most_nano, prompt_nano=found.plan.prompt_nano,
        output_nano=found.plan.output_nano, **{name: value for name, value in asdict(ask).items() if name in SHARED})
    row.notes = _clean_notes(ask.notes)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(_("A load test of this workspace is under way. Wait for its end, or cancel it."),
                       code="load_test_running") from error
    audit.record(actor, "start", row, workspace=workspace, after=audit.snapshot(row, AUDITED))
    after_commit(RUN, row.pk)
    return row


@retry_tx
def cancel(actor: Actor, run: LoadTest) -> None:
    """End a run: at once where it waits, within two seconds where it runs. Raises Conflict where it has ended."""
    actor.require(Verb.USE, run.workspace)
    row = LoadTest.objects.filter(pk=run.pk)
    was_waiting = row.filter(state=RunState.QUEUED).update(
        state=RunState.CANCELLED, ending=Ending.CANCELLED, occupies=None, ended_at=Now(), stop_asked_at=Now())
    if not was_waiting and not row.filter(state=RunState.RUNNING).update(stop_asked_at=Now()):
        raise Conflict(_("This run has ended already."))
    audit.record(actor, "cancel", run, workspace=run.workspace)


@retry_tx
def delete(actor: Actor, run: LoadTest) -> None:
    """Drop a run with what it measured; who started it may, and who manages the workspace. Raises Conflict while it runs."""
    own = actor.user is not None and run.created_by_id == actor.user.pk
    actor.require(Verb.USE if own else Verb.MANAGE, run.workspace)
    gone, _rows = LoadTest.objects.filter(pk=run.pk).exclude(state__in=ACTIVE).delete()
    if not gone:
        raise Conflict(_("This run is under way. Cancel it first."))
    audit.record(actor, "delete", run, workspace=run.workspace, before=audit.snapshot(run, AUDITED))


@retry_tx
def set_notes(actor: Actor, run: LoadTest, notes: str) -> None:
    """Raises NotFound, NotAllowed, Invalid."""
    actor.require(Verb.USE, run.workspace)
    clean = _clean_notes(notes)
    LoadTest.objects.filter(pk=run.pk).update(notes=clean)
    audit.record(actor, "change", run, workspace=run.workspace, before={"notes": run.notes}, after={"notes": clean})


def asked_by(run: LoadTest) -> dict[str, Any]:
    """The values with which the same run is started again."""
    return {"model": run.model_name, **{name: getattr(run, name) for name in SHARED if name != "notes"}}


def _next_number(workspace: Workspace) -> int:
    return (LoadTest.objects.filter(workspace=workspace).aggregate(last=Max("number"))["last"] or 0) + 1


def _clean_notes(notes: str) -> str:
    clean = notes.replace("\0", "").strip()
    if len(clean) > MOST_NOTES:
        raise Invalid(_("Use at most %(most)d characters.") % {"most": MOST_NOTES}, field="notes")
    return clean
