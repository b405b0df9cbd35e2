from __future__ import annotations

from django.urls import path

from . import plans, views

urlpatterns = [
    path("deploy/", views.deploy, name="deploy"),
    path("endpoints/<uuid:uid>/edit/", views.edit, name="endpoint-edit"),
    path("endpoints/<uuid:uid>/plan/", plans.plan, name="plan"),
]
