"""The browsers in which a person is signed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.tenancy.db import is_passing
from portal.tenancy.models import User

MOST = 50
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("HeadlessChrome", "Chrome"), ("Chrome", "Chrome"),
            ("Safari", "Safari"), ("curl", "curl"))
SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
           ("CrOS", "ChromeOS"), ("Linux", "Linux"))


@dataclass(frozen=True)
class Browser:
    """One session, as a person knows it again."""

    id: int
    device: str
    address: str
    began_at: datetime
    seen_at: datetime
    is_this: bool


def note(request: HttpRequest) -> None:
    """This session is in use, now and from here. What can't be written now is written a minute later."""
    key = request.session.session_key
    if not key or not isinstance(request.user, User):
        return
    where = {"ip": get_adapter().get_client_ip(request), "user_agent": request.headers.get("User-Agent", "")[:200]}
    now = timezone.now()
    try:
        if UserSession.objects.filter(session_key=key, user=request.user).update(last_seen_at=now, **where):
            return
        # Another request of the same browser may be first.
        row = UserSession(session_key=key, user=request.user, last_seen_at=now, **where)
        UserSession.objects.bulk_create([row], ignore_conflicts=True)
    except OperationalError as error:
        if not is_passing(error):
            raise


def browsers(user: User, this: str | None) -> list[Browser]:
    """Where this person is signed in, the one last seen first. Two queries."""
    rows = list(UserSession.objects.filter(user=user).order_by("-last_seen_at", "-pk")[:MOST])
    alive = {row.session_key for row in Session.objects.filter(
        session_key__in=[row.session_key for row in rows], expire_date__gt=timezone.now()) if _is_of(row, user)}
    return [Browser(row.pk, device(row.user_agent), row.ip, row.created_at, row.last_seen_at, row.session_key == this)
            for row in rows if row.session_key in alive]


def _is_of(session: Session, user: User) -> bool:
    """Whether the session still opens: a changed password ends it."""
    return compare_digest(str(session.get_decoded().get(HASH_SESSION_KEY, "")), user.get_session_auth_hash())


def end(user: User, session_id: int) -> bool:
    """Sign one browser out; whether there was such a one of this person's."""
    return _end(list(UserSession.objects.filter(user=user, pk=session_id))) > 0


def end_others(user: User, this: str | None) -> int:
    """Sign all but this browser out; how many there were."""
    return _end(list(UserSession.objects.filter(user=user).exclude(session_key=this)))


def _end(rows: list[UserSession]) -> int:
    ended, _by_kind = Session.objects.filter(session_key__in=[row.session_key for row in rows]).delete()
    UserSession.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return ended


def device(user_agent: str) -> str:
    """Browser and system, as its own words say; they prove nothing."""
    browser = next((name for sign, name in BROWSERS if re.search(rf"\b{sign}/", user_agent)), _("Unknown browser"))
    system = next((name for sign, name in SYSTEMS if sign in user_agent), "")
    return _("%(browser)s on %(system)s") % {"browser": browser, "system": system} if system else browser
