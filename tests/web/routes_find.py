"""What the isolation matrix has to know of “find anything”."""

from __future__ import annotations

from tests.web.routes import Entry

ROUTES = {
    "find": Entry(),
}
