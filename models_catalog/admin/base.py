from __future__ import annotations

from typing import Any

from django.db.models import Count, JSONField, OuterRef, QuerySet, Subquery, URLField
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from models_catalog.bulk import BulkMixin
from portal.tenancy.adminkit import PortalAdmin

from .forms import PrettyJson, json_box


class CatalogueAdmin(BulkMixin, PortalAdmin):
    """Base of the catalogue's pages: bulk files, and JSON that can be read."""

    tall_fields: tuple[str, ...] = ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, JSONField):
            kwargs |= {"form_class": PrettyJson, "widget": json_box(12 if db_field.name in self.tall_fields else 4)}
        if isinstance(db_field, URLField):
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)


def counted(rows: QuerySet[Any], field: str) -> Coalesce:
    """How many `rows` point with `field` at the outer row: by subquery, so that columns don't multiply."""
    grouped = rows.filter(**{field: OuterRef("pk")}).order_by().values(field).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(grouped), 0)
