from __future__ import annotations

from tests.web.routes import Entry

ROUTES = {
    "start": Entry(),
    "language": Entry(verbs=("POST",), viewer_may_post=True),
}
