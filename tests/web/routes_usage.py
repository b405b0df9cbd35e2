"""What the isolation matrix has to know of the pages of usage."""

from __future__ import annotations

from tests.web.routes import Entry

ROUTES = {"usage": Entry(), "usage-table": Entry()}
