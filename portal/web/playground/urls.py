from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [
    path("playground/", views.playground, name="playground"),
    path("playground/models/", views.models, name="playground-models"),
    path("playground/key/", views.key, name="playground-key"),
]
