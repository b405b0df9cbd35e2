"""The admin kit: what every page of the admin is built from. docs/admin.md shows how to use it."""

from .actions import ConfirmForm, confirmed
from .base import PortalAdmin, ViewOnlyAdmin, actor_of, adopt, scoped
from .paging import CappedPaginator
from .status import age, sheet, status_badge

__all__ = [
    "CappedPaginator", "ConfirmForm", "PortalAdmin", "ViewOnlyAdmin", "actor_of", "adopt", "age", "confirmed", "scoped",
    "sheet", "status_badge",
]
