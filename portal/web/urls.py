"""The pages. Those of a workspace lie under /w/<its short name>/; “-” is all workspaces, for operators."""

from __future__ import annotations

from django.urls import include, path

from . import start

AREAS = ("home", "models", "deploy", "endpoints", "playground", "loadtests", "usage", "keys", "members", "limits", "audit",
         "find")
app_name = "web"
urlpatterns = [
    path("", start.start, name="start"),
    path("language/", start.language, name="language"),
    path("account/", include("portal.web.account.urls")),
    *[path("w/<str:slug>/", include(f"portal.web.{area}.urls")) for area in AREAS],
]
