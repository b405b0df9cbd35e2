"""How often somebody may try to get in (threat T49), and the page that says when to try again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from portal.tenancy import tries
from portal.tenancy.answers import with_error_headers
from portal.tenancy.callers import place_of
from portal.tenancy.errors import PortalError
from portal.tenancy.models import User
from portal.tenancy.tries import Rule

from ..shell import plain_page

FROM_HERE, FROM_HERE_SECONDS = 10, 300
FROM_ANYWHERE, FROM_ANYWHERE_SECONDS = 50, 3600
FROM_ONE_ADDRESS, FROM_ONE_ADDRESS_SECONDS = 100, 300
RESETS_OF_ONE, RESETS_FROM_HERE = 3, 20  # an hour
KNOWN_FOR_SECONDS = 86400


def try_password(request: HttpRequest, login: str) -> list[int]:
    """Note a try to sign in as `login`; returns what `tries.take_back` wants. Raises TooMany.

    Where the person has got in from during the last day, strangers' tries elsewhere lock nobody out.
    """
    who, here = person(login), place_of(request)
    return tries.note(_rules("password", who, here))


def right_password(request: HttpRequest, login: str, noted: list[int]) -> None:
    """The try was a right one: it counts for nothing, and this place is known from now on."""
    tries.take_back(noted)
    remember(person(login), place_of(request))


def try_code(request: HttpRequest, user: User) -> list[int]:
    """The same for codes of a second factor."""
    return tries.note(_rules("code", f"user:{user.pk}", place_of(request)))


def use_code(user: User, code: str) -> None:
    """A code opens once, in whatever process it is tried. Raises TooMany."""
    tries.note([Rule("used code", f"{user.pk} {code}", 1, 120)])


def try_reset(request: HttpRequest, mail: str) -> None:
    """Note that a mail is asked for, for an address that is known or not. Raises TooMany."""
    tries.note([Rule("reset", mail.lower(), RESETS_OF_ONE, 3600), Rule("reset", place_of(request), RESETS_FROM_HERE, 3600)])


def _rules(what: str, who: str, here: str) -> list[Rule]:
    rules = [Rule(what, f"{who} {here}", FROM_HERE, FROM_HERE_SECONDS),
             Rule(what, here, FROM_ONE_ADDRESS, FROM_ONE_ADDRESS_SECONDS)]
    if not tries.has(_known(who, here)):
        rules.append(Rule(what, who, FROM_ANYWHERE, FROM_ANYWHERE_SECONDS))
    return rules


def remember(who: str, here: str) -> None:
    tries.mark(_known(who, here))


def _known(who: str, here: str) -> Rule:
    return Rule("known", f"{who} {here}", 1, KNOWN_FOR_SECONDS)


def person(login: str) -> str:
    """One name for all that a person may type to sign in, so that no second spelling gives more tries."""
    typed = login.strip().lower()
    pk = User.objects.filter(Q(username__iexact=typed) | Q(email__iexact=typed)).values_list("pk", flat=True).first()
    return f"text:{typed}" if pk is None else f"user:{pk}"


def answered(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page of allauth: kept by nobody, and what its forms refuse has a status that says so, and Retry-After."""

    @wraps(view)
    @never_cache
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer = view(request, *args, **kwargs)
        except PortalError as error:
            shown = {"error": error, "back": request.get_full_path()}
            return with_error_headers(plain_page(request, "web/account/refused.html", shown, error.status), error)
        form = (getattr(answer, "context_data", None) or {}).get("form")
        if request.method == "POST" and answer.status_code == 200 and form is not None and form.errors:
            answer.status_code = 422
        return answer

    return inner
