from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("usage/", views.usage, name="usage"),
    path("usage/table/", views.table, name="usage-table"),
]
