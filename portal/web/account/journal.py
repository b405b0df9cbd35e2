"""Changes of an account's own security go to the audit; a factor that was just set up counts for this session."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account_signals
from allauth.mfa import signals as mfa_signals
from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.auth import request_id_of
from portal.tenancy.models import User

from .guard import SET_UP


def follow() -> None:
    """Listen from the start of the process on."""
    account_signals.password_changed.connect(_password, dispatch_uid="changed")
    account_signals.password_reset.connect(_password, dispatch_uid="reset")
    mfa_signals.authenticator_added.connect(_added)
    mfa_signals.authenticator_removed.connect(_removed)


def _write(request: HttpRequest, user: User, verb: str, **after: str) -> None:
    audit.record(Actor(user=user, request_id=request_id_of(request)), verb, user, after=after)


def _password(request: HttpRequest, user: User, **_named: Any) -> None:
    _write(request, user, "change password")


def _added(request: HttpRequest, user: User, authenticator: Authenticator, **_named: Any) -> None:
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        request.session[SET_UP] = user.pk
    _write(request, user, "add second factor", type=authenticator.type)


def _removed(request: HttpRequest, user: User, authenticator: Authenticator, **_named: Any) -> None:
    _write(request, user, "remove second factor", type=authenticator.type)
