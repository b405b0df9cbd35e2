"""The first page: to the person's workspace; and the choice of the language."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import check_for_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from portal.tenancy.models import User, Workspace

from .shell import plain_page
from .visit import ALL, LAST, sign_in_first


@never_cache
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """The workspace that was looked at last, else the first one."""
    user = request.user
    if not isinstance(user, User):
        return sign_in_first(request)
    slugs = Workspace.objects.visible_to(user).values_list("slug", flat=True)
    last = request.COOKIES.get(LAST)
    slug = slugs.filter(slug=last).first() if last else None
    slug = slug or (ALL if user.sees_everything else slugs.first())
    if slug is None:
        return plain_page(request, "web/no_workspace.html", {})
    return redirect("web:home", slug)


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Choose the language, for this browser and for the person; back to the page where it was chosen."""
    chosen, back = request.POST.get("language", ""), safe_next(request, request.POST.get("next", ""))
    response = HttpResponseRedirect(back)
    if chosen in dict(settings.LANGUAGES) and check_for_language(chosen):
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, chosen, max_age=365 * 86400, samesite="Lax",
                            secure=settings.SESSION_COOKIE_SECURE)
        if isinstance(request.user, User):
            User.objects.filter(pk=request.user.pk).update(language=chosen)
    return response


def safe_next(request: HttpRequest, address: str) -> str:
    """This address if it leads to the portal itself, else the first page."""
    is_ours = url_has_allowed_host_and_scheme(address, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return address if is_ours else "/"
