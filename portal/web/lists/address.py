"""The query of a page's address: every filter is in it, so that a page can be sent to a colleague."""

from __future__ import annotations

from django.http import HttpRequest

from portal.tenancy.pagination import PageIn

LONGEST = 200  # characters of a filter that are read
ROWS = 50


def asked(request: HttpRequest, name: str, default: str = "") -> str:
    """What the address says about `name`, without blanks around it and without what no database takes."""
    return request.GET.get(name, default).replace("\0", "").strip()[:LONGEST]


def page_asked(request: HttpRequest) -> PageIn:
    return PageIn(limit=ROWS, cursor=asked(request, "cursor"))


def query_with(request: HttpRequest, **changes: str | None) -> str:
    """The query with these filters set, or taken away where None; always from the first page on, unless `cursor` is set."""
    query = request.GET.copy()
    query.pop("cursor", None)
    for name, value in changes.items():
        if value is None:
            query.pop(name, None)
        else:
            query[name] = value
    return f"?{query.urlencode()}"
