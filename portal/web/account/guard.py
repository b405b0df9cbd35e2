"""Before each page: the person's language, a second factor where one must be, and when the session was last seen."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.translation import gettext as _

from portal.middleware import Middleware
from portal.tenancy.answers import error_response
from portal.tenancy.errors import NotAllowed
from portal.tenancy.models import User

from . import sessions

SEEN_AGAIN_AFTER = 60  # seconds; for the list of sessions this is exact enough
MOST_REMEMBERED = 10_000
OPEN_WITHOUT = ("/account/", "/language/", "/static/", "/admin/login/", "/admin/logout/", "/healthz", "/readyz")
SET_UP = "second_factor_set_up"  # in the session


class AccountGuard(Middleware):
    """Looks at people with a session cookie only: programs with keys, agents and the gateway pass by."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self.seen: OrderedDict[str, float] = OrderedDict()

    def process_view(self, request: HttpRequest, _view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not isinstance(request.user, User):
            return None
        if request.user.language:
            translation.activate(request.user.language)
        self._note(request)
        if request.path_info.startswith(OPEN_WITHOUT) or not lacks_second_factor(request, request.user):
            return None
        if request.path_info.startswith("/api/"):
            return error_response(request, NotAllowed(_("Set up a second factor first."), code="second_factor"))
        return redirect("web:account")

    def _note(self, request: HttpRequest) -> None:
        key, now = request.session.session_key or "", time.monotonic()
        if now - self.seen.get(key, -SEEN_AGAIN_AFTER) < SEEN_AGAIN_AFTER:
            return
        self.seen[key] = now
        self.seen.move_to_end(key)
        if len(self.seen) > MOST_REMEMBERED:
            self.seen.popitem(last=False)
        sessions.note(request)


def lacks_second_factor(request: HttpRequest, user: User) -> bool:
    """Whether this person must have a second factor and this session has shown none."""
    whose = settings.PORTAL_SECOND_FACTOR
    if not whose or (whose == "operators" and not (user.is_staff or user.sees_everything)):
        return False
    if any(record["method"] == "mfa" for record in get_authentication_records(request, user)):
        return False
    if request.session.get(SET_UP) == user.pk:
        return not Authenticator.objects.filter(user=user).exclude(type=Authenticator.Type.RECOVERY_CODES).exists()
    return True
