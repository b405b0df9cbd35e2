"""The account itself: who I am, how I get in, where I am signed in."""

from __future__ import annotations

from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from portal.tenancy.models import User, Workspace

from ..shell import answer_page, plain_page
from ..start import safe_next
from ..visit import LAST, Visit
from . import sessions
from .guard import lacks_second_factor


@never_cache
@login_required
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    user = request.user
    assert isinstance(user, User)
    if not request.session.session_key:
        request.session.save()
    sessions.note(request)
    context = {
        "person": user, "browsers": sessions.browsers(user, request.session.session_key),
        "lacks": lacks_second_factor(request, user), "company": SocialAccount.objects.filter(user=user).exists(),
        **_factors(user)}
    visit = _visit(request, user)
    if visit is None:
        return plain_page(request, "web/account/account.html", context)
    return answer_page(visit, "web/account/account.html", context)


def _factors(user: User) -> dict[str, object]:
    rows = list(Authenticator.objects.filter(user=user).order_by("pk"))
    app = next((row for row in rows if row.type == Authenticator.Type.TOTP), None)
    codes = next((row for row in rows if row.type == Authenticator.Type.RECOVERY_CODES), None)
    return {"app": app, "passkeys": [row for row in rows if row.type == Authenticator.Type.WEBAUTHN],
            "codes_left": None if codes is None else len(codes.wrap().get_unused_codes()),
            "can_confirm": bool(get_reauthentication_flows(user))}


def _visit(request: HttpRequest, user: User) -> Visit | None:
    """The account stands in the frame of the workspace that was looked at last."""
    mine = Workspace.objects.visible_to(user)
    found = mine.filter(slug=request.COOKIES.get(LAST, "")).first()
    if found is None and not user.sees_everything:
        found = mine.first()
    return None if found is None and not user.sees_everything else Visit(request, user, found)


@login_required
@require_POST
def end_session(request: HttpRequest, session: int) -> HttpResponse:
    """Sign one other browser out. One that is gone already is gone: nothing to say."""
    assert isinstance(request.user, User)
    if sessions.end(request.user, session):
        messages.success(request, _("That browser is signed out."))
    return redirect("web:account")


@login_required
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    ended = sessions.end_others(request.user, request.session.session_key)
    messages.success(request, ngettext(
        "%(count)d other browser is signed out.", "%(count)d other browsers are signed out.", ended) % {"count": ended})
    return redirect("web:account")


@never_cache
def admin_login(request: HttpRequest) -> HttpResponse:
    """The administration has no door of its own: limits and second factors hold for it too."""
    wanted = safe_next(request, request.GET.get("next") or reverse("admin:index"))
    if not isinstance(request.user, User):
        return redirect_to_login(wanted)
    if request.user.is_staff:
        return HttpResponseRedirect(wanted)
    return plain_page(request, "web/account/not_staff.html", {}, status=403)


@never_cache
def no_account(request: HttpRequest) -> HttpResponse:
    """Where allauth would let people sign up."""
    return plain_page(request, "account/signup_closed.html", {}, status=403)


@never_cache
def company_cancelled(request: HttpRequest) -> HttpResponse:
    messages.info(request, _("You did not sign in at your company’s page. Nothing has changed."))
    return redirect("account_login")
