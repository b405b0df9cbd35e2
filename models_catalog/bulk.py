"""Bulk import and export on an admin page: scoped rows, guarded files, all rows or none."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from import_export.admin import ImportExportMixin
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from portal.tenancy.adminkit import actor_of

from .formats import GuardedCsv, PlainJson

MOST_MESSAGES = 20


class BulkMixin(ImportExportMixin):  # type: ignore[misc]  # import_export has no types
    """Put before PortalAdmin. Import needs the rights to add and to change, export the right to see."""

    import_form_class = ImportForm
    export_form_class = ExportForm
    skip_admin_log = True
    to_encoding = from_encoding = "utf-8"

    def get_import_formats(self) -> list[Any]:
        return [PlainJson, GuardedCsv]

    get_export_formats = get_import_formats

    def has_import_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_add_permission(request) and self.has_change_permission(request))

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"actor": actor_of(request), "rows": self.scoped_queryset(request)}

    def get_export_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return self.get_import_resource_kwargs(request)

    def get_import_data_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        """One bad row keeps all others out, too."""
        return {**super().get_import_data_kwargs(**kwargs), "rollback_on_validation_errors": True}

    def process_result(self, result: Any, request: HttpRequest) -> HttpResponse:
        if not (result.has_errors() or result.has_validation_errors()):
            answer: HttpResponse = super().process_result(result, request)
            return answer
        for row in result.invalid_rows[:MOST_MESSAGES]:
            for text in row.error.messages:
                messages.error(request, _("Row %(number)d: %(error)s") % {"number": row.number, "error": text})
        messages.error(request, _("Nothing was imported."))
        names = (self.admin_site.name, self.opts.app_label, self.opts.model_name)
        return HttpResponseRedirect(reverse("{}:{}_{}_import".format(*names)))
