"""The pages. Those of a workspace lie under /w/<its short name>/; “-” is all workspaces, for operators."""

from __future__ import annotations

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

from . import start

AREAS = ("home", "models", "deploy", "endpoints", "playground", "loadtests", "usage", "keys", "members", "limits", "audit")
app_name = "web"


def _area(name: str) -> URLResolver | URLPattern:
    """The pages of an area; the first page where it is not there."""
    module = f"portal.web.{name}"
    if find_spec(module) and find_spec(f"{module}.urls"):
        return path("w/<str:slug>/", include(f"{module}.urls"))
    return path(f"w/<str:slug>/{name}/", start.start, name=name)


urlpatterns = [
    path("", start.start, name="start"),
    path("language/", start.language, name="language"),
    path("account/", include("portal.web.account.urls")),
    *map(_area, AREAS),
]
