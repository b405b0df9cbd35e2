"""Signs of life for supervisors, load balancers and deepinfer's clients. None of them says more than it must."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from portal.tenancy import heartbeat
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.models import Instance

log = logging.getLogger(__name__)
SWEEP_LATE_SECONDS = 30.0
BROKER_SECONDS = 1


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Asks no database, so that a database that is away restarts nobody."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def deepinfer_health(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "healthy"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 where this process can serve; `warnings` name what works behind it and is late.

    With `?strict=1` a warning counts as not ready, for monitors that look at the whole installation.
    """
    failures = fatal()
    warnings = [] if failures else late()
    wrong = failures or ("strict" in request.GET and warnings)
    body = {"status": "not ready" if wrong else "ready", "reasons": failures, "warnings": warnings}
    response = JsonResponse(body, status=503 if wrong else 200)
    response["Cache-Control"] = "no-store"
    return response


def fatal() -> list[str]:
    """Why nothing can be served: one sentence for the first thing that is wrong, or nothing."""
    checks: tuple[Callable[[], str], ...] = (missing_migrations, wrong_keys)
    try:
        return [sentence for check in checks if (sentence := check())][:1]
    except DatabaseError as error:
        log.warning("database away", extra={"error": type(error).__name__})
        return [_("The database does not answer.")]


def late() -> list[str]:
    """What is late or away, while requests can still be served."""
    return [sentence for sentence in (late_sweep(), broker_away()) if sentence]


def missing_migrations() -> str:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _("%(count)d migrations are not applied.") % {"count": len(plan)} if plan else ""


def wrong_keys() -> str:
    """Whether the field keys are those that this database was written with."""
    row = Instance.objects.filter(only=True).first()
    try:
        if row is not None:
            row.secret("canary")
    except SecretUnreadable:
        return _("The field keys are not the ones that this database was written with.")
    return ""


def late_sweep() -> str:
    age = heartbeat.age("sweep")
    if age is None:
        return _("No sweep has run yet: is a worker and beat running?")
    if age > SWEEP_LATE_SECONDS:
        return _("The last sweep ended %(age)d seconds ago: is a worker and beat running?") % {"age": age}
    return ""


def broker_away() -> str:
    """Whether a task can be handed over now; the wish itself would wait in its row."""
    if settings.CELERY_BROKER_URL.startswith("filesystem:"):
        folder = Path(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_out"])
        return "" if folder.is_dir() else _("The broker's folder is missing.")
    try:
        with current_app.connection_for_write(transport_options={"socket_timeout": BROKER_SECONDS}) as broker:
            broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except (OperationalError, OSError):
        return _("The broker does not answer.")
    return ""
