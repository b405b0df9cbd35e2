"""The pages. Those of a workspace lie under /w/<its short name>/; “-” is all workspaces, for operators."""

from __future__ import annotations

from importlib.util import find_spec

from django.urls import include, path

from . import start

AREAS = ("home", "models", "deploy", "endpoints", "playground", "loadtests", "usage", "keys", "members", "limits", "audit")
app_name = "web"
urlpatterns = [
    path("", start.start, name="start"),
    path("language/", start.language, name="language"),
    *[path("w/<str:slug>/", include(f"portal.web.{area}.urls")) if find_spec(f"portal.web.{area}")
      else path(f"w/<str:slug>/{area}/", start.start, name=area) for area in AREAS],
]
