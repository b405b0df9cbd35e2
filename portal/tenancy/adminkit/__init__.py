"""The admin kit: what every page of the admin is built from. docs/admin.md shows how to use it."""

from ..badges import age, sheet, status_badge
from .actions import ConfirmForm, Preview, confirmed
from .base import DeletedByAction, PortalAdmin, ViewOnlyAdmin, actor_of, adopt, is_operator, scoped
from .filters import PeriodFilter, RelatedOnlyFilter, WorkspaceFilter
from .once import shown_once
from .paging import CappedPaginator

__all__ = [
    "CappedPaginator", "ConfirmForm", "DeletedByAction", "PeriodFilter", "PortalAdmin", "Preview", "RelatedOnlyFilter",
    "ViewOnlyAdmin", "WorkspaceFilter", "actor_of", "adopt", "age", "confirmed", "is_operator", "scoped", "sheet", "shown_once",
    "status_badge",
]
