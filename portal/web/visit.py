"""A signed-in person looks at a workspace: the one door through which each page of a workspace goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import DatabaseError
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import reverse
from django.utils import translation
from django.utils.functional import cached_property
from django.views.decorators.cache import never_cache

from portal.tenancy.actor import Actor
from portal.tenancy.answers import with_error_headers
from portal.tenancy.auth import request_id_of
from portal.tenancy.db import is_passing
from portal.tenancy.errors import NotFound, PortalError, Unavailable
from portal.tenancy.models import User, Workspace, WorkspaceQuerySet
from portal.tenancy.roles import ROLE_MAY, Verb

from .shell import answer_page, error_page

P = ParamSpec("P")
METHODS = ("GET", "HEAD", "POST")
LAST = f"portal_workspace_{settings.PORTAL_PORT}"
LAST_SECONDS = 90 * 86400
ALL = "-"  # instead of a workspace's short name: operators see all of them


@dataclass(frozen=True)
class Visit:
    """Who looks at what. `workspace` is None where an operator looks at all of them."""

    request: HttpRequest
    user: User
    workspace: Workspace | None

    @cached_property
    def actor(self) -> Actor:
        return Actor(user=self.user, request_id=request_id_of(self.request))

    @cached_property
    def verbs(self) -> frozenset[Verb]:
        """What the person may do here, by the rows as they were when the page was asked for."""
        if self.workspace is None:
            return frozenset(Verb)
        role: str | None = getattr(self.workspace, "role_held", None)
        return self.actor.verbs(self.workspace) if role is None else ROLE_MAY.get(role, frozenset())

    @property
    def slug(self) -> str:
        return self.workspace.slug if self.workspace else ALL

    @property
    def workspaces(self) -> WorkspaceQuerySet:
        """Where every queryset of this page starts."""
        if self.workspace is None:
            return self.actor.workspaces
        return self.actor.workspaces.filter(pk=self.workspace.pk)

    @property
    def one(self) -> Workspace:
        """The workspace, for pages that need just one. Raises NotFound where an operator looks at all."""
        if self.workspace is None:
            raise NotFound()
        return self.workspace

    @property
    def is_partial(self) -> bool:
        """Whether the page's script asks for a piece of the page."""
        return self.request.headers.get("HX-Request") == "true"

    def may(self, verb: Verb) -> bool:
        return verb in self.verbs

    def url(self, name: str, *args: object) -> str:
        """The address of a page of this workspace, by its name without “web:”."""
        return reverse(f"web:{name}", args=[self.slug, *args])

    def render(self, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
        """The page, in the portal's frame. Templates know `visit`."""
        return answer_page(self, template, context, status)



def page(view: Callable[Concatenate[Visit, P], HttpResponse]) -> Callable[..., HttpResponse]:
    """Make a view of `/w/<slug>/…`: it gets a Visit instead of request and slug, and may raise any PortalError.

    A stranger to the workspace gets the same answer as for one that does not exist.
    """

    @wraps(view)
    @never_cache
    def inner(request: HttpRequest, slug: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        user = request.user
        if request.method not in METHODS:
            return HttpResponseNotAllowed(METHODS)
        if not isinstance(user, User):
            return sign_in_first(request)
        visit = Visit(request, user, None)
        try:
            visit = Visit(request, user, _workspace_of(user, slug))
            return _remembered(visit, view(visit, *args, **kwargs))
        except PortalError as error:
            return with_error_headers(error_page(visit, error), error)
        except DatabaseError as error:
            if not is_passing(error):
                raise
            refusal = Unavailable(translation.gettext("The database is busy or restarting. Try again in a moment."))
            return with_error_headers(error_page(visit, refusal, with_shell=False), refusal)

    return inner


def _remembered(visit: Visit, answer: HttpResponse) -> HttpResponse:
    """The first page leads to the workspace that was looked at last. In a cookie, which costs no query."""
    if visit.request.COOKIES.get(LAST) != visit.slug and not visit.is_partial:
        answer.set_cookie(LAST, visit.slug, max_age=LAST_SECONDS, httponly=True, samesite="Lax",
                          secure=settings.SESSION_COOKIE_SECURE)
    return answer


def sign_in_first(request: HttpRequest) -> HttpResponse:
    """To the sign-in page, and from there back; a piece of a page makes the whole page go there."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=401, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path())


def _workspace_of(user: User, slug: str) -> Workspace | None:
    if slug == ALL and user.sees_everything:
        return None
    mine = Workspace.objects.visible_to(user).filter(slug=slug)
    if not user.sees_everything:
        mine = mine.annotate(role_held=F("memberships__role"))  # of the membership by which it is visible
    found = mine.first()
    if found is None:
        raise NotFound()
    return found
