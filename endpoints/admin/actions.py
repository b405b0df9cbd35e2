from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from endpoints import services
from endpoints.models import Endpoint
from models_catalog.models import Profile
from portal.tenancy.adminkit import actor_of, confirmed

from .forms import GenerationForm, RollBackForm, ScaleForm, UpdateForm
from .plan import changed_options, plan_as_it_is, plan_roll_back, plan_scale, plan_update, previewed

SERVICE_VERBS = ("deploy", "start", "stop", "retry", "scale", "autoscale", "update", "roll_back", "put_back", "accept_drift",
                 "ignore_drift", "remove")


class EndpointActions:
    """The verbs, each with its own right, on the list and on the detail page."""

    actions = SERVICE_VERBS
    actions_detail = (
        "deploy", "scale", "update", {
            "title": _("More"), "icon": "more_horiz", "method_name": "more",
            "items": [verb for verb in SERVICE_VERBS if verb not in ("deploy", "scale", "update")]},
    )

    @confirmed(_("Deploy"), permission="deploy", preview=previewed(plan_as_it_is), form=GenerationForm, icon="rocket_launch",
               explain=_("The wanted revision is brought into service. A failed start is tried again."))
    def deploy(self, request: HttpRequest, row: Endpoint, generation: int | None = None) -> None:
        services.deploy(actor_of(request), row, expected_generation=generation)

    @confirmed(_("Start"), permission="start", preview=previewed(plan_as_it_is), form=GenerationForm, icon="play_arrow",
               explain=_("The stopped endpoint starts again with its wanted revision and size."))
    def start(self, request: HttpRequest, row: Endpoint, generation: int | None = None) -> None:
        services.start(actor_of(request), row, expected_generation=generation)

    @confirmed(_("Stop"), permission="stop", form=GenerationForm, danger=True, icon="stop_circle",
               explain=_("Every replica goes away and calls are refused. Name, revisions and history stay."))
    def stop(self, request: HttpRequest, row: Endpoint, generation: int | None = None) -> None:
        services.stop(actor_of(request), row, expected_generation=generation)

    @confirmed(_("Retry"), permission="retry", preview=previewed(plan_as_it_is), form=GenerationForm, icon="refresh",
               explain=_("Earlier failures are forgotten, and the same wish is tried again now."))
    def retry(self, request: HttpRequest, row: Endpoint, generation: int | None = None) -> None:
        services.retry(actor_of(request), row, expected_generation=generation)

    @confirmed(_("Scale"), permission="scale", preview=previewed(plan_scale), form=ScaleForm, icon="stacks",
               explain=_("The number of replicas follows as far as the place has room."))
    def scale(self, request: HttpRequest, row: Endpoint, replicas: int, generation: int | None = None) -> None:
        services.scale(actor_of(request), row, replicas, expected_generation=generation)

    @confirmed(_("Update"), permission="update", preview=previewed(plan_update), form=UpdateForm, icon="upgrade",
               explain=_("A new revision replaces the replicas one by one. The old ones serve until the new ones are "
                         "ready; if they fail, the old ones stay."))
    def update(
        self, request: HttpRequest, row: Endpoint, *, profile: Profile | None = None,
        arguments: dict[str, Any] | None = None, options: dict[str, Any] | None = None, note: str = "",
        generation: int | None = None,
    ) -> None:
        now = row.wanted.spec.get("arguments", {}) if row.wanted and profile is None else {}
        services.update(actor_of(request), row, profile=profile, note=note, expected_generation=generation,
                        arguments={**now, **arguments} if arguments else None, options=changed_options(row, options))

    @confirmed(_("Roll back"), permission="rollback", preview=previewed(plan_roll_back), form=RollBackForm, icon="undo",
               explain=_("An earlier revision is wanted again and replaces the replicas one by one."))
    def roll_back(self, request: HttpRequest, row: Endpoint, number: int, generation: int | None = None) -> None:
        services.roll_back(actor_of(request), row, number, expected_generation=generation)

    @confirmed(_("Put back"), permission="update", immediate=True, repeatable=True, icon="settings_backup_restore",
               explain=_("What was changed outside the portal becomes again what the portal keeps."))
    def put_back(self, request: HttpRequest, row: Endpoint) -> None:
        services.put_back(actor_of(request), row)

    @confirmed(_("Accept changes"), permission="update", icon="check_circle",
               explain=_("What was changed outside the portal becomes the new truth, and the portal keeps it so."))
    def accept_drift(self, request: HttpRequest, row: Endpoint) -> None:
        services.accept(actor_of(request), row)

    @confirmed(_("Leave to others"), permission="update", icon="visibility_off",
               explain=_("The fields that were changed outside the portal belong to others from now on."))
    def ignore_drift(self, request: HttpRequest, row: Endpoint) -> None:
        services.ignore(actor_of(request), row)

    @confirmed(_("Delete"), permission="delete", form=GenerationForm, danger=True, typed_name=True, icon="delete",
               explain=_("Every replica is taken away, then the endpoint with its revisions and events. "
                         "The audit stays. It can't be undone."))
    def remove(self, request: HttpRequest, row: Endpoint, generation: int | None = None) -> None:
        services.delete(actor_of(request), row, expected_generation=generation)
