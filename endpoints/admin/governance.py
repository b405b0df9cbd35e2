from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _

from endpoints import services
from endpoints.models import TaskGovernance
from portal.tenancy.adminkit import PortalAdmin, actor_of, adopt, is_operator
from portal.tenancy.errors import Invalid


@admin.register(TaskGovernance)
class TaskGovernanceAdmin(PortalAdmin):
    """Who waits in which queue of HyperPod's task governance, and who goes first."""

    list_display = ("workspace", "queue", "priority_class")
    list_select_related = ("workspace",)
    search_fields = ("workspace__slug__istartswith", "queue", "priority_class")
    autocomplete_fields = ("workspace",)
    ordering = ("workspace__slug",)
    fields = ("workspace", "queue", "priority_class")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("workspace",) if obj else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(is_operator(request) and super().has_add_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(obj is not None and is_operator(request) and super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: TaskGovernance, form: Any, change: bool) -> None:
        row = services.set_governance(actor_of(request), obj.workspace, queue=obj.queue, priority_class=obj.priority_class)
        if row is None:
            raise Invalid(_("Give a queue or a priority class; to take the rule away, delete it."), field="queue")
        adopt(obj, row)

    def delete_model(self, request: HttpRequest, obj: TaskGovernance) -> None:
        services.set_governance(actor_of(request), obj.workspace)
