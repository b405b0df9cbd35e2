"""Who calls the JSON API: a key in the Authorization header, or a signed-in person's session."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from .actor import Actor
from .callers import place_of
from .db import is_passing
from .errors import PortalError, TooMany
from .models import ApiKey, User, digest_of, split_key
from .strikes import Strikes

log = logging.getLogger(__name__)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# `last used` is a hint for people, so it is written once a minute at most.
USED_AGAIN_AFTER = timedelta(minutes=1)
# A known id costs some 50 µs more than an unknown one: reading its row. Every refusal takes this long instead.
REFUSAL_SECONDS = 0.01
strikes = Strikes(settings.PORTAL_WRONG_KEYS)
_NOBODY = ApiKey(digest=digest_of(""))


class ApiRequest(HttpRequest):
    """A request that has passed the door: `auth` is who acts."""

    auth: Actor
    request_id: str


class NotSignedIn(PortalError):
    """One answer for a missing, malformed, unknown, wrong, expired or revoked key."""

    code = "not_signed_in"
    status = 401

    def __init__(self) -> None:
        super().__init__(_("Send a valid API key as “Authorization: Bearer sk-…”, or sign in."))


class CsrfFailed(PortalError):
    code = "csrf"
    status = 403

    def __init__(self) -> None:
        super().__init__(_("A change by session needs the CSRF token in the X-CSRFToken header."))


class WrongType(PortalError):
    code = "wrong_type"
    status = 415

    def __init__(self) -> None:
        super().__init__(_("Send JSON, with “Content-Type: application/json”."))


class KeyAuth(AuthBase):
    """Answers None where no Authorization header is there; with one, the cookies count for nothing."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Actor | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        kind, _space, text = header.partition(" ")
        key = key_from(text.strip()) if kind.lower() == "bearer" else None
        if key is None:
            _note_wrong_key(request)
            raise NotSignedIn()
        require_json(request)
        return Actor(user=key.created_by, key=key, request_id=request_id_of(request))


class SessionAuth(AuthBase):
    """A signed-in person; every change needs the CSRF token, whatever the body's type."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = "session"
    csrf = True  # tells ninja's documentation page to send the token

    def __call__(self, request: HttpRequest) -> Actor | None:
        user = request.user
        if not isinstance(user, User) or not user.is_active:
            raise NotSignedIn()
        if request.method not in SAFE_METHODS:
            # Before the CSRF check, which would read a form's body to look for its token there.
            require_json(request)
            if check_csrf(request):
                raise CsrfFailed()
        return Actor(user=user, request_id=request_id_of(request))


def require_json(request: HttpRequest) -> None:
    """Raise WrongType for a body that is not declared as JSON, as every form of another site would be."""
    if request.META.get("CONTENT_LENGTH") not in (None, "", "0") and request.content_type != "application/json":
        raise WrongType()


def key_from(text: str) -> ApiKey | None:
    """The key that this text opens, or None. A wrong shape costs no query, an unknown id as much as a wrong secret."""
    parts = split_key(text)
    if parts is None:
        return None
    public_id, secret = parts
    began, now = time.monotonic(), timezone.now()
    found = ApiKey.objects.usable(now).select_related("created_by", "workspace").filter(public_id=public_id).first()
    if not (found or _NOBODY).opens_with(secret) or found is None:
        time.sleep(max(0.0, began + REFUSAL_SECONDS - time.monotonic()))
        return None
    if found.last_used_at is None or now - found.last_used_at > USED_AGAIN_AFTER:
        _note_use(found, now)
    return found


def _note_wrong_key(request: HttpRequest) -> None:
    """Raises TooMany where an address sends one wrong key after the other."""
    wait = strikes.note(place_of(request), time.monotonic())
    if wait:
        raise TooMany(_("Too many calls with wrong API keys came from your address. Check the key, and try again in a minute."),
                      retry_after=wait)


def _note_use(key: ApiKey, now: datetime) -> None:
    again = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_AGAIN_AFTER)
    try:
        ApiKey.objects.filter(again, pk=key.pk).update(last_used_at=now)
    except OperationalError as error:
        if not is_passing(error):
            raise
        log.info("the use of a key was not noted, the database is busy")


def request_id_of(request: HttpRequest) -> str:
    return str(getattr(request, "request_id", ""))
