from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("limits/", views.limits, name="limits"),
    path("limits/new/", views.new, name="limit-new"),
    path("limits/<uuid:uid>/", views.limit, name="limit"),
    path("limits/<uuid:uid>/delete/", views.delete, name="limit-delete"),
]
