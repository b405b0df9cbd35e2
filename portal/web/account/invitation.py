"""The page behind the link of an invitation."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from portal.tenancy import invitations
from portal.tenancy.answers import with_error_headers
from portal.tenancy.errors import NotFound, PortalError
from portal.tenancy.models import Invitation, User

from ..shell import plain_page

IN_SESSION = "invitation"
PAGE = "web/account/invitation.html"


@never_cache
@require_GET
def follow(request: HttpRequest, token: str) -> HttpResponse:
    """The link itself: the browser remembers which invitation it has shown, and the token leaves the address bar."""
    try:
        request.session[IN_SESSION] = str(invitations.find(token).uid)
    except NotFound:
        request.session.pop(IN_SESSION, None)
    return redirect("web:invitation")


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest) -> HttpResponse:
    """Join with the account of the invited address, or make it first."""
    try:
        row = invitations.find_again(request.session.get(IN_SESSION))
    except NotFound:
        return plain_page(request, PAGE, {"row": None}, status=404)
    if request.method == "GET":
        return _page(request, row)
    try:
        return _act(request, row)
    except PortalError as error:
        return with_error_headers(_page(request, row, error), error)


def _act(request: HttpRequest, row: Invitation) -> HttpResponse:
    wanted = request.POST.get("do")
    if wanted == "leave":
        logout(request)
        request.session[IN_SESSION] = str(row.uid)
        return redirect("web:invitation")
    if isinstance(request.user, User):
        invitations.accept(request.user, row)
    else:
        _make_account(request, row)
    request.session.pop(IN_SESSION, None)
    messages.success(request, _("You have joined %(workspace)s.") % {"workspace": row.workspace.name})
    return redirect("web:home", row.workspace.slug)


def _make_account(request: HttpRequest, row: Invitation) -> None:
    member = invitations.join_as_new(
        row, username=request.POST.get("username", ""), password=request.POST.get("password", ""))
    # Proven by the mail: the company's sign-in with this address then leaves the account its password.
    EmailAddress.objects.create(user=member.user, email=member.user.email, primary=True, verified=row.was_mailed)
    login(request, member.user, backend=settings.AUTHENTICATION_BACKENDS[0])


def _page(request: HttpRequest, row: Invitation, error: PortalError | None = None) -> HttpResponse:
    way = "join" if isinstance(request.user, User) else "sign-in" if invitations.has_account(row) else "new"
    if isinstance(request.user, User) and request.user.email.lower() != row.mail:
        way = "other"
    sign_in = f"{reverse('account_login')}?{urlencode({'next': reverse('web:invitation')})}"
    return plain_page(request, PAGE, {
        "row": row, "way": way, "sign_in": sign_in, "error": error, "typed": request.POST.get("username", ""),
        "errors": {error.field: error.message} if error and error.field else {},
    }, status=error.status if error else 200)
