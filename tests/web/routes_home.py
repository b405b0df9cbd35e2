from __future__ import annotations

from tests.web.routes import Entry

ROUTES = {
    "home": Entry(),
    "home-live": Entry(),
}
