"""A caller of the JSON API for tests: by key, or by session with its CSRF token, as a program or a page would."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils.crypto import get_random_string

from portal.tenancy.actor import Actor
from portal.tenancy.models import User, Workspace
from portal.tenancy.roles import Scope, scopes_may
from portal.tenancy.services import create_key


class Api:
    """`call` answers the response; `get`, `post`, `patch` and `delete` are short for it."""

    def __init__(self, user: User | None = None, *, key: str = "") -> None:
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        self.headers: dict[str, str] = {"Authorization": f"Bearer {key}"} if key else {}
        if user is not None:
            self.client.force_login(user)
            self.client.get("/healthz")  # the first request of a session writes it down
            token = get_random_string(32)
            self.client.cookies[settings.CSRF_COOKIE_NAME] = token
            self.headers["X-CSRFToken"] = token

    def call(self, method: str, path: str, data: Any = None, *, raw: bytes | None = None, **headers: str) -> HttpResponse:
        body = raw if raw is not None else b"" if data is None else json.dumps(data).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        where = path if path.startswith("/") else f"/api/v1/{path}"
        return self.client.generic(method, where, body, content_type=named.pop("Content-Type", "application/json"),
                                   headers={**self.headers, **named})

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.call("GET", path, **headers)

    def post(self, path: str, data: Any = None, **headers: str) -> HttpResponse:
        return self.call("POST", path, data, **headers)

    def patch(self, path: str, data: Any, **headers: str) -> HttpResponse:
        return self.call("PATCH", path, data, **headers)

    def delete(self, path: str, **headers: str) -> HttpResponse:
        return self.call("DELETE", path, **headers)


def key_text(user: User, workspace: Workspace, *scopes: str) -> str:
    """A new key with these scopes; without any, with all that the person may have."""
    actor = Actor(user=user)
    held = [scope for scope in Scope.values if scopes_may([scope]) <= actor.verbs(workspace)]
    return create_key(actor, workspace, name="test", scopes=scopes or held)[1]


def by_key(user: User, workspace: Workspace, *scopes: str) -> Api:
    return Api(key=key_text(user, workspace, *scopes))


def error_of(response: HttpResponse) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(response.content)["error"]
    return body
