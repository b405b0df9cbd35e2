from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("keys/", views.keys, name="keys"),
    path("keys/new/", views.new, name="key-new"),
    path("keys/revoke/", views.revoke, name="keys-revoke"),
]
