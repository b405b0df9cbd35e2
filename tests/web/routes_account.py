from __future__ import annotations

from tests.web.routes import Entry

ROUTES = {
    "account": Entry(),
    "session-end": Entry(verbs=("POST",), viewer_may_post=True),
    "sessions-end": Entry(verbs=("POST",), viewer_may_post=True),
    "invitation": Entry(verbs=("GET", "POST"), viewer_may_post=True),
    "invitation-link": Entry(),
}
