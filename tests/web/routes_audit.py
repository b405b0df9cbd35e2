"""What the isolation matrix has to know of the pages of the audit."""

from __future__ import annotations

from tests.web.routes import Entry

ROUTES = {"audit": Entry(), "audit-table": Entry()}
